//! Keeping what a session runs from the rest of the machine.
//!
//! It must never let a session see another session's files, the runner's own data, or a person's home.

mod bubblewrap;
mod landlock;
mod places;
mod tools;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use muster_service_kit::config::Sandbox as Mode;

use crate::layout::SessionFolders;

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing here can confine an agent. Install bubblewrap, or choose `runner.sandbox = "none"` knowingly.
    #[error(
        "agents cannot be sandboxed: {0}. Install the package `bubblewrap` (and allow user namespaces), or set \
         runner.sandbox to \"none\" to run agents with the runner's own rights"
    )]
    Unavailable(String),
}

/// What a session's process may see.
#[derive(Debug, Clone)]
pub struct View {
    /// The session: its folders are writable, its context apart.
    pub session: SessionFolders,
    /// The folder it works in, writable.
    pub workspace: PathBuf,
    /// What else must be readable where it would be hidden: the repository, programs.
    pub readable: Vec<PathBuf>,
    /// What must not be seen, the session's own folders and what is readable apart: the runner's data directory, secrets.
    pub hidden: Vec<PathBuf>,
}

/// How processes are confined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sandbox {
    /// By bubblewrap: own process ids, own /tmp, nothing writable but the session's folders.
    Bubblewrap(PathBuf),
    /// By the kernel's Landlock, of this version: nothing can be opened but what is named.
    Landlock(u32),
    /// Not at all.
    None,
}

impl Sandbox {
    /// The sandbox of that mode, tried out once.
    pub async fn detect(mode: Mode) -> Result<Self, Error> {
        if mode == Mode::None {
            tracing::warn!("agents run without a sandbox, with the runner's own rights");
            return Ok(Self::None);
        }
        let why = match bubblewrap::detect().await {
            Ok(program) => return Ok(Self::Bubblewrap(program)),
            Err(why) if mode == Mode::Bubblewrap => return Err(Error::Unavailable(why)),
            Err(why) => why,
        };
        match Self::landlock() {
            Ok(sandbox) => {
                tracing::warn!(%why, "agents are confined by Landlock alone");
                Ok(sandbox)
            }
            Err(Error::Unavailable(also)) => Err(Error::Unavailable(format!("{why}; {also}"))),
        }
    }

    /// The sandbox that needs nothing but the kernel.
    pub fn landlock() -> Result<Self, Error> {
        landlock::detect().map(Self::Landlock).map_err(Error::Unavailable)
    }

    /// The command that runs `program` in this sandbox.
    pub fn command(&self, program: &Path, arguments: &[String], view: &View) -> io::Result<Command> {
        match self {
            Self::Bubblewrap(bubblewrap) => Ok(bubblewrap::command(bubblewrap, program, arguments, view)),
            Self::Landlock(version) => landlock::command(*version, program, arguments, view),
            Self::None => {
                let mut command = Command::new(program);
                command.args(arguments);
                Ok(command)
            }
        }
    }

    /// Whether a process ended by a signal shows as exit code 128 and more.
    pub const fn reports_signals_as_codes(&self) -> bool {
        matches!(self, Self::Bubblewrap(_))
    }
}
