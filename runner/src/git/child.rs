//! A git process, and the end of one that takes too long.
//!
//! It must never begin with SIGKILL: git removes its lock files on SIGTERM, and one that is left behind stops everybody
//! who wants to change the same branch or index until a person removes it.

use std::io;
use std::process::Output;
use std::time::Duration;

use tokio::process::Command;

use crate::sys;

/// Time between the polite signal and the other one.
const TERM_GRACE: Duration = Duration::from_secs(5);

/// Runs git to its end, or ends it at `limit`: `None`. What nobody waits for any more is ended as well.
pub(super) async fn output(command: &mut Command, limit: impl Future<Output = ()>) -> io::Result<Option<Output>> {
    // A group of its own: what git starts has locks as well.
    let child = command.process_group(0).spawn()?;
    let mut group = Group { leader: child.id() };
    let mut ending = Box::pin(child.wait_with_output());
    let ended = tokio::select! {
        biased;
        ended = &mut ending => Some(ended),
        () = limit => {
            group.signal(libc::SIGTERM);
            if tokio::time::timeout(TERM_GRACE, &mut ending).await.is_err() {
                group.signal(libc::SIGKILL);
                // Killed is killed; what it said does not matter.
                let _ = ending.await;
            }
            None
        }
    };
    group.leader = None;
    ended.transpose()
}

/// The processes of one command. Dropped before they ended, they are asked to.
struct Group {
    leader: Option<u32>,
}

impl Group {
    fn signal(&self, signal: i32) {
        if let Some(leader) = self.leader {
            // An error means that all of them have ended meanwhile.
            let _ = sys::kill_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(libc::SIGTERM);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use super::super::Place;
    use super::*;

    const DEADLINE: Duration = Duration::from_mins(1);

    /// A repository that a commit can be made in only after `filter`, a shell command, has ended.
    async fn repository(filter: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::folder(folder.path());
        place.run(&["init", "--quiet"]).await.unwrap();
        place.run(&["config", "filter.slow.clean", filter]).await.unwrap();
        fs::write(folder.path().join(".gitattributes"), "slow filter=slow\n").unwrap();
        fs::write(folder.path().join("slow"), "slow\n").unwrap();
        folder
    }

    async fn exists(path: &Path) {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn lock(folder: &TempDir) -> std::path::PathBuf {
        folder.path().join(".git/index.lock")
    }

    #[tokio::test]
    async fn a_git_that_takes_too_long_leaves_no_lock_behind() {
        let folder = repository("touch .git/filtering; sleep 1000").await;
        let place = Place::folder(folder.path());
        let filtering = folder.path().join(".git/filtering");
        let limit = async {
            exists(&filtering).await;
            assert!(lock(&folder).exists(), "git holds no lock that it could leave");
        };
        let asked = tokio::time::timeout(DEADLINE, place.ask_within(&["add", "."], limit)).await.unwrap();
        assert!(asked.is_err(), "it was not ended");
        assert!(!lock(&folder).exists(), "the lock is left");
    }

    #[tokio::test]
    async fn a_git_that_nobody_waits_for_leaves_no_lock_behind() {
        let folder = repository("touch .git/filtering; sleep 1000").await;
        let place = Place::folder(folder.path());
        let filtering = folder.path().join(".git/filtering");
        tokio::select! {
            _ = place.ask(&["add", "."]) => panic!("the filter has not ended"),
            () = exists(&filtering) => {}
        }
        let gone = async {
            while lock(&folder).exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, gone).await.expect("the lock is left");
    }

    #[tokio::test]
    async fn what_does_not_heed_the_polite_signal_is_killed() {
        let folder = repository("trap '' TERM; echo $$ > .git/filter; while :; do sleep 1; done").await;
        let place = Place::folder(folder.path());
        let filter = folder.path().join(".git/filter");
        let asked = tokio::time::timeout(DEADLINE, place.ask_within(&["add", "."], exists(&filter))).await.unwrap();
        assert!(asked.is_err(), "it was not ended");
        let stat = format!("/proc/{}/stat", fs::read_to_string(&filter).unwrap().trim());
        let gone = async {
            // Whoever inherits it may take its time to bury it.
            while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, gone).await.expect("the filter lives on");
    }
}
