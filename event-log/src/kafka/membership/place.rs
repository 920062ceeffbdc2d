//! What one instance holds, as its client is told in the course of a rebalance, and the word it passes on.
//!
//! The client's rebalance waits in here while partitions are given back: that is what keeps the group from giving them
//! to another too early. It must never wait for ever.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use tokio::sync::{Notify, mpsc, oneshot};

use super::super::clients::Quiet;
use crate::Change;

/// How often a rebalance that waits looks whether it may go on.
const LOOK: Duration = Duration::from_millis(2);

/// What is shared between the instance's clients, one after the other, and its place in the group.
pub(super) struct Place {
    changes: Mutex<Option<mpsc::UnboundedSender<Change>>>,
    held: Mutex<BTreeSet<u32>>,
    /// What is being given back.
    giving: Mutex<BTreeSet<u32>>,
    /// The client that counts. Those before it were given up, and what they still say is not passed on.
    current: AtomicU64,
    /// Rebalances under way.
    busy: AtomicUsize,
    /// Told after each rebalance.
    pub rebalanced: Notify,
    give_back_timeout: Duration,
}

impl Place {
    pub(super) fn new(give_back_timeout: Duration) -> (Arc<Self>, mpsc::UnboundedReceiver<Change>) {
        let (changes, receiver) = mpsc::unbounded_channel();
        let place = Self {
            changes: Mutex::new(Some(changes)),
            held: Mutex::default(),
            giving: Mutex::default(),
            current: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            rebalanced: Notify::new(),
            give_back_timeout,
        };
        (Arc::new(place), receiver)
    }

    /// What this instance should be writing.
    pub(super) fn held(&self) -> BTreeSet<u32> {
        self.held.lock().clone()
    }

    /// What this instance should be writing, and what it is giving back.
    pub(super) fn stands(&self) -> (BTreeSet<u32>, BTreeSet<u32>) {
        (self.held(), self.giving.lock().clone())
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst) > 0
    }

    /// The next client; every earlier one is given up.
    pub(super) fn renew(self: &Arc<Self>) -> Context {
        let number = self.current.fetch_add(1, Ordering::SeqCst) + 1;
        let lost = std::mem::take(&mut *self.held.lock());
        self.lose(lost);
        Context { place: Arc::clone(self), number }
    }

    /// No more changes will come.
    pub(super) fn close(&self) {
        self.current.fetch_add(1, Ordering::SeqCst);
        let lost = std::mem::take(&mut *self.held.lock());
        self.lose(lost);
        self.changes.lock().take();
    }

    fn tell(&self, change: Change) {
        if let Some(changes) = &*self.changes.lock() {
            // Nobody listens when the instance has let go of its place.
            drop(changes.send(change));
        }
    }

    fn lose(&self, partitions: impl IntoIterator<Item = u32>) {
        let partitions: Vec<u32> = partitions.into_iter().collect();
        if !partitions.is_empty() {
            tracing::warn!(?partitions, "lost: this instance was not heard of in time, or gave back too slowly");
        }
        for partition in partitions {
            self.tell(Change::Lost { partition });
        }
    }

    fn take(&self, partitions: &[u32]) {
        for partition in partitions {
            // What is held already was given in an earlier assignment.
            if self.held.lock().insert(*partition) {
                self.tell(Change::Take { partition: *partition });
            }
        }
    }

    /// Waits until all are done with, or for as long as is configured, or until they are lost anyway.
    fn give_back(&self, partitions: &[u32], is_lost: impl Fn() -> bool) {
        let mut waiting = Vec::with_capacity(partitions.len());
        for partition in partitions.iter().copied() {
            if self.held.lock().remove(&partition) {
                let (done, finished) = oneshot::channel();
                self.tell(Change::GiveBack { partition, done });
                waiting.push((partition, finished));
            }
        }
        let deadline = Instant::now() + self.give_back_timeout;
        loop {
            waiting.retain_mut(|(_, finished)| matches!(finished.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
            if waiting.is_empty() {
                return;
            }
            if is_lost() || Instant::now() >= deadline {
                return self.lose(waiting.into_iter().map(|(partition, _)| partition));
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// What one client calls when the group changes.
pub(super) struct Context {
    place: Arc<Place>,
    number: u64,
}

impl Context {
    pub(super) fn is_current(&self) -> bool {
        self.place.current.load(Ordering::SeqCst) == self.number
    }

    pub(super) fn holds_nothing(&self) -> bool {
        self.place.held.lock().is_empty()
    }
}

impl ClientContext for Context {
    fn error(&self, error: KafkaError, reason: &str) {
        Quiet.error(error, reason);
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<u32> =
            list.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok()).collect();
        self.place.busy.fetch_add(1, Ordering::SeqCst);
        let told = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let told = assign(consumer, list);
            if self.is_current() {
                self.place.take(&partitions);
            }
            told
        } else {
            if self.is_current() {
                let is_lost = || consumer.assignment_lost() || !self.is_current();
                if is_lost() {
                    let held = self.place.held();
                    let gone: Vec<u32> = partitions.iter().copied().filter(|one| held.contains(one)).collect();
                    self.place.held.lock().retain(|held| !gone.contains(held));
                    self.place.lose(gone);
                } else {
                    self.place.giving.lock().extend(&partitions);
                    self.place.give_back(&partitions, is_lost);
                    self.place.giving.lock().clear();
                }
            }
            consumer.incremental_unassign(list)
        };
        self.place.busy.fetch_sub(1, Ordering::SeqCst);
        self.place.rebalanced.notify_one();
        if let Err(error) = told {
            tracing::warn!(%error, ?partitions, "the group's assignment was not taken note of by the client");
        }
        tracing::debug!(?kind, ?partitions, held = ?self.place.held(), "the group was rebalanced");
    }
}

/// The partitions are assigned for the sake of the assignment alone: nothing of them is read.
fn assign(consumer: &BaseConsumer<Context>, list: &mut TopicPartitionList) -> rdkafka::error::KafkaResult<()> {
    list.set_all_offsets(Offset::End)?;
    consumer.incremental_assign(list)?;
    consumer.pause(list)
}
