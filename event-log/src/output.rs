//! Agent output as it is read from the log. It must never be mixed with events: it has offsets of its own.

use crate::{AgentOutput, LogOffset};

/// One line, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputRecord {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: LogOffset,
    /// The line.
    pub line: AgentOutput,
}
