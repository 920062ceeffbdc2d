//! What is on disk about a session while it lives, so that a runner that died can be cleaned up after.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::control::Lease;
use crate::files;
use crate::git::{self, Repository, Worktree};
use crate::layout::SessionFolders;

/// A session's worktree, as git must be told to forget it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspaceRecord {
    /// The folder.
    pub path: PathBuf,
    /// Where git keeps what it knows of it.
    pub admin_dir: PathBuf,
}

/// What is on disk about a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The session; the mark of its processes.
    pub session_id: Uuid,
    /// Its lease.
    pub lease: Lease,
    /// The repository it works on.
    pub repository_path: PathBuf,
    /// Its worktree, once it has one.
    pub workspace: Option<WorkspaceRecord>,
}

impl SessionRecord {
    /// The record of a session without a workspace.
    pub fn new(session_id: Uuid, lease: Lease, repository_path: impl Into<PathBuf>) -> Self {
        Self { session_id, lease, repository_path: repository_path.into(), workspace: None }
    }

    /// Writes it durably.
    pub fn write(&self, session: &SessionFolders) -> io::Result<()> {
        files::write_durably(&session.record(), self)
    }

    /// Notes the worktree, durably.
    pub fn note(&mut self, worktree: &Worktree, session: &SessionFolders) -> io::Result<()> {
        let (path, admin_dir) = (worktree.path().to_owned(), worktree.admin_dir().to_owned());
        self.workspace = Some(WorkspaceRecord { path, admin_dir });
        self.write(session)
    }

    /// Reads it.
    pub fn read(session: &SessionFolders) -> io::Result<Self> {
        Self::read_from(&session.record())
    }

    /// Reads it from a file.
    pub fn read_from(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(path)?)?)
    }

    /// Removes the worktree, if there is one.
    pub async fn remove_workspace(&self) -> Result<(), git::Error> {
        let Some(workspace) = &self.workspace else { return Ok(()) };
        let repository = Repository::open(&self.repository_path).await?;
        let _guard = repository.lock().await?;
        repository.remove_worktree(&workspace.path, &workspace.admin_dir).await
    }
}
