//! What is read from the log, and what an append returns.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A place in a partition. Ordered within it, opaque otherwise: between two records there may be unused offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogOffset(pub i64);

impl LogOffset {
    /// Before the first record.
    pub const START: Self = Self(0);

    /// Where to go on after the record at this offset.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for LogOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One committed record.
#[derive(Debug, Clone)]
pub struct LogRecord {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: LogOffset,
    /// The event, or what stands in its place. A poison record is data, not an error: the log goes on after it.
    pub payload: Result<Arc<Event>, Arc<Poison>>,
}

/// A record that holds no event this build can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poison {
    /// Why it cannot be read.
    pub error: String,
    /// Its type, where the record says so outside its value.
    pub event_type: Option<String>,
    /// Its project, where the record says so outside its value.
    pub project_id: Option<ProjectId>,
    /// Its position in the project, where the record says so outside its value.
    pub position: Option<u64>,
    /// The value as it lies in the log.
    pub value: Bytes,
    /// The record's headers; those that are not text as hexadecimal.
    pub headers: Vec<(String, String)>,
}

/// What an append came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Where the next append is expected.
    pub end: LogOffset,
    /// Offset of each event, in the order they were given.
    pub offsets: Vec<LogOffset>,
}

/// A record that a consumer could not apply, on its way to the dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Partition it was read from.
    pub partition: u32,
    /// Offset it was read from.
    pub offset: LogOffset,
    /// Consumer that could not apply it, for example a projection's name.
    pub consumer: String,
    /// Why.
    pub error: String,
    /// Times it was tried.
    pub attempts: u32,
    /// When it was given up.
    pub failed_at: Timestamp,
    /// Its type, where known.
    pub event_type: Option<String>,
    /// Its project, where known; the dead letter's key.
    pub project_id: Option<ProjectId>,
    /// Its value as it lies in the log.
    pub value: Bytes,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}
