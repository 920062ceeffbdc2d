//! An agent session: who works, where, on what.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SessionId, TaskId};
use crate::model::SessionStatus;
use crate::time::Timestamp;

/// An agent session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Name its runner gave it.
    pub session_key: String,
    /// What it is doing.
    pub status: SessionStatus,
    /// Its workspace on the runner's machine.
    pub workspace_dir: String,
    /// Its data directory on the runner's machine.
    pub data_dir: String,
    /// Task it works on.
    pub current_task_id: Option<TaskId>,
    /// Run it works in.
    pub current_run_id: Option<RunId>,
    /// When it was spawned.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub last_activity_at: Timestamp,
    /// Tokens it has used, as far as agents reported them.
    pub tokens_used: u64,
}

impl Session {
    /// Whether it came to its end: it does nothing more.
    pub fn has_ended(&self) -> bool {
        matches!(self.status, SessionStatus::Completed | SessionStatus::Failed)
    }
}
