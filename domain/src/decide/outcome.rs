//! The answer to an accepted command, made from its events alone, so that asking again gives the same answer.

use serde::{Deserialize, Serialize};

use crate::event::{Event, EventData};
use crate::id::{CommandId, EventId, ProjectId, RunId, SubtaskId, TaskId};
use crate::model::Role;
use crate::time::Timestamp;

/// What an accepted command came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The command.
    pub command_id: CommandId,
    /// Its project.
    pub project_id: ProjectId,
    /// The task its first task event concerns.
    pub task_id: Option<TaskId>,
    /// Sequence of that task after it.
    pub sequence: Option<u64>,
    /// Position of the project after it. Queries take it as `min_position`.
    pub position: u64,
    /// Ids of its events, in order.
    pub event_ids: Vec<EventId>,
    /// What was claimed, for a claim.
    pub claim: Option<ClaimOutcome>,
    /// When the lease it renewed was to end from then on, for a heartbeat; other answers do not have the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_expires_at: Option<Timestamp>,
}

/// What a claim gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimOutcome {
    /// The run.
    pub run_id: RunId,
    /// Its role.
    pub role: Role,
    /// Its subtask, for work on one chunk.
    pub subtask_id: Option<SubtaskId>,
    /// Token every report must carry.
    pub fencing_token: u64,
    /// Length of the lease in milliseconds.
    pub lease_duration_ms: u64,
}

impl Outcome {
    /// The answer that these events are. `None` without events.
    pub fn of<'e>(events: impl IntoIterator<Item = &'e Event>) -> Option<Self> {
        let mut events = events.into_iter();
        let first = events.next()?;
        let mut outcome = Self {
            command_id: first.command_id,
            project_id: first.project_id,
            task_id: None,
            sequence: None,
            position: 0,
            event_ids: Vec::new(),
            claim: None,
            lease_expires_at: None,
        };
        for event in std::iter::once(first).chain(events) {
            outcome.add(event);
        }
        Some(outcome)
    }

    fn add(&mut self, event: &Event) {
        self.position = event.position;
        self.event_ids.push(event.id);
        if self.task_id.is_none() {
            self.task_id = event.task_id;
        }
        if event.task_id.is_some() && self.task_id == event.task_id {
            self.sequence = Some(event.sequence);
        }
        match &event.data {
            EventData::WorkAssigned(assigned) => {
                self.claim = Some(ClaimOutcome {
                    run_id: assigned.run_id,
                    role: assigned.role,
                    subtask_id: assigned.subtask_id,
                    fencing_token: assigned.fencing_token,
                    lease_duration_ms: assigned.lease_duration_ms,
                });
            }
            EventData::LeaseRenewed(renewed) => {
                self.lease_expires_at = Some(event.timestamp.plus_ms(renewed.lease_duration_ms));
            }
            _ => {}
        }
    }
}
