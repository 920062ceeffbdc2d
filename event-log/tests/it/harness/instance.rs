//! An instance that does what it is told of partitions, and a board where everyone can see who holds what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use muster_event_log::{Change, EventLog, Member, Membership};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::PARTITIONS;

/// Long enough for a machine that is busy with other tests: whoever should stay is not taken for dead.
const SESSION_TIMEOUT_MS: u64 = 15_000;

/// For a member that is to be taken for dead, so that a test does not wait long for it.
pub const SHORT_SESSION_TIMEOUT_MS: u64 = 3_000;

/// Longest any step may take: servers come back in it, on a machine with other work. Reached only when something is broken.
pub const DEADLINE: Duration = Duration::from_mins(3);

/// Who holds each partition. Two at once is what the board is there to find.
#[derive(Default)]
pub struct Board {
    holders: Mutex<BTreeMap<u32, BTreeSet<String>>>,
    shared: Mutex<Vec<String>>,
}

impl Board {
    fn take(&self, partition: u32, who: &str) {
        let mut holders = self.holders.lock();
        let of_this = holders.entry(partition).or_default();
        assert!(of_this.insert(who.to_owned()), "{who} was told twice to take {partition}");
        if of_this.len() > 1 {
            self.shared.lock().push(format!("{partition}: {of_this:?}"));
        }
    }

    fn let_go(&self, partition: u32, who: &str) {
        let held = self.holders.lock().entry(partition).or_default().remove(who);
        assert!(held, "{who} was told to let go of {partition}, which it did not have");
    }

    fn forget(&self, who: &str) {
        for names in self.holders.lock().values_mut() {
            names.remove(who);
        }
    }

    pub fn held_by(&self, who: &str) -> BTreeSet<u32> {
        let holders = self.holders.lock();
        holders.iter().filter(|(_, names)| names.contains(who)).map(|(partition, _)| *partition).collect()
    }

    /// Moments in which two held a partition.
    pub fn shared(&self) -> Vec<String> {
        self.shared.lock().clone()
    }
}

/// A running instance.
pub struct Instance {
    pub url: String,
    pub membership: Arc<dyn Membership>,
    board: Arc<Board>,
    lost: Arc<Mutex<BTreeSet<u32>>>,
    running: JoinHandle<()>,
}

impl Instance {
    /// Joins. What it gives back takes it `effort`.
    pub async fn join(log: &dyn EventLog, name: &str, board: &Arc<Board>, effort: Duration) -> Self {
        Self::join_for(log, name, board, effort, SESSION_TIMEOUT_MS).await
    }

    /// As [`Instance::join`], with another session timeout.
    pub async fn join_for(
        log: &dyn EventLog,
        name: &str,
        board: &Arc<Board>,
        effort: Duration,
        session_timeout_ms: u64,
    ) -> Self {
        let url = format!("http://{name}:1");
        let member = Member { url: url.clone(), session_timeout_ms };
        let membership = log.join(member).await.expect("a place");
        let lost = Arc::new(Mutex::new(BTreeSet::new()));
        let running = tokio::spawn({
            let (membership, board, lost, url) =
                (Arc::clone(&membership), Arc::clone(board), Arc::clone(&lost), url.clone());
            async move {
                while let Some(change) = membership.next().await {
                    match change {
                        Change::Take { partition } => board.take(partition, &url),
                        Change::GiveBack { partition, done } => {
                            tokio::time::sleep(effort).await;
                            board.let_go(partition, &url);
                            let _ = done.send(());
                        }
                        Change::Lost { partition } => {
                            lost.lock().insert(partition);
                            board.let_go(partition, &url);
                        }
                    }
                }
            }
        });
        Self { url, membership, board: Arc::clone(board), lost, running }
    }

    pub fn held(&self) -> BTreeSet<u32> {
        self.board.held_by(&self.url)
    }

    pub fn lost(&self) -> BTreeSet<u32> {
        self.lost.lock().clone()
    }

    /// Ends without a word, as a killed process does.
    pub fn kill(self) {
        self.running.abort();
        self.board.forget(&self.url);
    }

    /// Leaves; everything was given back then.
    pub async fn leave(self) {
        tokio::time::timeout(DEADLINE, self.membership.leave()).await.expect("it leaves in time");
        tokio::time::timeout(DEADLINE, self.running).await.expect("no change comes any more").expect("no panic");
        assert_eq!(self.board.held_by(&self.url), BTreeSet::new(), "{} left with partitions", self.url);
    }
}

/// Waits until the instances hold every partition once, evenly, and each knows it of all.
pub async fn settled(instances: &[&Instance]) {
    let everything: BTreeSet<u32> = (0..PARTITIONS).collect();
    let fair = PARTITIONS as usize / instances.len();
    let mut last = String::new();
    let reached = tokio::time::timeout(DEADLINE, async {
        loop {
            let held: Vec<_> = instances.iter().map(|instance| instance.held()).collect();
            let owners: Vec<_> =
                instances.iter().map(|instance| instance.membership.owners().borrow().clone()).collect();
            last = format!("{held:?} {owners:?}");
            let all: BTreeSet<u32> = held.iter().flatten().copied().collect();
            let sum: usize = held.iter().map(BTreeSet::len).sum();
            let even = held.iter().all(|held| (fair..=fair + 1).contains(&held.len()));
            let agreed = owners.iter().all(|owners| {
                owners.len() == PARTITIONS as usize
                    && owners.iter().all(|(partition, url)| {
                        instances.iter().any(|instance| *instance.url == **url && instance.held().contains(partition))
                    })
            });
            if all == everything && sum == everything.len() && even && agreed {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(reached.is_ok(), "not settled: {last}");
}
