//! Which instance writes which partition, where several divide the partitions of a log between each other.
//!
//! Membership is about who should write; it never makes a write safe. That is the log's fencing: an instance that acts
//! on what it was told too late gets [`Error::Fenced`].

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};

use crate::Error;

/// What an instance tells the others about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where the others reach it: `http://host:port`.
    pub url: String,
    /// How long it may be silent before its partitions are given to others, in milliseconds.
    pub session_timeout_ms: u64,
}

/// The URL of the instance each partition belongs to. A partition that changes hands belongs to nobody.
pub type Owners = BTreeMap<u32, Arc<str>>;

/// A change in what this instance should write.
#[derive(Debug)]
pub enum Change {
    /// Take the partition over and serve it.
    Take {
        /// The partition.
        partition: u32,
    },
    /// Finish what is under way, stop writing, then say so. The next owner is told only then, or when it took too long.
    GiveBack {
        /// The partition.
        partition: u32,
        /// Sent, or dropped, when nothing more will be written.
        done: oneshot::Sender<()>,
    },
    /// The partition is another's already: this instance was not heard of in time, or gave it back too slowly. Stop at
    /// once.
    Lost {
        /// The partition.
        partition: u32,
    },
}

/// A place among the instances of a log.
#[async_trait]
pub trait Membership: Send + Sync {
    /// The next change. `None` once this instance has left and every partition was given back. For one caller.
    async fn next(&self) -> Option<Change>;

    /// Who owns what, as last seen. Seen anew whenever partitions change hands as far as this instance is told of it,
    /// and on [`Membership::refresh`].
    fn owners(&self) -> watch::Receiver<Arc<Owners>>;

    /// Looks who owns what now. The answer is not older than the call, and may contradict what this instance was told
    /// so far: it may have been expelled and not know it yet.
    async fn refresh(&self) -> Result<Arc<Owners>, Error>;

    /// Gives every partition back, each by a [`Change::GiveBack`], then leaves.
    async fn leave(&self);

    /// Whether there is another member now that stays, whatever it owns: one that takes what this instance gives back.
    async fn has_heirs(&self) -> Result<bool, Error>;
}

/// The place of an instance that is alone: it is told to take every partition, once.
pub struct Alone {
    waiting: tokio::sync::Mutex<Vec<Change>>,
    left: tokio_util::sync::CancellationToken,
    owners: watch::Sender<Arc<Owners>>,
}

impl Alone {
    /// Every partition belongs to `member`.
    pub fn new(member: &Member, partitions: u32) -> Self {
        let url: Arc<str> = member.url.as_str().into();
        let owners = (0..partitions).map(|partition| (partition, Arc::clone(&url))).collect();
        let waiting = (0..partitions).rev().map(|partition| Change::Take { partition }).collect();
        Self {
            waiting: tokio::sync::Mutex::new(waiting),
            left: tokio_util::sync::CancellationToken::new(),
            owners: watch::Sender::new(Arc::new(owners)),
        }
    }
}

#[async_trait]
impl Membership for Alone {
    async fn next(&self) -> Option<Change> {
        if let Some(change) = self.waiting.lock().await.pop() {
            return Some(change);
        }
        self.left.cancelled().await;
        self.waiting.lock().await.pop()
    }

    fn owners(&self) -> watch::Receiver<Arc<Owners>> {
        self.owners.subscribe()
    }

    async fn refresh(&self) -> Result<Arc<Owners>, Error> {
        Ok(Arc::clone(&self.owners.borrow()))
    }

    async fn leave(&self) {
        let mut given_back = Vec::new();
        {
            let mut waiting = self.waiting.lock().await;
            waiting.clear();
            for partition in self.owners.send_replace(Arc::default()).keys() {
                let (done, finished) = oneshot::channel();
                waiting.push(Change::GiveBack { partition: *partition, done });
                given_back.push(finished);
            }
        }
        self.left.cancel();
        for finished in given_back {
            // Dropped without a word counts as done.
            drop(finished.await);
        }
    }

    async fn has_heirs(&self) -> Result<bool, Error> {
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_alone_takes_everything_once_and_gives_everything_back() {
        let member = Member { url: "http://me".into(), session_timeout_ms: 1000 };
        let alone = Arc::new(Alone::new(&member, 2));
        for wanted in 0..2 {
            assert!(matches!(alone.next().await, Some(Change::Take { partition }) if partition == wanted));
        }
        assert_eq!(alone.refresh().await.unwrap().get(&1).map(AsRef::as_ref), Some("http://me"));
        let leaving = tokio::spawn({
            let alone = Arc::clone(&alone);
            async move { alone.leave().await }
        });
        for _ in 0..2 {
            let Some(Change::GiveBack { done, .. }) = alone.next().await else { panic!("nothing was given back") };
            assert!(!leaving.is_finished());
            let _ = done.send(());
        }
        leaving.await.unwrap();
        assert!(alone.next().await.is_none());
    }
}
