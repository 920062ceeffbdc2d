//! Confinement by the kernel's Landlock, for machines without bubblewrap: only what is named can be opened at all.
//!
//! Weaker than bubblewrap: the numbers of other processes stay visible, and signals to them are forbidden only by newer
//! kernels. There is no private /tmp (the session's own folder is its TMPDIR) and nothing in /proc of any process, since
//! Landlock would let the runner's environment be read there.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::View;
use super::{places, tools};
use crate::sys::landlock::{self, Access};

/// The first version of Landlock that can forbid all that must be: it knows truncation.
const VERSION_MIN: u32 = 3;

/// Folders of the machine that hold programs and their settings.
const MACHINE: [&str; 19] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/loadavg",
    "/proc/filesystems",
    "/proc/version",
    "/proc/sys",
    "/sys",
    "/run/systemd/resolve",
];

/// The kernel's version of Landlock, if it is enough.
pub(super) fn detect() -> Result<u32, String> {
    match landlock::version() {
        Ok(version) if version >= VERSION_MIN => Ok(version),
        Ok(version) => Err(format!("the kernel's Landlock is of version {version}, {VERSION_MIN} is needed")),
        Err(error) => Err(format!("the kernel has no Landlock: {error}")),
    }
}

/// The command that runs `program` for a session.
pub(super) fn command(version: u32, program: &Path, arguments: &[String], view: &View) -> io::Result<Command> {
    let mut command = Command::new(program);
    command.args(arguments);
    landlock::confine(&mut command, ruleset(version, program, view)?);
    Ok(command)
}

fn ruleset(version: u32, program: &Path, view: &View) -> io::Result<OwnedFd> {
    let rules = landlock::empty_rules(version)?;
    let hidden = places::existing(&view.hidden);
    // Rules only ever add: what holds something hidden is allowed around it.
    let machine = MACHINE.iter().map(PathBuf::from).chain(tools::folders());
    let mut readable = Vec::new();
    for path in machine {
        readable.extend(places::without(&path, &hidden)?);
    }
    // What is shown to this session is shown inside of hidden folders too.
    for path in places::existing(&view.readable) {
        let inside: Vec<_> = hidden.iter().filter(|folder| !path.starts_with(folder)).cloned().collect();
        readable.extend(places::without(&path, &inside)?);
    }
    let session = &view.session;
    readable.extend(places::existing(&[program.to_owned(), session.context()]));
    for path in readable {
        landlock::allow(&rules, version, &path, Access::Read)?;
    }
    let mut writable = places::without(Path::new("/dev"), &hidden)?;
    writable.extend([view.workspace.clone(), session.data(), session.artifacts()]);
    for path in writable {
        landlock::allow(&rules, version, &path, Access::Write)?;
    }
    Ok(rules)
}
