//! The envelope that every event carries.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::EventData;
use crate::id::{CommandId, EventId, ProjectId, TaskId};
use crate::model::Source;
use crate::time::Timestamp;

/// One immutable fact.
///
/// As JSON it is one flat object with `type` and `data`; that is the shape of exports, SSE, and the bridge.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Id (UUIDv7).
    pub id: EventId,
    /// When it happened.
    pub timestamp: Timestamp,
    /// Project it belongs to.
    pub project_id: ProjectId,
    /// Task it concerns, if one.
    pub task_id: Option<TaskId>,
    /// Gapless count within the task, from 1; 0 where there is no task.
    pub sequence: u64,
    /// Gapless count within the project, from 1.
    pub position: u64,
    /// Surface or service it came from.
    pub source: Source,
    /// User or service that caused it.
    pub actor: String,
    /// Command that caused it.
    pub command_id: CommandId,
    /// SHA-256 of that command in hexadecimal; tells a repeated command from a changed one.
    pub command_digest: Option<String>,
    /// Event that caused it, if one.
    pub causation_id: Option<EventId>,
    /// Command that started the chain.
    pub correlation_id: Uuid,
    /// What happened.
    pub data: EventData,
}

impl Event {
    /// The type, for example `task.created`.
    pub fn event_type(&self) -> &str {
        self.data.event_type()
    }
}

#[derive(Serialize, Deserialize)]
struct Flat {
    id: EventId,
    #[serde(rename = "type")]
    event_type: String,
    timestamp: Timestamp,
    project_id: ProjectId,
    task_id: Option<TaskId>,
    sequence: u64,
    position: u64,
    source: Source,
    actor: String,
    command_id: CommandId,
    command_digest: Option<String>,
    causation_id: Option<EventId>,
    correlation_id: Uuid,
    data: serde_json::Value,
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Flat {
            id: self.id,
            event_type: self.event_type().to_owned(),
            timestamp: self.timestamp,
            project_id: self.project_id,
            task_id: self.task_id,
            sequence: self.sequence,
            position: self.position,
            source: self.source,
            actor: self.actor.clone(),
            command_id: self.command_id,
            command_digest: self.command_digest.clone(),
            causation_id: self.causation_id,
            correlation_id: self.correlation_id,
            data: self.data.to_json(),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flat = Flat::deserialize(deserializer)?;
        Ok(Self {
            data: EventData::from_json(&flat.event_type, flat.data).map_err(serde::de::Error::custom)?,
            id: flat.id,
            timestamp: flat.timestamp,
            project_id: flat.project_id,
            task_id: flat.task_id,
            sequence: flat.sequence,
            position: flat.position,
            source: flat.source,
            actor: flat.actor,
            command_id: flat.command_id,
            command_digest: flat.command_digest,
            causation_id: flat.causation_id,
            correlation_id: flat.correlation_id,
        })
    }
}
