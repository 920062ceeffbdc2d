//! The two system calls the standard library does not wrap: a signal to a process, and a signal at the parent's death.
//!
//! The only place in this crate with `unsafe`.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Sends `signal` to process `pid`. An error of kind `NotFound` or `ESRCH` means it is gone.
#[expect(unsafe_code, reason = "kill(2) takes two integers and touches no memory of ours")]
pub fn kill(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: no pointers are involved.
    if unsafe { libc::kill(pid, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes the process that `command` starts receive `signal` when the *thread* that spawned it ends.
///
/// Also covers a parent that died between fork and this call. Must be spawned from a thread that lives as long as the
/// process, which is what [`crate::process`] sees to.
#[expect(unsafe_code, reason = "pre_exec is the only way to call prctl(2) in the child")]
pub fn die_with_parent(command: &mut Command, signal: i32) {
    let parent = std::process::id();
    let hook = move || {
        // SAFETY: prctl and getppid are async-signal-safe and take no pointers here.
        let (set, now) = unsafe {
            (libc::prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::from(signal.unsigned_abs())), libc::getppid())
        };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
        if u32::try_from(now) != Ok(parent) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: the hook only makes async-signal-safe calls and does not allocate.
    unsafe { command.pre_exec(hook) };
}
