//! The bubblewrap command line: the machine read-only, homes and other sessions hidden, the session's folders writable.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::View;
use super::places::{self, Place};
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
    command.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]);
    command.args(["--unshare-pid", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"]);
    // Sockets of the machine's services live in /run; only name resolution is needed from it.
    let of_machine = ["/tmp", "/run"].into_iter().map(PathBuf::from).chain(tools::home());
    let hidden = of_machine.chain(places::existing(&view.hidden)).collect();
    let shown = tools::folders().into_iter().chain(view.readable.iter().cloned()).chain([program.to_owned()]);
    let shown = shown.chain(["/run/systemd/resolve".into()]).flat_map(|path| real_places(&path)).collect();
    for place in places::in_order(hidden, shown) {
        match place {
            Place { path, hidden: false } => command.arg("--ro-bind-try").arg(&path).arg(&path),
            Place { path, .. } if path.is_file() => command.args(["--ro-bind", "/dev/null"]).arg(path),
            Place { path, .. } => command.arg("--tmpfs").arg(path),
        };
    }
    let session = &view.session;
    for path in [&view.workspace, &session.data(), &session.artifacts()] {
        command.arg("--bind").arg(path).arg(path);
    }
    command.arg("--ro-bind").arg(session.context()).arg(session.context());
    // By a path without symlinks in it: those of hidden folders are not shown again.
    let program = real_places(program).into_iter().next().unwrap_or_else(|| program.to_owned());
    command.arg("--chdir").arg(&view.workspace).arg("--").arg(program).args(arguments);
    command
}

/// Where a path really is, and, where it is a symlink itself, what it points to. Bubblewrap cannot mount through
/// symlinks.
fn real_places(path: &Path) -> Vec<PathBuf> {
    let by_name = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    let mut places: Vec<_> = by_name().into_iter().chain(path.canonicalize().ok()).collect();
    places.dedup();
    places
}
