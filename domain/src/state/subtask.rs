//! A subtask: a chunk of an approved plan.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SubtaskId};
use crate::model::SubtaskStatus;

/// A subtask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subtask {
    /// Its id.
    pub id: SubtaskId,
    /// What it does.
    pub title: String,
    /// How.
    pub description: String,
    /// Subtasks that must be merged first.
    pub depends_on: Vec<SubtaskId>,
    /// Where it stands.
    pub status: SubtaskStatus,
    /// Run that works or last worked on it.
    pub run_id: Option<RunId>,
    /// Commit that holds its work.
    pub commit: Option<String>,
    /// Runs that failed on it since the last retry a person asked for.
    pub failed_attempts: u32,
}

impl Subtask {
    /// Branch its work is done on.
    pub fn branch_name(&self) -> String {
        format!("muster/sub-{}", short(self.id.0))
    }
}

/// The last 12 hexadecimal digits of an id: the random part of a UUIDv7.
pub(super) fn short(id: uuid::Uuid) -> String {
    let text = id.simple().to_string();
    text[20..].to_owned()
}
