//! What is to be started, and starting it: with a cleared environment, in a group of its own, marked with its session.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::watch::Process;
use super::{MARKER, spawner};
use crate::sandbox::{Sandbox, View};
use crate::sys;

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program. A person must correct the configuration or install it.
    #[error("command not found: {0}")]
    NotFound(String),
    /// The system refused to start it.
    #[error("{program} could not start: {source}")]
    Io {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// What is to be started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Its whole environment, the session's marker apart.
    pub env: BTreeMap<String, String>,
    /// What it sees of the machine, and the session it belongs to.
    pub view: View,
    /// Whether something will be written to its standard input.
    pub with_input: bool,
}

impl Launch {
    /// Starts it in the session's workspace.
    pub async fn start(&self, sandbox: &Sandbox) -> Result<Process, Error> {
        let [program, arguments @ ..] = self.command.as_slice() else { return Err(Error::NotFound(String::new())) };
        let search = self.env.get("PATH").map_or("", String::as_str);
        let found =
            resolve_program(program, &self.view.workspace, search).ok_or_else(|| Error::NotFound(program.clone()))?;
        let failed = |source| Error::Io { program: program.clone(), source };
        let mut command = sandbox.command(&found, arguments, &self.view).map_err(failed)?;
        self.prepare(&mut command);
        let child = spawner::spawn(command).await.map_err(failed)?;
        Process::new(child, self.view.session.id, sandbox.reports_signals_as_codes())
            .ok_or_else(|| failed(io::Error::other("it has no process id")))
    }

    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(&self.view.workspace)
            .env_clear()
            .envs(&self.env)
            .env(MARKER, self.view.session.id.to_string())
            .stdin(if self.with_input { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        sys::isolate(command);
    }
}

/// The file that `program` means: itself with a slash in it (relative to `folder`), otherwise the first in `search`.
pub fn resolve_program(program: &str, folder: &Path, search: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &PathBuf| path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if program.is_empty() {
        return None;
    }
    if program.contains('/') {
        return Some(folder.join(program)).filter(runs);
    }
    std::env::split_paths(search).map(|entry| folder.join(entry).join(program)).find(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let folder = Path::new("/usr");
        assert_eq!(resolve_program("sh", folder, "/nowhere:/bin"), Some("/bin/sh".into()));
        assert_eq!(resolve_program("bin/env", folder, ""), Some("/usr/bin/env".into()));
        assert_eq!(resolve_program("no-such-program", folder, "/bin"), None);
        assert_eq!(resolve_program("/etc/passwd", folder, "/bin"), None);
    }
}
