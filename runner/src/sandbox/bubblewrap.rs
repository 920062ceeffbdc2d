//! The bubblewrap command line: the machine read-only, homes and other sessions hidden, the session's folders writable.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::View;
use super::tools;
use crate::process::resolve_program;

/// Finds bubblewrap and sees whether it may work here.
pub(super) async fn detect() -> Result<PathBuf, String> {
    let search = std::env::var("PATH").unwrap_or_default();
    let found = resolve_program("bwrap", Path::new("/"), &search).ok_or("the program `bwrap` is not installed")?;
    let output = tokio::process::Command::new(&found)
        .args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid", "--unshare-ipc", "true"])
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| format!("{} could not start: {error}", found.display()))?;
    if output.status.success() {
        return Ok(found);
    }
    Err(format!("{} does not work here: {}", found.display(), String::from_utf8_lossy(&output.stderr).trim()))
}

/// The command that runs `program` for a session.
pub(super) fn command(bubblewrap: &Path, program: &Path, arguments: &[String], view: &View) -> Command {
    let mut command = Command::new(bubblewrap);
    command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]);
    command.args(["--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"]);
    // Order matters: what is hidden first, then what is shown again inside of it.
    if let Some(home) = tools::home() {
        command.arg("--tmpfs").arg(&home);
        for folder in tools::folders() {
            command.arg("--ro-bind-try").arg(&folder).arg(&folder);
        }
    }
    // Sockets of the machine's services live in /run; only name resolution is needed from it.
    command.args(["--tmpfs", "/run", "--ro-bind-try", "/run/systemd/resolve", "/run/systemd/resolve"]);
    command.arg("--tmpfs").arg(&view.hidden);
    for path in view.readable.iter().map(PathBuf::as_path).chain([program]) {
        command.arg("--ro-bind-try").arg(path).arg(path);
    }
    let session = &view.session;
    for path in [&view.workspace, &session.data(), &session.artifacts()] {
        command.arg("--bind").arg(path).arg(path);
    }
    command.arg("--ro-bind").arg(session.context()).arg(session.context());
    command.arg("--chdir").arg(&view.workspace).arg("--").arg(program).args(arguments);
    command
}
