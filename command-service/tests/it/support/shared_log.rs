//! A log whose partitions are divided among instances as a test says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use muster_event_log::{
    AgentOutput, Change, DeadLetter, Error, EventLog, LogOffset, LogRecord, Member, Membership, OutputRecord, Owners,
    PartitionWriter,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

type Changes = mpsc::UnboundedReceiver<Change>;

/// Who owns what, and the way to tell them.
pub struct Board {
    owners: watch::Sender<Arc<Owners>>,
    members: Mutex<BTreeMap<String, mpsc::UnboundedSender<Change>>>,
    /// How often each partition was opened for writing.
    opened: Mutex<BTreeMap<u32, usize>>,
    /// Whether what is given back when a member leaves stays nobody's until a test gives it away.
    pub hands_out_by_hand: AtomicBool,
    heirs_asked_for: AtomicUsize,
}

impl Board {
    fn set(&self, partition: u32, url: Option<&str>) {
        self.owners.send_modify(|owners| {
            let mut changed = Owners::clone(owners);
            match url {
                Some(url) => changed.insert(partition, url.into()),
                None => changed.remove(&partition),
            };
            *owners = Arc::new(changed);
        });
    }

    fn tell(&self, url: &str, change: Change) {
        if let Some(member) = self.members.lock().get(url) {
            drop(member.send(change));
        }
    }

    pub fn owner(&self, partition: u32) -> Option<String> {
        self.owners.borrow().get(&partition).map(ToString::to_string)
    }

    /// Waits until an instance has joined.
    pub async fn wait_for(&self, url: &str) {
        muster_test_kit::eventually(super::PATIENCE, || async { self.members.lock().contains_key(url) }).await;
    }

    /// Whether an instance was a member and is none any more.
    pub fn has_left(&self, url: &str) -> bool {
        !self.members.lock().contains_key(url)
    }

    /// How often a member that has left looked for who takes what it had.
    pub fn asked_for_heirs(&self) -> usize {
        self.heirs_asked_for.load(Ordering::SeqCst)
    }

    pub fn opened(&self, partition: u32) -> usize {
        self.opened.lock().get(&partition).copied().unwrap_or(0)
    }

    /// Has the owner of a partition give it back. It belongs to nobody then.
    pub async fn take_back(&self, partition: u32) {
        let Some(owner) = self.owner(partition) else { return };
        self.set(partition, None);
        let (done, given_back) = oneshot::channel();
        self.tell(&owner, Change::GiveBack { partition, done });
        drop(given_back.await);
    }

    /// Gives a partition to an instance, after its owner has given it back.
    pub async fn give(&self, partition: u32, url: &str) {
        self.take_back(partition).await;
        self.steal(partition, url);
    }

    /// Gives a partition to an instance, and does not tell its owner.
    pub fn steal(&self, partition: u32, url: &str) {
        self.set(partition, Some(url));
        self.tell(url, Change::Take { partition });
    }

    /// Has an instance take a partition before anyone sees that it is to be its own.
    pub fn have_taken(&self, partition: u32, url: &str) {
        self.tell(url, Change::Take { partition });
    }

    /// Tells an instance that it was too late.
    pub fn tell_lost(&self, partition: u32, url: &str) {
        self.tell(url, Change::Lost { partition });
    }

    async fn leave(&self, url: &str) {
        let heir = {
            let members = self.members.lock();
            let by_hand = self.hands_out_by_hand.load(Ordering::SeqCst);
            members.keys().find(|member| !by_hand && *member != url).cloned()
        };
        let own: Vec<u32> = {
            let owners = self.owners.borrow();
            owners.iter().filter(|(_, owner)| ***owner == *url).map(|(partition, _)| *partition).collect()
        };
        for partition in own {
            match &heir {
                Some(heir) => self.give(partition, heir).await,
                None => self.take_back(partition).await,
            }
        }
        self.members.lock().remove(url);
    }
}

struct Place {
    board: Arc<Board>,
    url: String,
    changes: tokio::sync::Mutex<Changes>,
}

#[async_trait]
impl Membership for Place {
    async fn next(&self) -> Option<Change> {
        self.changes.lock().await.recv().await
    }

    fn owners(&self) -> watch::Receiver<Arc<Owners>> {
        self.board.owners.subscribe()
    }

    async fn refresh(&self) -> Result<Arc<Owners>, Error> {
        Ok(Arc::clone(&self.board.owners.borrow()))
    }

    async fn leave(&self) {
        self.board.leave(&self.url).await;
    }

    async fn has_heirs(&self) -> Result<bool, Error> {
        self.board.heirs_asked_for.fetch_add(1, Ordering::SeqCst);
        Ok(self.board.members.lock().keys().any(|url| *url != self.url))
    }
}

/// A log, and the board of its instances.
#[derive(Clone)]
pub struct SharedLog {
    inner: Arc<dyn EventLog>,
    pub board: Arc<Board>,
}

impl SharedLog {
    pub fn over(inner: Arc<dyn EventLog>) -> Self {
        let board = Board {
            owners: watch::Sender::new(Arc::default()),
            members: Mutex::default(),
            opened: Mutex::default(),
            hands_out_by_hand: AtomicBool::new(false),
            heirs_asked_for: AtomicUsize::new(0),
        };
        Self { inner, board: Arc::new(board) }
    }
}

#[async_trait]
impl EventLog for SharedLog {
    fn partition_count(&self) -> u32 {
        self.inner.partition_count()
    }

    async fn open_writer(&self, partition: u32) -> Result<Box<dyn PartitionWriter>, Error> {
        *self.board.opened.lock().entry(partition).or_default() += 1;
        self.inner.open_writer(partition).await
    }

    async fn end(&self, partition: u32) -> Result<LogOffset, Error> {
        self.inner.end(partition).await
    }

    async fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<LogRecord>, Error> {
        self.inner.read(partition, from, max).await
    }

    async fn subscribe(
        &self,
        partition: u32,
        from: LogOffset,
    ) -> Result<BoxStream<'static, Result<LogRecord, Error>>, Error> {
        self.inner.subscribe(partition, from).await
    }

    async fn append_output(&self, lines: Vec<AgentOutput>) -> Result<(), Error> {
        self.inner.append_output(lines).await
    }

    async fn subscribe_output(
        &self,
        from: Vec<(u32, LogOffset)>,
    ) -> Result<BoxStream<'static, Result<OutputRecord, Error>>, Error> {
        self.inner.subscribe_output(from).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), Error> {
        self.inner.dead_letter(letter).await
    }

    async fn join(&self, member: Member) -> Result<Arc<dyn Membership>, Error> {
        let (sender, changes) = mpsc::unbounded_channel();
        self.board.members.lock().insert(member.url.clone(), sender);
        Ok(Arc::new(Place {
            board: Arc::clone(&self.board),
            url: member.url,
            changes: tokio::sync::Mutex::new(changes),
        }))
    }

    async fn put_snapshot(&self, partition: u32, snapshot: Bytes) -> Result<(), Error> {
        self.inner.put_snapshot(partition, snapshot).await
    }

    async fn snapshot(&self, partition: u32) -> Result<Option<Bytes>, Error> {
        self.inner.snapshot(partition).await
    }
}
