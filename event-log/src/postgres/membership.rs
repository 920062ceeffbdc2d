//! Dividing partitions by two tables and a lock.
//!
//! A member is alive while it says so often enough, by the database's clock, and while its connection holds a lock of
//! its own: a killed process's lock is free at once, a frozen one's is not, and then the silence counts. What a member
//! owns stands in a table; a lock for each partition would have to be torn from a frozen member. It must never be
//! mistaken for what makes writes safe: that is the partition's epoch.

mod plan;
mod session;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Inner;
use super::errors::repeatable;
use crate::{Change, Error, Member, Membership, Owners};

/// Shortest time between two questions.
const EVERY: Duration = Duration::from_millis(50);

/// How much longer than everything it waits for an orderly departure may take.
const LEAVE_MARGIN: Duration = Duration::from_secs(5);

/// A place among the members.
pub(super) struct PostgresMembership {
    changes: Mutex<mpsc::UnboundedReceiver<Change>>,
    owners: Arc<watch::Sender<Arc<Owners>>>,
    giving: Arc<parking_lot::Mutex<std::collections::BTreeSet<u32>>>,
    asked: Mutex<Option<Instant>>,
    pool: PgPool,
    url: String,
    leaving: CancellationToken,
    leave_timeout: Duration,
    living: Mutex<Option<JoinHandle<()>>>,
}

impl PostgresMembership {
    pub(super) fn join(inner: &Inner, member: &Member) -> Self {
        let (changes, receiver) = mpsc::unbounded_channel();
        let owners = Arc::new(watch::Sender::new(Arc::default()));
        let giving = Arc::default();
        let leaving = CancellationToken::new();
        let session_timeout = Duration::from_millis(member.session_timeout_ms.max(1));
        let life = session::Life {
            options: inner.pool.connect_options(),
            url: member.url.as_str().into(),
            session_timeout,
            partitions: inner.partitions,
            give_back_timeout: inner.give_back_timeout,
            changes,
            owners: Arc::clone(&owners),
            giving: Arc::clone(&giving),
            wake: inner.wake.members.listen(0),
            leaving: leaving.clone(),
        };
        Self {
            changes: Mutex::new(receiver),
            owners,
            giving,
            asked: Mutex::new(None),
            pool: inner.pool.clone(),
            url: member.url.clone(),
            leaving,
            leave_timeout: inner.give_back_timeout + session_timeout + LEAVE_MARGIN,
            living: Mutex::new(Some(tokio::spawn(life.run()))),
        }
    }
}

#[async_trait]
impl Membership for PostgresMembership {
    async fn next(&self) -> Option<Change> {
        self.changes.lock().await.recv().await
    }

    fn owners(&self) -> watch::Receiver<Arc<Owners>> {
        self.owners.subscribe()
    }

    async fn refresh(&self) -> Result<Arc<Owners>, Error> {
        // The answer is to a question that is asked after this call, by whomever.
        let called = Instant::now();
        let mut asked = self.asked.lock().await;
        if asked.is_none_or(|at| at < called) {
            if let Some(at) = *asked {
                tokio::time::sleep_until((at + EVERY).into()).await;
            }
            let now = Instant::now();
            let mut next = table::look(&self.pool).await.map_err(repeatable("owners"))?;
            let giving = self.giving.lock().clone();
            next.retain(|partition, _| !giving.contains(partition));
            self.owners.send_if_modified(|owners| {
                let changed = **owners != next;
                *owners = Arc::new(next);
                changed
            });
            *asked = Some(now);
        }
        Ok(Arc::clone(&self.owners.borrow()))
    }

    async fn leave(&self) {
        self.leaving.cancel();
        let Some(mut living) = self.living.lock().await.take() else { return };
        if tokio::time::timeout(self.leave_timeout, &mut living).await.is_err() {
            tracing::warn!("the members were not left in order in time; they notice by the session timeout");
            living.abort();
        }
    }

    async fn has_heirs(&self) -> Result<bool, Error> {
        table::others_stay(&self.pool, &self.url).await.map_err(repeatable("members"))
    }
}

/// An instance that lets go of its place without leaving is gone with its connection.
impl Drop for PostgresMembership {
    fn drop(&mut self) {
        if let Some(living) = self.living.get_mut().take() {
            living.abort();
        }
    }
}
