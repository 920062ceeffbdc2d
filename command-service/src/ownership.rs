//! Which partitions this process writes: its place among the instances of the log, and the orders that follow from it.
//!
//! It must never make a write safe: the log's fencing does, for an instance that learns of a change too late.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use muster_event_log::membership::Alone;
use muster_event_log::{Change, Error, EventLog, Member, Membership, Owners};
use muster_service_kit::Shutdown;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::partition::Orders;

/// Waits between attempts to join.
const JOIN_WAITS: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(1)];
/// Owners are looked at anew at most this often, however many requests wait for one.
const REFRESH_EVERY: Duration = Duration::from_millis(100);
/// Longest look at the owners.
const REFRESH_WITHIN: Duration = Duration::from_secs(2);
/// How long another member may take to show up, where none is seen: one that has just started may not be known yet.
const HEIRS_WITHIN: Duration = Duration::from_millis(500);
/// How long leaving may take once the process stops.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// How an instance finds its place.
pub(crate) struct Joining {
    pub log: Arc<dyn EventLog>,
    pub session_timeout_ms: u64,
    /// Whether it is the only instance there is.
    pub alone: bool,
}

impl Joining {
    async fn join(&self, member: Member) -> Result<Arc<dyn Membership>, Error> {
        if self.alone {
            return Ok(Arc::new(Alone::new(&member, self.log.partition_count())));
        }
        self.log.join(member).await
    }
}

/// The place of this process among the instances. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Ownership(Arc<Place>);

struct Place {
    url: Arc<str>,
    /// How many there are.
    partitions: u32,
    membership: OnceLock<Arc<dyn Membership>>,
    /// Whether it is the only instance there is.
    alone: AtomicBool,
    joined: watch::Sender<bool>,
    owners: watch::Sender<Arc<Owners>>,
    /// Asks for a look at the owners.
    refresh: Notify,
    leaving: AtomicBool,
    left: OnceLock<Shared<BoxFuture<'static, ()>>>,
}

impl Ownership {
    /// Of an instance that has not joined.
    pub(crate) fn new(url: &str, partitions: u32) -> Self {
        Self(Arc::new(Place {
            url: url.into(),
            partitions,
            membership: OnceLock::new(),
            alone: AtomicBool::new(false),
            joined: watch::Sender::new(false),
            owners: watch::Sender::new(Arc::default()),
            refresh: Notify::new(),
            leaving: AtomicBool::new(false),
            left: OnceLock::new(),
        }))
    }

    /// Joins, and obeys until this instance has left, or could not in time. Partitions are told by `orders`, in their
    /// order; their tasks end with it.
    pub(crate) async fn run(self, how: Joining, orders: Vec<Orders>, shutdown: Shutdown) {
        self.0.alone.store(how.alone, Ordering::Release);
        let member = Member { url: self.0.url.to_string(), session_timeout_ms: how.session_timeout_ms };
        let joining = async {
            let mut waits = JOIN_WAITS.iter();
            let mut wait = JOIN_WAITS[0];
            loop {
                match how.join(member.clone()).await {
                    Ok(membership) => return membership,
                    Err(error) => tracing::warn!(%error, "this instance cannot join the others yet"),
                }
                wait = waits.next().copied().unwrap_or(wait);
                tokio::time::sleep(wait).await;
            }
        };
        let membership = tokio::select! {
            membership = joining => membership,
            () = shutdown.triggered() => return,
        };
        tracing::info!(url = %self.0.url, "joined");
        let _ = self.0.membership.set(Arc::clone(&membership));
        self.0.owners.send_replace(Arc::clone(&membership.owners().borrow()));
        self.0.joined.send_replace(true);
        let out_of_time = async {
            shutdown.triggered().await;
            self.leave_membership(LEAVE_WITHIN).await;
            tokio::time::sleep(LEAVE_WITHIN).await;
            tracing::warn!("the partitions could not be given back in time");
        };
        let obeying = async {
            obey(membership.as_ref(), orders).await;
            // Having left, it still passes requests on.
            shutdown.triggered().await;
        };
        tokio::select! {
            () = obeying => {}
            () = self.follow_owners(membership.as_ref()) => {}
            () = out_of_time => {}
        }
    }

    /// Keeps the owners as last seen, and looks anew where somebody asks.
    async fn follow_owners(&self, membership: &dyn Membership) {
        let mut seen = membership.owners();
        loop {
            tokio::select! {
                changed = seen.changed() => if changed.is_err() {
                    return std::future::pending().await;
                },
                () = self.0.refresh.notified() => {
                    let looked = tokio::time::timeout(REFRESH_WITHIN, membership.refresh()).await;
                    if let Ok(Err(error)) = looked {
                        tracing::debug!(%error, "the owners of the partitions cannot be seen now");
                    }
                    tokio::time::sleep(REFRESH_EVERY).await;
                }
            }
            let owners = Arc::clone(&seen.borrow_and_update());
            self.know(owners);
        }
    }

    fn know(&self, owners: Arc<Owners>) {
        self.0.owners.send_if_modified(|known| {
            let changed = **known != *owners;
            *known = owners;
            changed
        });
    }

    /// Looks at the owners in the caller's own time: once this process stops, nobody follows them any more.
    pub(crate) async fn look_without_follower(&self) {
        let Some(membership) = self.0.membership.get() else { return };
        match tokio::time::timeout(REFRESH_WITHIN, membership.refresh()).await {
            Ok(Ok(owners)) => self.know(owners),
            Ok(Err(error)) => tracing::debug!(%error, "the owners of the partitions cannot be seen now"),
            Err(_) => tracing::debug!("the owners of the partitions cannot be seen in time"),
        }
    }

    /// Where the others reach this instance.
    pub(crate) fn url(&self) -> &Arc<str> {
        &self.0.url
    }

    /// Whether this instance has its place.
    pub(crate) fn has_joined(&self) -> bool {
        *self.0.joined.borrow()
    }

    /// Whether this instance gives its place up, or has.
    pub(crate) fn is_leaving(&self) -> bool {
        self.0.leaving.load(Ordering::Acquire)
    }

    /// Who owns what, as last seen.
    pub(crate) fn owners(&self) -> Arc<Owners> {
        Arc::clone(&self.0.owners.borrow())
    }

    /// As [`Ownership::owners`], with its changes. Asks for a new look.
    pub(crate) fn look(&self) -> watch::Receiver<Arc<Owners>> {
        self.0.refresh.notify_one();
        self.0.owners.subscribe()
    }

    /// The changes of the owners, without asking.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<Owners>> {
        self.0.owners.subscribe()
    }

    /// The other instance that owns a partition, as last seen.
    pub(crate) fn other_owner(&self, partition: u32) -> Option<Arc<str>> {
        self.0.owners.borrow().get(&partition).filter(|url| **url != self.0.url).cloned()
    }

    /// Every other instance that owns something.
    pub(crate) fn others(&self) -> BTreeSet<Arc<str>> {
        self.0.owners.borrow().values().filter(|url| **url != self.0.url).cloned().collect()
    }

    /// Every other instance that owns one of these partitions.
    pub(crate) fn others_with(&self, partitions: &BTreeSet<u32>) -> BTreeSet<Arc<str>> {
        let owners = self.0.owners.borrow();
        let of_these = owners.iter().filter(|(partition, url)| partitions.contains(partition) && ***url != *self.0.url);
        of_these.map(|(_, url)| Arc::clone(url)).collect()
    }

    /// Whether `partition` is this instance's, asked anew.
    pub(crate) async fn is_ours(&self, partition: u32) -> Result<bool, Error> {
        self.is_of(partition, &self.0.url).await
    }

    /// Whether `partition` belongs to the instance at `url`, asked anew.
    pub(crate) async fn is_of(&self, partition: u32, url: &str) -> Result<bool, Error> {
        let away = || Error::Unavailable { reason: "the owners of the partitions cannot be seen".to_owned() };
        let membership = self.0.membership.get().ok_or_else(away)?;
        let owners = tokio::time::timeout(REFRESH_WITHIN, membership.refresh()).await.map_err(|_| away())??;
        Ok(owners.get(&partition).is_some_and(|owner| **owner == *url))
    }

    /// Gives every partition back and leaves; then waits until another owns each, as long as there is another. At most
    /// `grace`.
    pub(crate) async fn leave(&self, grace: Duration) {
        let deadline = Instant::now() + grace;
        if !self.leave_membership(grace).await || self.0.alone.load(Ordering::Acquire) {
            return;
        }
        let Some(membership) = self.0.membership.get() else { return };
        let _out_of_time = tokio::time::timeout_at(deadline, self.wait_for_heirs(membership.as_ref())).await;
    }

    /// Waits until every partition is another's, or there is nobody who could take one.
    async fn wait_for_heirs(&self, membership: &dyn Membership) {
        let mut owners = self.look();
        let mut last_seen = Instant::now();
        // While they change hands, none may have an owner.
        while !(0..self.0.partitions).all(|partition| self.other_owner(partition).is_some()) {
            // Who cannot be asked may well be there.
            if membership.has_heirs().await.unwrap_or(true) {
                last_seen = Instant::now();
            } else if last_seen.elapsed() >= HEIRS_WITHIN {
                return;
            }
            self.0.refresh.notify_one();
            tokio::select! {
                changed = owners.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(REFRESH_EVERY) => {}
            }
        }
    }

    /// Whether this instance has left in time, which it begins once, whoever loses patience. Without a place there is
    /// nothing to leave.
    async fn leave_membership(&self, within: Duration) -> bool {
        self.0.leaving.store(true, Ordering::Release);
        let Some(membership) = self.0.membership.get() else { return true };
        let leaving = self.0.left.get_or_init(|| {
            let membership = Arc::clone(membership);
            let left = tokio::spawn(async move { membership.leave().await });
            // A panic has said so itself.
            left.map(drop).boxed().shared()
        });
        tokio::time::timeout(within, leaving.clone()).await.is_ok()
    }
}

/// Passes every change on to the partition it is about, until this instance has left.
async fn obey(membership: &dyn Membership, orders: Vec<Orders>) {
    while let Some(change) = membership.next().await {
        let (Change::Take { partition } | Change::GiveBack { partition, .. } | Change::Lost { partition }) = &change;
        let partition = *partition;
        tracing::info!(partition, change = name(&change), "the partitions are divided anew");
        let Some(orders) = orders.get(partition as usize) else {
            tracing::error!(partition, "there is no such partition to take or give back");
            continue;
        };
        match change {
            Change::Take { .. } => orders.take(),
            Change::GiveBack { done, .. } => orders.give_back(done),
            Change::Lost { .. } => orders.lost(),
        }
    }
}

fn name(change: &Change) -> &'static str {
    match change {
        Change::Take { .. } => "take",
        Change::GiveBack { .. } => "give back",
        Change::Lost { .. } => "lost",
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::Semaphore;

    use super::*;

    /// A place that is left once there is a permit for it.
    struct Slow {
        begun: Semaphore,
        may_end: Semaphore,
    }

    #[async_trait]
    impl Membership for Slow {
        async fn next(&self) -> Option<Change> {
            None
        }

        fn owners(&self) -> watch::Receiver<Arc<Owners>> {
            watch::Sender::new(Arc::default()).subscribe()
        }

        async fn refresh(&self) -> Result<Arc<Owners>, Error> {
            Ok(Arc::default())
        }

        async fn leave(&self) {
            self.begun.add_permits(1);
            self.may_end.acquire().await.unwrap().forget();
        }

        async fn has_heirs(&self) -> Result<bool, Error> {
            Ok(false)
        }
    }

    #[tokio::test]
    async fn whoever_loses_patience_with_leaving_does_not_begin_it_anew() {
        let slow = Arc::new(Slow { begun: Semaphore::new(0), may_end: Semaphore::new(0) });
        let ownership = Ownership::new("http://one", 1);
        let _ = ownership.0.membership.set(slow.clone());

        let (short, long) = (Duration::from_millis(20), Duration::from_mins(1));
        assert!(!ownership.leave_membership(short).await);
        assert!(!ownership.leave_membership(short).await);
        slow.may_end.add_permits(1);
        assert!(ownership.leave_membership(long).await);
        assert!(ownership.leave_membership(long).await);

        assert_eq!(slow.begun.available_permits(), 1);
    }
}
