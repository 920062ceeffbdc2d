//! A member's life between joining and leaving or being lost: visit the tables, tell what changed, wait.
//!
//! It must never keep what it may have lost: without a visit within the session timeout, or without its connection,
//! everything is lost, whatever the tables say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::table::{self, Me, View};
use crate::{Change, Owners};

/// Longest pause between visits: how soon the end of another's connection is noticed.
const VISIT: Duration = Duration::from_millis(500);

/// Pause between the first visits: a predecessor that was just killed may have its connection for a moment.
const FIRST_VISITS: Duration = Duration::from_millis(20);
const FIRST: Duration = Duration::from_secs(1);

/// Pause before joining again.
const REJOIN: Duration = Duration::from_millis(200);

/// How long entering may take at least, however short the session timeout is: nothing is held yet that silence could lose,
/// and on a busy machine a connection alone may take longer than that, each time.
const ENTER_MIN: Duration = Duration::from_secs(5);

/// How a session ended.
enum End {
    Left,
    Lost(String),
}

/// What a member needs for all its sessions.
pub(super) struct Life {
    pub options: Arc<PgConnectOptions>,
    pub url: Arc<str>,
    pub session_timeout: Duration,
    pub partitions: u32,
    pub give_back_timeout: Duration,
    pub changes: mpsc::UnboundedSender<Change>,
    pub owners: Arc<watch::Sender<Arc<Owners>>>,
    /// What is being given back: nobody's, as far as this instance is asked.
    pub giving: Arc<Mutex<BTreeSet<u32>>>,
    pub wake: watch::Receiver<()>,
    pub leaving: CancellationToken,
}

/// What a session holds.
#[derive(Default)]
struct Held {
    /// Whether the others knew of this member.
    entered: bool,
    partitions: BTreeSet<u32>,
    giving: FuturesUnordered<BoxFuture<'static, (u32, bool)>>,
    /// Given back, and the tables do not know it yet.
    released: Vec<u32>,
}

impl Life {
    /// Until it left.
    pub(super) async fn run(mut self) {
        loop {
            let mut held = Held::default();
            let end = self.session(&mut held).await;
            let given: Vec<u32> = std::mem::take(&mut *self.giving.lock()).into_iter().collect();
            self.lose(held.partitions.iter().copied().chain(given).collect());
            match end {
                End::Left => return,
                End::Lost(reason) if held.entered => {
                    tracing::warn!(reason, "the place among the instances was lost; joining again");
                }
                End::Lost(reason) => tracing::debug!(reason, "the members cannot be joined yet"),
            }
            self.owners.send_replace(Arc::default());
            tokio::select! {
                () = self.leaving.cancelled() => return,
                () = tokio::time::sleep(REJOIN) => {}
            }
        }
    }

    fn tell(&self, change: Change) {
        // Nobody listens when the instance has let go of its place.
        drop(self.changes.send(change));
    }

    fn lose(&self, partitions: Vec<u32>) {
        if !partitions.is_empty() {
            tracing::warn!(?partitions, "lost: this instance was not heard of in time, or gave back too slowly");
        }
        for partition in partitions {
            self.tell(Change::Lost { partition });
        }
    }

    async fn session(&mut self, held: &mut Held) -> End {
        let me = Me {
            id: Uuid::new_v4(),
            url: Arc::clone(&self.url),
            session_timeout_ms: u64::try_from(self.session_timeout.as_millis()).unwrap_or(u64::MAX),
        };
        let entered = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            table::enter(&mut connection, &me).await.map(|()| connection)
        };
        let mut connection = match tokio::time::timeout(self.session_timeout.max(ENTER_MIN), entered).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return End::Lost(error.to_string()),
            Err(_) => return End::Lost("the database did not answer in time".to_owned()),
        };
        held.entered = true;
        let end = self.keep(&mut connection, &me, held).await;
        // Gently, so that the server ends the session at once; and not for ever.
        drop(tokio::time::timeout(VISIT, connection.close()).await);
        end
    }

    async fn keep(&mut self, connection: &mut PgConnection, me: &Me, held: &mut Held) -> End {
        let (began, mut heard) = (Instant::now(), Instant::now());
        loop {
            let asked = Instant::now();
            let released = std::mem::take(&mut held.released);
            self.wake.mark_unchanged();
            let leaving = self.leaving.is_cancelled();
            if leaving && held.partitions.is_empty() && held.giving.is_empty() {
                let left = table::remove(connection, me, self.partitions);
                if !matches!(tokio::time::timeout(self.session_timeout, left).await, Ok(Ok(()))) {
                    tracing::debug!("the row stays until the others see that this member's connection has ended");
                }
                return End::Left;
            }
            let visit = table::visit(connection, me, self.partitions, &released, leaving);
            let left = self.session_timeout.saturating_sub(heard.elapsed());
            let mut alone = true;
            match tokio::time::timeout(left, visit).await {
                Err(_) => return End::Lost("the database did not answer within the session timeout".to_owned()),
                Ok(Ok(None)) => return End::Lost("the others took this instance for dead".to_owned()),
                Ok(Err(error)) if ends_the_session(&error) => return End::Lost(error.to_string()),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a visit to the table of members is tried again");
                    held.released = released;
                    tokio::time::sleep(FIRST_VISITS).await;
                }
                Ok(Ok(Some(view))) => {
                    heard = asked;
                    alone = view.alone;
                    self.apply(view, held, leaving);
                }
            }
            let hurried = !alone && began.elapsed() < FIRST;
            self.wait(held, leaving, if hurried { FIRST_VISITS } else { VISIT.min(self.session_timeout / 3) }).await;
        }
    }

    /// Tells what the visit has shown.
    fn apply(&self, view: View, held: &mut Held, leaving: bool) {
        let mine: BTreeSet<u32> = view.mine.into_iter().collect();
        let gone: Vec<u32> = held.partitions.difference(&mine).copied().collect();
        held.partitions.retain(|partition| mine.contains(partition));
        self.lose(gone);
        let giving = self.giving.lock().clone();
        for partition in &mine {
            let surplus = leaving || view.surplus.contains(partition);
            if giving.contains(partition) {
                continue;
            }
            match (held.partitions.contains(partition), surplus) {
                (false, false) => {
                    held.partitions.insert(*partition);
                    self.tell(Change::Take { partition: *partition });
                }
                (true, true) => self.give_back(*partition, held),
                // Never begun.
                (false, true) => held.released.push(*partition),
                (true, false) => {}
            }
        }
        let giving = self.giving.lock().clone();
        let mut owners = view.owners;
        owners.retain(|partition, _| !giving.contains(partition));
        self.owners.send_if_modified(|before| {
            let changed = **before != owners;
            if changed {
                *before = Arc::new(owners);
            }
            changed
        });
    }

    fn give_back(&self, partition: u32, held: &mut Held) {
        held.partitions.remove(&partition);
        self.giving.lock().insert(partition);
        let (done, finished) = oneshot::channel();
        self.tell(Change::GiveBack { partition, done });
        let limit = self.give_back_timeout;
        // Dropped without a word counts as done.
        held.giving.push(Box::pin(async move { (partition, tokio::time::timeout(limit, finished).await.is_ok()) }));
    }

    async fn wait(&mut self, held: &mut Held, leaving: bool, pause: Duration) {
        if !held.released.is_empty() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // An end of the log's own wake-up calls leaves the pause.
            Ok(()) = self.wake.changed() => {}
            () = self.leaving.cancelled(), if !leaving => {}
            Some((partition, in_time)) = held.giving.next(), if !held.giving.is_empty() => {
                self.giving.lock().remove(&partition);
                held.released.push(partition);
                if !in_time {
                    self.lose(vec![partition]);
                }
            }
        }
    }
}

/// Whether the connection, and with it this member's lock, is gone.
fn ends_the_session(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        // Ended by an administrator, a shutdown, or for pausing in a transaction.
        Some(database) => database.code().is_some_and(|code| code.starts_with("57P") || code == "25P03"),
        None => true,
    }
}
