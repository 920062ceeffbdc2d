//! The system calls the standard library does not wrap: signals, the death signal, and opening a file beneath a folder.
//!
//! The only place in this crate with `unsafe`. It must never decide anything: each function is one call.

pub mod landlock;

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Sends `signal` to one process. An error with `ESRCH` means it is gone.
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    send(i32::try_from(pid).map_err(io::Error::other)?, signal)
}

/// Sends `signal` to every process of the group that `leader` leads.
pub fn kill_group(leader: u32, signal: i32) -> io::Result<()> {
    send(-i32::try_from(leader).map_err(io::Error::other)?, signal)
}

#[expect(unsafe_code, reason = "kill(2) takes two integers and touches no memory of ours")]
fn send(target: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no pointers are involved.
    if unsafe { libc::kill(target, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives what `command` starts a session and process group of its own, and SIGKILL when the *thread* that starts it ends.
///
/// Must be spawned from a thread that lives as long as this process, which [`crate::process`] sees to.
#[expect(unsafe_code, reason = "pre_exec is the only way to call setsid(2) and prctl(2) in the child")]
pub fn isolate(command: &mut Command) {
    let parent = std::process::id();
    let hook = move || {
        // SAFETY: setsid, prctl and getppid are async-signal-safe and take no pointers here.
        let (session, death, now) = unsafe {
            let session = libc::setsid();
            (session, libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong), libc::getppid())
        };
        if session < 0 || death != 0 {
            return Err(io::Error::last_os_error());
        }
        // The parent may have died between fork and prctl.
        if u32::try_from(now) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the hook makes only async-signal-safe calls and does not allocate.
    unsafe { command.pre_exec(hook) };
}

/// Opens `path`, relative to `root`, with open(2) `flags`; refuses whatever leads out of `root`, symlinks included.
#[expect(unsafe_code, reason = "openat2(2) has no wrapper, and only it checks and opens in one step")]
pub fn open_beneath(root: &File, path: &Path, flags: i32) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let flags = u64::try_from(flags | libc::O_CLOEXEC).map_err(io::Error::other)?;
    // SAFETY: the structure is plain integers, for which zero is a valid value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = flags;
    how.mode = if flags & libc::O_CREAT as u64 == 0 { 0 } else { 0o644 };
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: both pointers live through the call, and the size is that of the structure.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            std::mem::size_of::<libc::open_how>(),
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}
