//! Events: what happens to the chunks of an approved plan.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SubtaskId};
use crate::model::SubtaskStatus;

/// `chunk.started`: A coder took a subtask up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkStarted {
    /// The subtask.
    pub subtask_id: SubtaskId,
    /// Its run.
    pub run_id: RunId,
}

/// `chunk.completed`: A subtask's work passed its verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkCompleted {
    /// The subtask.
    pub subtask_id: SubtaskId,
    /// Its run.
    pub run_id: RunId,
    /// Commit that holds it.
    #[serde(default)]
    pub commit: Option<String>,
}

/// `subtask.status_changed`: A subtask moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskStatusChanged {
    /// The subtask.
    pub subtask_id: SubtaskId,
    /// Status it left; null when it is new.
    #[serde(default)]
    pub old_status: Option<SubtaskStatus>,
    /// Status it has.
    pub new_status: SubtaskStatus,
}

/// `subtask.unblocked`: The last subtask that one waited for is merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskUnblocked {
    /// The subtask that may start.
    pub subtask_id: SubtaskId,
    /// The one that was merged last.
    pub unblocked_by_id: SubtaskId,
}
