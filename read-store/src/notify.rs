//! Wake-ups: which projects and runs have new rows. Sent inside the writing transaction, so they arrive after its commit.
//! A wake-up is never data: a listener that was away reads where things stand.

use std::time::Duration;

use muster_domain::id::{ProjectId, RunId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgListener, PgNotification, PgPoolOptions};
use sqlx::{Executor, PgConnection};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Doing, Error};
use crate::store::{CONNECT_WITHIN, ReadStore};

const POSITIONS: &str = "muster_positions";
const OUTPUT: &str = "muster_output";
const DEAD_LETTERS: &str = "muster_dead_letters";

const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// After so much silence the database is asked whether it is there.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Wake-ups that are kept for whoever asks; beyond them the database keeps them.
const HEARD_MAX: usize = 64;

/// What a listener hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wakeup {
    /// A project's rows are there up to a position.
    Position {
        /// The project.
        project_id: ProjectId,
        /// Its last applied position.
        position: u64,
    },
    /// A run's output is there up to a line.
    Output {
        /// The project.
        project_id: ProjectId,
        /// The run.
        run_id: RunId,
        /// Its last stored line.
        line_number: u64,
    },
    /// A dead letter was parked, or its release was asked for.
    DeadLetters,
    /// The connection was lost and is back: anything may have happened in between.
    Reconnected,
}

#[derive(Serialize, Deserialize)]
struct PositionPayload {
    project_id: ProjectId,
    position: u64,
}

#[derive(Serialize, Deserialize)]
struct OutputPayload {
    project_id: ProjectId,
    run_id: RunId,
    line_number: u64,
}

/// Hears wake-ups on a connection of its own, and reconnects by itself. Whoever asks it may stop asking at any moment: a
/// task of its own hears, and what was heard is kept until it is asked for.
pub struct Listener {
    heard: mpsc::Receiver<Wakeup>,
    _hearing: AbortOnDropHandle<()>,
}

impl Listener {
    /// Starts to listen. Every wake-up sent after this returns is heard, or covered by [`Wakeup::Reconnected`].
    pub async fn connect(store: &ReadStore) -> Result<Self, Error> {
        Self::connect_asking(store, SILENCE_MAX).await
    }

    /// The same, with another longest silence: after it the database is asked for a sign of life, and a connection that
    /// has none for as long again is replaced. A host that vanished says nothing, as one does that has nothing to say.
    pub async fn connect_asking(store: &ReadStore, silence_max: Duration) -> Result<Self, Error> {
        let connection = listen(store).await?;
        let (sender, heard) = mpsc::channel(HEARD_MAX);
        let hearing = Hearing { store: store.clone(), silence_max, heard: sender };
        Ok(Self { heard, _hearing: AbortOnDropHandle::new(tokio::spawn(hearing.run(connection))) })
    }

    /// The next wake-up. Never fails: while the database is away it waits. Safe to cancel.
    pub async fn next(&mut self) -> Wakeup {
        match self.heard.recv().await {
            Some(wakeup) => wakeup,
            // The task ends with the listener.
            None => std::future::pending().await,
        }
    }
}

/// What the task of a listener works on.
struct Hearing {
    store: ReadStore,
    silence_max: Duration,
    heard: mpsc::Sender<Wakeup>,
}

impl Hearing {
    async fn run(self, mut connection: PgListener) {
        loop {
            self.hear(connection).await;
            connection = self.reconnect().await;
            tracing::info!("listening to the read store again");
            if self.heard.send(Wakeup::Reconnected).await.is_err() {
                return;
            }
        }
    }

    /// Passes on what is heard, until the connection is lost.
    async fn hear(&self, mut connection: PgListener) {
        loop {
            match timeout(self.silence_max, connection.try_recv()).await {
                Ok(Ok(Some(notification))) => {
                    if let Some(wakeup) = parse(&notification)
                        && self.heard.send(wakeup).await.is_err()
                    {
                        return;
                    }
                }
                Ok(Ok(None)) => {
                    tracing::warn!("the connection that listens to the read store was closed");
                    return;
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "lost the connection that listens to the read store");
                    return;
                }
                Err(_silence) => match timeout(self.silence_max, connection.execute("select 1")).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "lost the connection that listens to the read store");
                        return;
                    }
                    Err(_silence) => {
                        tracing::warn!("the connection that listens to the read store has no sign of life");
                        return;
                    }
                },
            }
        }
    }

    async fn reconnect(&self) -> PgListener {
        let mut back_off = RECONNECT_MIN;
        loop {
            tokio::time::sleep(back_off).await;
            match listen(&self.store).await {
                Ok(connection) => return connection,
                Err(error) => {
                    back_off = (back_off * 2).min(RECONNECT_MAX);
                    tracing::warn!(%error, "cannot listen to the read store; trying again");
                }
            }
        }
    }
}

/// A connection beside the store's: those may all be in use, and one that is given up for dead would keep its place among
/// them for as long as the system takes to notice.
async fn listen(store: &ReadStore) -> Result<PgListener, Error> {
    let options = PgConnectOptions::clone(&store.pool().connect_options());
    let alone = PgPoolOptions::new()
        .idle_timeout(None)
        .max_lifetime(None)
        .max_connections(1)
        .acquire_timeout(CONNECT_WITHIN)
        .connect_lazy_with(options);
    let mut connection = PgListener::connect_with(&alone).await.doing("listening")?;
    connection.eager_reconnect(false);
    let listening = timeout(CONNECT_WITHIN, connection.listen_all([POSITIONS, OUTPUT, DEAD_LETTERS])).await;
    listening.unwrap_or(Err(sqlx::Error::PoolTimedOut)).doing("listening")?;
    Ok(connection)
}

fn parse(notification: &PgNotification) -> Option<Wakeup> {
    let payload = notification.payload();
    let wakeup = match notification.channel() {
        POSITIONS => serde_json::from_str(payload)
            .map(|PositionPayload { project_id, position }| Wakeup::Position { project_id, position }),
        OUTPUT => serde_json::from_str(payload).map(|OutputPayload { project_id, run_id, line_number }| {
            Wakeup::Output { project_id, run_id, line_number }
        }),
        _ => Ok(Wakeup::DeadLetters),
    };
    wakeup
        .inspect_err(|error| tracing::warn!(%error, payload, channel = notification.channel(), "unreadable wake-up"))
        .ok()
}

/// Announces where projects are.
pub(crate) async fn announce_positions(
    connection: &mut PgConnection,
    positions: &[(ProjectId, u64)],
) -> Result<(), Error> {
    let payloads =
        positions.iter().map(|(project_id, position)| PositionPayload { project_id: *project_id, position: *position });
    announce(connection, POSITIONS, payloads).await
}

/// Announces where runs' outputs are.
pub(crate) async fn announce_output(
    connection: &mut PgConnection,
    lines: impl Iterator<Item = (ProjectId, RunId, u64)>,
) -> Result<(), Error> {
    let payloads = lines.map(|(project_id, run_id, line_number)| OutputPayload { project_id, run_id, line_number });
    announce(connection, OUTPUT, payloads).await
}

/// Announces that dead letters changed.
pub(crate) async fn announce_dead_letters(connection: &mut PgConnection) -> Result<(), Error> {
    announce(connection, DEAD_LETTERS, std::iter::once(())).await
}

async fn announce<P: Serialize>(
    connection: &mut PgConnection,
    channel: &'static str,
    payloads: impl Iterator<Item = P>,
) -> Result<(), Error> {
    let texts = payloads
        .map(|payload| serde_json::to_string(&payload))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Encode { table: channel, source })?;
    sqlx::query("select pg_notify($1, payload) from unnest($2::text[]) as payload")
        .bind(channel)
        .bind(texts)
        .execute(connection)
        .await
        .doing("pg_notify")?;
    Ok(())
}
