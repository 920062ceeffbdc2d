//! How many connections a process may have open. Each is an open file, of which the system allows so many: it must never
//! run out of those for its own.

/// Files for everything but the connections it answers: its servers, its log, its children.
const OWN_FILES: u64 = 1_024;

/// Makes room for so many connections. What the system does not allow is left out, with a line that says so.
pub(crate) fn room_for(connections: usize) -> usize {
    let wanted = (connections as u64).saturating_add(OWN_FILES);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(allowed) if allowed >= wanted => connections,
        Ok(allowed) => {
            let room = beside_own(allowed);
            tracing::warn!(
                allowed,
                wanted,
                room,
                "fewer files may be open than `http.max_connections` asks for (`ulimit -n`)"
            );
            room.min(connections)
        }
        Err(error) => {
            tracing::warn!(%error, "how many files may be open is not known");
            connections
        }
    }
}

/// Where few files are allowed, half of them are for connections.
fn beside_own(allowed: u64) -> usize {
    usize::try_from(allowed.saturating_sub(OWN_FILES).max(allowed / 2)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_keeps_files_for_itself() {
        assert_eq!((beside_own(20_000), beside_own(1_500), beside_own(256)), (18_976, 750, 128));
        assert_eq!(room_for(1), 1);
        let (soft, hard) = rlimit::Resource::NOFILE.get().unwrap();
        assert!(soft >= hard.min(1 + OWN_FILES), "{soft} of {hard}");
    }
}
