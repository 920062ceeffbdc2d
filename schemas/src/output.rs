//! Lines of agent output: the record of the `agent-output` topic. Not events: they change no state.
//!
//! It must never be folded, and a line must never be needed to understand an event.

use std::sync::LazyLock;

use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_avro_fast::ser::SerializerConfig;

use crate::codec::{Error, WriterSchema};

/// The schema of [`AgentOutput`], whole.
pub const SCHEMA_JSON: &str = include_str!("../avsc/agent-output.avsc");

/// Full name of its record.
pub const RECORD_NAME: &str = "muster.output.AgentOutput";

static SCHEMA: LazyLock<WriterSchema> =
    LazyLock::new(|| WriterSchema::parse(SCHEMA_JSON).expect("a test parses the compiled-in schema"));

static AVRO: LazyLock<serde_avro_fast::Schema> =
    LazyLock::new(|| SCHEMA_JSON.parse().expect("a test parses the compiled-in schema"));

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// The process's standard output.
    Stdout,
    /// The process's standard error.
    Stderr,
    /// The agent's own words, told by its protocol.
    Agent,
    /// Muster about the run.
    System,
}

impl OutputStream {
    /// Every value.
    pub const ALL: &[Self] = &[Self::Stdout, Self::Stderr, Self::Agent, Self::System];

    /// The name used on every wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Agent => "agent",
            Self::System => "system",
        }
    }
}

impl std::fmt::Display for OutputStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for OutputStream {
    type Err = muster_domain::model::UnknownValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|stream| stream.as_str() == text)
            .ok_or_else(|| Self::Err { kind: "OutputStream", text: text.chars().take(64).collect() })
    }
}

/// One line an agent's run put out. As JSON, its timestamp is RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentOutput {
    /// The project.
    pub project_id: ProjectId,
    /// The task.
    pub task_id: TaskId,
    /// The run; also the record's key.
    pub run_id: RunId,
    /// Gapless count within the run, from 1.
    pub line_number: u64,
    /// When it was put out.
    pub timestamp: Timestamp,
    /// Where it came from.
    pub stream: OutputStream,
    /// The line, without its end.
    pub content: String,
}

/// As [`AgentOutput`], with the wire's timestamp: microseconds since the epoch.
#[derive(Serialize, Deserialize)]
struct WireOutput<'a> {
    project_id: ProjectId,
    task_id: TaskId,
    run_id: RunId,
    line_number: u64,
    #[serde(rename = "timestamp")]
    timestamp_micros: i64,
    stream: OutputStream,
    content: std::borrow::Cow<'a, str>,
}

/// `line` as a bare Avro datum.
pub fn encode(line: &AgentOutput) -> Result<Vec<u8>, Error> {
    let wire = WireOutput {
        project_id: line.project_id,
        task_id: line.task_id,
        run_id: line.run_id,
        line_number: line.line_number,
        timestamp_micros: line.timestamp.as_micros(),
        stream: line.stream,
        content: line.content.as_str().into(),
    };
    serde_avro_fast::to_datum_vec(&wire, &mut SerializerConfig::new(&AVRO))
        .map_err(|e| Error::Encode { event_type: "agent-output".to_owned(), reason: e.to_string() })
}

/// The line in `datum`, written with `writer`, or with this build's schema where that is none.
pub fn decode(writer: Option<&WriterSchema>, datum: &[u8]) -> Result<AgentOutput, Error> {
    let wire: WireOutput<'_> = writer.unwrap_or(&SCHEMA).read(datum)?;
    Ok(AgentOutput {
        project_id: wire.project_id,
        task_id: wire.task_id,
        run_id: wire.run_id,
        line_number: wire.line_number,
        timestamp: Timestamp::from_micros(wire.timestamp_micros),
        stream: wire.stream,
        content: wire.content.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_returns_from_its_bytes() {
        for stream in OutputStream::ALL {
            let line = AgentOutput {
                project_id: ProjectId(uuid::Uuid::from_u128(1)),
                task_id: TaskId(uuid::Uuid::from_u128(2)),
                run_id: RunId(uuid::Uuid::from_u128(3)),
                line_number: 4,
                timestamp: Timestamp::from_micros(1_700_000_000_000_005),
                stream: *stream,
                content: "größer".to_owned(),
            };
            assert_eq!(decode(None, &encode(&line).unwrap()).unwrap(), line);
            assert_eq!(SCHEMA.record_name(), RECORD_NAME);
            assert_eq!(stream.as_str().parse::<OutputStream>().unwrap(), *stream);
        }
    }
}
