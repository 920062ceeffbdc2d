//! Git by its own binary: worktrees, commits, branches and merges, without ever touching what a person has checked out
//! except to bring it along with a branch that moved.
//!
//! It must never run a hook, a pager or an editor, and never trust a `.git` file that an agent could have written.

mod branch;
mod changes;
mod child;
mod merge;
mod repository;
mod worktree;

pub use changes::Change;
pub use merge::Merge;
pub use repository::{Guard, Repository};
pub use worktree::Worktree;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use muster_client::domain::model::{BuildError, BuildErrorKind};

/// Longest time one git command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_mins(5);

/// Settings that keep a repository's or a person's configuration from running programs in our name.
const SAFE_SETTINGS: [&str; 7] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "commit.gpgsign=false",
    "diff.ignoreSubmodules=all",
    "submodule.recurse=false",
    "gc.auto=0",
    "advice.detachedHead=false",
];

/// Why git could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The path is no git repository. A person must correct the project.
    #[error("{} is no git repository: {detail}", path.display())]
    NotARepository {
        /// The path.
        path: PathBuf,
        /// What git said.
        detail: String,
    },
    /// A branch that must exist does not. A person must correct the project.
    #[error("the repository has no branch {branch}")]
    NoBranch {
        /// The branch.
        branch: String,
    },
    /// Two branches change the same lines. Another try from the new tip, or a person, resolves it.
    #[error("{theirs} and {ours} change the same lines of {}", files.join(", "))]
    Conflict {
        /// Branch merged into.
        ours: String,
        /// What was to be merged.
        theirs: String,
        /// The files.
        files: Vec<String>,
    },
    /// A branch was moved by someone else meanwhile. Try again from its new tip.
    #[error("{branch} moved meanwhile: it is not at {expected}")]
    Moved {
        /// The branch.
        branch: String,
        /// Commit it was expected at.
        expected: String,
    },
    /// The branch is checked out and git will not bring that tree along without losing changes. A person must commit
    /// or put aside what stands there.
    #[error("{branch} is checked out in {} and was not moved, so that nothing there is lost: {detail}", path.display())]
    CheckedOut {
        /// The branch.
        branch: String,
        /// Where it is checked out.
        path: PathBuf,
        /// What git said.
        detail: String,
    },
    /// Git failed.
    #[error("git {command}: {detail}")]
    Failed {
        /// Its arguments.
        command: String,
        /// What it said.
        detail: String,
    },
    /// A file operation around git failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Error {
    fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// As people read it on the board.
    pub fn to_build_error(&self) -> BuildError {
        let kind = match self {
            Self::Conflict { .. } => BuildErrorKind::MergeConflict,
            _ => BuildErrorKind::Workspace,
        };
        BuildError { kind, message: self.to_string(), exit_code: None, log_excerpt: None }
    }
}

/// Where a git command works.
#[derive(Debug, Clone)]
struct Place {
    /// Folder it is started in.
    folder: PathBuf,
    /// `GIT_DIR`, where it must not be found by looking.
    git_dir: Option<PathBuf>,
}

/// What a git command said.
struct Said {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// NUL-separated fields, without empty ones.
    fn fields(&self) -> Vec<String> {
        self.stdout
            .split(|byte| *byte == 0)
            .filter(|field| !field.is_empty())
            .map(|field| String::from_utf8_lossy(field).into_owned())
            .collect()
    }
}

impl Place {
    fn folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), git_dir: None }
    }

    /// Runs git and gives what it said, whatever its exit code.
    async fn ask(&self, arguments: &[&str]) -> Result<Said, Error> {
        self.ask_within(arguments, tokio::time::sleep(COMMAND_TIMEOUT)).await
    }

    /// The same, with another limit.
    async fn ask_within(&self, arguments: &[&str], limit: impl Future<Output = ()>) -> Result<Said, Error> {
        let mut command = tokio::process::Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        for setting in SAFE_SETTINGS {
            command.args(["-c", setting]);
        }
        if let Some(git_dir) = &self.git_dir {
            command.env("GIT_DIR", git_dir).env("GIT_WORK_TREE", &self.folder);
        }
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Muster").env(format!("GIT_{role}_EMAIL"), "muster@localhost");
        }
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_EDITOR", "true")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let failed = |detail: String| Error::Failed { command: arguments.join(" "), detail };
        let output = child::output(&mut command, limit)
            .await
            .map_err(|error| failed(error.to_string()))?
            .ok_or_else(|| failed("it took too long and was ended".to_owned()))?;
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok(Said { code: output.status.code(), stdout: output.stdout, stderr })
    }

    /// Runs git; an exit code but 0 is an error.
    async fn run(&self, arguments: &[&str]) -> Result<Said, Error> {
        let said = self.ask(arguments).await?;
        if said.code == Some(0) {
            return Ok(said);
        }
        Err(Error::Failed { command: arguments.join(" "), detail: said.stderr })
    }
}
