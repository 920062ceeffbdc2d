//! Events: the queue: claims, leases, sessions.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SessionId, SubtaskId};
use crate::model::{ReleaseReason, Role, SessionStatus};

/// `work.assigned`: A session claimed work. The lease ends at the event's timestamp plus its duration unless renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkAssigned {
    /// The run it starts.
    pub run_id: RunId,
    /// The session.
    pub session_id: SessionId,
    /// The role it plays.
    pub role: Role,
    /// Subtask, for work on one chunk.
    #[serde(default)]
    pub subtask_id: Option<SubtaskId>,
    /// Token every report must carry; grows with each claim in the project.
    pub fencing_token: u64,
    /// Length of the lease in milliseconds.
    pub lease_duration_ms: u64,
    /// 1 for the first try.
    pub attempt: u32,
}

/// `work.progress`: An agent says how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkProgress {
    /// The run.
    pub run_id: RunId,
    /// What it says.
    pub message: String,
    /// 0 to 100.
    #[serde(default)]
    pub percent: Option<u32>,
}

/// `work.released`: A lease ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkReleased {
    /// The run.
    pub run_id: RunId,
    /// The session.
    pub session_id: SessionId,
    /// The token that is no longer valid.
    pub fencing_token: u64,
    /// Why.
    pub reason: ReleaseReason,
}

/// `lease.renewed`: A session is alive; its lease starts anew at this event's timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRenewed {
    /// The run.
    pub run_id: RunId,
    /// The session.
    pub session_id: SessionId,
    /// The lease's token.
    pub fencing_token: u64,
    /// Length in milliseconds.
    pub lease_duration_ms: u64,
}

/// `agent.spawned`: An agent session was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpawned {
    /// The session.
    pub session_id: SessionId,
    /// Name its runner gave it.
    pub session_key: String,
    /// Its workspace on the runner's machine.
    pub workspace_dir: String,
    /// Its data directory on the runner's machine.
    pub data_dir: String,
}

/// `agent.status_changed`: An agent session changed what it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatusChanged {
    /// The session.
    pub session_id: SessionId,
    /// Status it left.
    pub old_status: SessionStatus,
    /// Status it has.
    pub new_status: SessionStatus,
}
