//! Finding and killing what a session's processes left behind, by the mark in their environment.

use std::io;
use std::time::Duration;

use uuid::Uuid;

use crate::sys;

/// The variable that marks every process of a session.
pub const MARKER: &str = "MUSTER_SESSION_ID";

/// Time the kernel gets to end killed processes.
const DEADLINE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// Kills every process marked with the session, and waits until none is left. Gives how many were found alive.
pub async fn sweep(session: Uuid) -> io::Result<usize> {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let mut found = std::collections::BTreeSet::new();
    loop {
        let alive = crate::files::blocking(move || marked(session)).await?;
        if alive.is_empty() {
            return Ok(found.len());
        }
        for pid in &alive {
            // It may have ended since it was listed.
            let _ = sys::kill(*pid, libc::SIGKILL);
        }
        found.extend(alive);
        if tokio::time::Instant::now() > deadline {
            return Err(io::Error::other(format!("{} processes of session {session} do not end", found.len())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Processes marked with the session. Ended ones have no environment, so they are not among them.
fn marked(session: Uuid) -> io::Result<Vec<u32>> {
    let mark = format!("{MARKER}={session}");
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes of others cannot be read, and processes end while we look: neither is ours to kill.
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            pids.push(pid);
        }
    }
    Ok(pids)
}
