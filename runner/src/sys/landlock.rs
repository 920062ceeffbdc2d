//! The three calls of Landlock, and their structures from linux/landlock.h.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What a Landlock rule allows beneath a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading, listing and executing.
    Read,
    /// All of it.
    Write,
}

// Landlock's access rights, from linux/landlock.h.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// What can be allowed for what is no folder.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;
/// Abstract sockets and signals of those outside.
const SCOPES: u64 = 0b11;

/// `struct landlock_ruleset_attr`
#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`
#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// All rights that a version of Landlock knows.
const fn rights_of(version: u32) -> u64 {
    match version {
        0..=2 => 0,
        3 | 4 => (1 << 15) - 1,
        _ => (1 << 16) - 1,
    }
}

fn checked(returned: libc::c_long) -> io::Result<i32> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { i32::try_from(returned).map_err(io::Error::other) }
}

/// The version of Landlock in the running kernel.
#[expect(unsafe_code, reason = "landlock_create_ruleset(2) has no wrapper")]
pub fn version() -> io::Result<u32> {
    const VERSION: libc::c_ulong = 1;
    let nothing = std::ptr::null::<RulesetAttributes>();
    // SAFETY: with this flag the kernel reads no memory.
    let returned = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION) };
    u32::try_from(checked(returned)?).map_err(io::Error::other)
}

/// An empty set of rules, under which nothing is allowed.
#[expect(unsafe_code, reason = "landlock_create_ruleset(2) has no wrapper")]
pub fn empty_rules(version: u32) -> io::Result<OwnedFd> {
    let scoped = if version >= 6 { SCOPES } else { 0 };
    let attributes = RulesetAttributes { handled_access_fs: rights_of(version), handled_access_net: 0, scoped };
    // Older kernels know fewer fields.
    let size = match version {
        0..=3 => 8_usize,
        4 | 5 => 16,
        _ => 24,
    };
    // SAFETY: the structure lives through the call and is at least `size` bytes long.
    let returned =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, 0 as libc::c_ulong) };
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(checked(returned)?) })
}

/// Allows access to `path` and what is beneath it.
#[expect(unsafe_code, reason = "landlock_add_rule(2) has no wrapper")]
pub fn allow(rules: &OwnedFd, version: u32, path: &Path, access: Access) -> io::Result<()> {
    const PATH_BENEATH: libc::c_ulong = 1;
    let named = File::options().read(true).custom_flags(libc::O_PATH).open(path)?;
    let wanted = match access {
        Access::Read => EXECUTE | READ_FILE | READ_DIR,
        Access::Write => u64::MAX,
    };
    let fitting = if named.metadata()?.is_dir() { u64::MAX } else { OF_FILES };
    let rule = PathBeneath { allowed_access: wanted & fitting & rights_of(version), parent_fd: named.as_raw_fd() };
    // SAFETY: the structure and both descriptors live through the call.
    let returned = unsafe {
        let nothing = 0 as libc::c_ulong;
        libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), PATH_BENEATH, &raw const rule, nothing)
    };
    checked(returned).map(drop)
}

/// Makes what `command` starts obey `rules`, and never gain rights.
#[expect(unsafe_code, reason = "pre_exec is the only way to confine just the child")]
pub fn confine(command: &mut Command, rules: OwnedFd) {
    let hook = move || {
        let nothing = 0 as libc::c_ulong;
        // SAFETY: both calls are async-signal-safe and take no pointers; the descriptor lives as long as this closure.
        let returned = unsafe {
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1 as libc::c_ulong, nothing, nothing, nothing) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), nothing)
        };
        checked(returned).map(drop)
    };
    // SAFETY: the hook makes only async-signal-safe calls and does not allocate.
    unsafe { command.pre_exec(hook) };
}
