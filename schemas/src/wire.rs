//! The wire twin of the event envelope: the field names, order and units of the `.avsc` files.
//!
//! It must never add meaning: what a field says is the domain's matter.

use std::borrow::Cow;

use muster_domain::event::{Event, EventData};
use muster_domain::id::{CommandId, EventId, ProjectId, TaskId};
use muster_domain::model::Source;
use muster_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An event as it is written: timestamp in microseconds, ids as text, `data` as its own record.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireEvent<'a, D> {
    pub id: EventId,
    #[serde(rename = "type")]
    pub event_type: Cow<'a, str>,
    #[serde(rename = "timestamp")]
    pub timestamp_micros: i64,
    pub project_id: ProjectId,
    #[serde(default)]
    pub task_id: Option<TaskId>,
    pub sequence: u64,
    pub position: u64,
    pub source: Source,
    pub actor: Cow<'a, str>,
    pub command_id: CommandId,
    #[serde(default)]
    pub command_digest: Option<Cow<'a, str>>,
    #[serde(default)]
    pub causation_id: Option<EventId>,
    pub correlation_id: Uuid,
    pub data: D,
}

impl<'a, D> WireEvent<'a, &'a D> {
    /// `event`'s envelope around `data`, which is the payload inside `event.data`.
    pub(crate) fn of(event: &'a Event, data: &'a D) -> Self {
        Self {
            id: event.id,
            event_type: event.event_type().into(),
            timestamp_micros: event.timestamp.as_micros(),
            project_id: event.project_id,
            task_id: event.task_id,
            sequence: event.sequence,
            position: event.position,
            source: event.source,
            actor: event.actor.as_str().into(),
            command_id: event.command_id,
            command_digest: event.command_digest.as_deref().map(Cow::Borrowed),
            causation_id: event.causation_id,
            correlation_id: event.correlation_id,
            data,
        }
    }
}

impl<D: Into<EventData>> From<WireEvent<'_, D>> for Event {
    fn from(wire: WireEvent<'_, D>) -> Self {
        Self {
            id: wire.id,
            timestamp: Timestamp::from_micros(wire.timestamp_micros),
            project_id: wire.project_id,
            task_id: wire.task_id,
            sequence: wire.sequence,
            position: wire.position,
            source: wire.source,
            actor: wire.actor.into_owned(),
            command_id: wire.command_id,
            command_digest: wire.command_digest.map(Cow::into_owned),
            causation_id: wire.causation_id,
            correlation_id: wire.correlation_id,
            data: wire.data.into(),
        }
    }
}
