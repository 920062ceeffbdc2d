//! What the write side's REST interface takes and gives, for the service and its clients alike.
//!
//! Shapes only: it must never know how a request travels, nor what is done with it.

use muster_domain::command::{Command, Report};
use muster_domain::decide::Outcome;
use muster_domain::id::{CommandId, EventId, ProjectId, SessionId, TaskId};
use muster_domain::model::Role;
use muster_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::output::OutputStream;

/// The header that carries a command's id: asking again with it gives the same answer.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";

/// `POST /api/commands`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRequest {
    /// Project it is for. Left out, `create_project` gets a new one, and a command about a task goes to that task's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What is to be done.
    pub command: Command,
    /// Sequence of the task (position of the project, for a command about no task) the caller has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_sequence: Option<u64>,
    /// Command that started the chain; left out, this one starts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// Event that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
}

impl CommandRequest {
    /// A command for a project.
    pub fn new(project_id: ProjectId, command: impl Into<Command>) -> Self {
        Self { project_id: Some(project_id), ..Self::of(command) }
    }

    /// A command whose project the service finds: by the task, or a new one for `create_project`.
    pub fn of(command: impl Into<Command>) -> Self {
        Self {
            project_id: None,
            command: command.into(),
            expected_sequence: None,
            correlation_id: None,
            causation_id: None,
        }
    }

    /// Only when the task (or the project) is still where the caller saw it.
    #[must_use]
    pub fn expecting(mut self, sequence: u64) -> Self {
        self.expected_sequence = Some(sequence);
        self
    }

    /// Caused by an event, in the chain that `correlation_id` names.
    #[must_use]
    pub fn caused_by(mut self, causation_id: EventId, correlation_id: Uuid) -> Self {
        self.causation_id = Some(causation_id);
        self.correlation_id = Some(correlation_id);
        self
    }
}

/// One element of `POST /api/commands/batch`: as [`CommandRequest`], with its id beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchItem {
    /// Its id. When left out it follows from the request's idempotency key and the command's place in the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// As in [`CommandRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// As in [`CommandRequest`].
    pub command: Command,
    /// As in [`CommandRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_sequence: Option<u64>,
    /// As in [`CommandRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Uuid>,
    /// As in [`CommandRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<EventId>,
}

impl BatchItem {
    /// The request and its id.
    pub fn into_parts(self) -> (Option<CommandId>, CommandRequest) {
        let Self { command_id, project_id, command, expected_sequence, correlation_id, causation_id } = self;
        (command_id, CommandRequest { project_id, command, expected_sequence, correlation_id, causation_id })
    }

    /// A request with an id.
    pub fn new(command_id: CommandId, request: CommandRequest) -> Self {
        let CommandRequest { project_id, command, expected_sequence, correlation_id, causation_id } = request;
        Self { command_id: Some(command_id), project_id, command, expected_sequence, correlation_id, causation_id }
    }
}

/// What one element of a batch came to: exactly one of the two is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchResult {
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// `POST /api/claims`: answered with a work order, or 204 when no work became ready in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimRequest {
    /// Session that will do the work; spawned by the claim when it is new, otherwise it must be idle.
    pub session_id: SessionId,
    /// Name of the session.
    pub session_key: String,
    /// Roles it can play.
    pub roles: Vec<Role>,
    /// Length of the lease in milliseconds; the service's default when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_duration_ms: Option<u64>,
    /// Its workspace on the runner's machine.
    pub workspace_dir: String,
    /// Its data directory on the runner's machine.
    pub data_dir: String,
    /// Projects to take work from; all the caller may work in when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_ids: Option<Vec<ProjectId>>,
    /// How long to wait for work, in milliseconds; at most 30 seconds. Left out, the answer comes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// `POST /api/runs/{run_id}/reports`: all of the reports are accepted or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportsRequest {
    /// The card.
    pub task_id: TaskId,
    /// Token of the lease.
    pub fencing_token: u64,
    /// What happened, in order.
    pub reports: Vec<Report>,
}

/// `POST /api/runs/{run_id}/heartbeat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// The card.
    pub task_id: TaskId,
    /// Token of the lease.
    pub fencing_token: u64,
    /// Length of the lease from now, in milliseconds; the service's default when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_duration_ms: Option<u64>,
}

/// The answer to a heartbeat, the same each time it is sent with the same key. A lease that is lost (expired, cancelled,
/// given to another) is `stale_fencing_token` to a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatResponse {
    /// When the lease ends by this heartbeat, unless another came after it.
    pub lease_expires_at: Timestamp,
    /// Position of the project after it.
    pub position: u64,
}

/// One line of output, before it has its ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputLine {
    /// When it was put out.
    pub timestamp: Timestamp,
    /// Where it came from.
    pub stream: OutputStream,
    /// The line, without its end.
    pub content: String,
}

/// `POST /api/runs/{run_id}/output`. Lines that were taken before are passed over, so sending again is safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRequest {
    /// The project.
    pub project_id: ProjectId,
    /// The card.
    pub task_id: TaskId,
    /// Token of the lease.
    pub fencing_token: u64,
    /// Number of the first of `lines` within the run, from 1. A line that would leave a gap is refused.
    pub first_line_number: u64,
    /// The lines, in order.
    pub lines: Vec<OutputLine>,
}

/// The answer to output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputResponse {
    /// Number the next line must have.
    pub next_line_number: u64,
}

/// One element of `GET /api/partitions`: a partition, as the instance that was asked sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Its number, from 0.
    pub partition: u32,
    /// URL of the instance it belongs to, as last seen; null while it changes hands.
    pub owner: Option<String>,
    /// `idle`, `taking_over`, `serving` or `giving_back`: where it stands with the instance that was asked.
    pub state: String,
    /// Offset of the log up to which that instance has it; null where it is idle. For operators: offsets have holes.
    pub log_offset: Option<u64>,
    /// Commands that wait for it at that instance.
    pub waiting_commands: u64,
}

/// An RFC 9457 problem document: why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Relative reference of the page that explains the code.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Short, the same for each occurrence of the code.
    #[serde(default)]
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened this time, for a person.
    #[serde(default)]
    pub detail: String,
    /// Stable, for a program; its page is `docs/errors/<code>.md`.
    pub code: String,
    /// Further members by code, such as `field` or `current_sequence`.
    #[serde(flatten)]
    pub extensions: Map<String, Value>,
}
