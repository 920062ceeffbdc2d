//! Wake-ups: which projects and runs have new rows. Sent inside the writing transaction, so they arrive after its commit.
//! A wake-up is never data: a listener that was away reads where things stand.

use std::time::Duration;

use muster_domain::id::{ProjectId, RunId};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::postgres::{PgListener, PgNotification};

use crate::error::{Doing, Error};
use crate::store::ReadStore;

const POSITIONS: &str = "muster_positions";
const OUTPUT: &str = "muster_output";
const DEAD_LETTERS: &str = "muster_dead_letters";

const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

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

/// Hears wake-ups on a connection of its own, and reconnects by itself.
pub struct Listener {
    store: ReadStore,
    connection: Option<PgListener>,
    back_off: Duration,
}

impl Listener {
    /// Starts to listen. Every wake-up sent after this returns is heard, or covered by [`Wakeup::Reconnected`].
    pub async fn connect(store: &ReadStore) -> Result<Self, Error> {
        let connection = listen(store).await?;
        Ok(Self { store: store.clone(), connection: Some(connection), back_off: RECONNECT_MIN })
    }

    /// The next wake-up. Never fails: while the database is away it tries again with back-off. Safe to cancel.
    pub async fn next(&mut self) -> Wakeup {
        loop {
            let Some(connection) = &mut self.connection else {
                tokio::time::sleep(self.back_off).await;
                match listen(&self.store).await {
                    Ok(connection) => {
                        self.connection = Some(connection);
                        self.back_off = RECONNECT_MIN;
                        return Wakeup::Reconnected;
                    }
                    Err(error) => {
                        self.back_off = (self.back_off * 2).min(RECONNECT_MAX);
                        tracing::warn!(%error, "cannot listen to the read store; trying again");
                        continue;
                    }
                }
            };
            match connection.try_recv().await {
                Ok(Some(notification)) => {
                    if let Some(wakeup) = parse(&notification) {
                        return wakeup;
                    }
                }
                Ok(None) => self.connection = None,
                Err(error) => {
                    tracing::warn!(%error, "lost the connection that listens to the read store");
                    self.connection = None;
                }
            }
        }
    }
}

async fn listen(store: &ReadStore) -> Result<PgListener, Error> {
    let mut connection = PgListener::connect_with(store.pool()).await.doing("listening")?;
    connection.eager_reconnect(false);
    connection.listen_all([POSITIONS, OUTPUT, DEAD_LETTERS]).await.doing("listening")?;
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
