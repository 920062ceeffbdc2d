//! Events: worktrees, snapshots, branches and pull requests.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SnapshotId};
use crate::model::FileChange;

/// `file.modified`: A run's commit changes a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileModified {
    /// The run.
    pub run_id: RunId,
    /// Path in the repository.
    pub path: String,
    /// What happened to it.
    pub change: FileChange,
    /// Lines added.
    pub lines_added: u32,
    /// Lines removed.
    pub lines_removed: u32,
}

/// `workspace.acquired`: A run has its isolated worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceAcquired {
    /// The run.
    pub run_id: RunId,
    /// Path on the runner's machine.
    pub path: String,
    /// Branch it is on.
    pub branch: String,
    /// Commit it starts from.
    pub base_commit: String,
}

/// `workspace.released`: A run's worktree is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceReleased {
    /// The run.
    pub run_id: RunId,
    /// Path it had.
    pub path: String,
}

/// `snapshot.created`: A restorable point of a workspace was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotCreated {
    /// The run.
    pub run_id: RunId,
    /// Its id.
    pub snapshot_id: SnapshotId,
    /// Commit that holds it.
    pub commit: String,
    /// Iteration.
    pub iteration: u32,
}

/// `snapshot.restored`: A workspace was put back to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRestored {
    /// The run.
    pub run_id: RunId,
    /// Its id.
    pub snapshot_id: SnapshotId,
    /// Commit that holds it.
    pub commit: String,
}

/// `pr.created`: A pull request was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrCreated {
    /// The run.
    pub run_id: RunId,
    /// Its URL.
    pub pr_url: String,
    /// Its branch.
    pub branch_name: String,
    /// Its title.
    pub title: String,
}

/// `pr.merged`: A pull request was merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrMerged {
    /// The run.
    pub run_id: RunId,
    /// Its URL.
    pub pr_url: String,
    /// Commit it is merged in.
    #[serde(default)]
    pub merge_commit: Option<String>,
}

/// `branch.merged`: A branch was merged in the local repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchMerged {
    /// The run.
    pub run_id: RunId,
    /// Branch that was merged.
    pub branch: String,
    /// Branch it was merged into.
    pub into: String,
    /// Commit it is merged in.
    pub merge_commit: String,
}
