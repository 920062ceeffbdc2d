//! Connections, tables and partitions. Everything here may run in several processes at once.

use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool};

use super::errors::repeatable;
use super::{PostgresConfig, errors};
use crate::Error;

/// Key of the advisory lock around creating the schema: `CREATE SCHEMA IF NOT EXISTS` alone is not safe at once.
const SETUP_LOCK: i64 = 0x6d75_7374_6572;

/// What connections of the log call themselves, which is also how they are told from others.
pub(super) const APPLICATION_NAME: &str = "muster-event-log";

fn options(config: &PostgresConfig) -> Result<PgConnectOptions, Error> {
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(|error| Error::Config { reason: format!("the log's database URL: {error}") })?;
    // Where the migrations' own table lies; every statement of ours names its schema.
    Ok(options.application_name(APPLICATION_NAME).options([("search_path", "muster_log")]))
}

/// The server gives up what a client holds that is frozen or cut off, and does not wait for its network's patience.
fn bounded(options: PgConnectOptions, config: &PostgresConfig) -> PgConnectOptions {
    let (request_ms, lock_ms) = (config.request_timeout_ms.max(1), config.lock_timeout_ms.max(1));
    options.options([
        ("statement_timeout", request_ms.to_string()),
        ("idle_in_transaction_session_timeout", lock_ms.to_string()),
        ("tcp_user_timeout", request_ms.to_string()),
        ("tcp_keepalives_idle", "5".to_owned()),
        ("tcp_keepalives_interval", "2".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
    ])
}

/// Creates the tables and partitions where there are none. On a connection without limits, because other processes may
/// be doing the same, and then it waits for as long as that takes.
pub(super) async fn prepare(config: &PostgresConfig) -> Result<(), Error> {
    let options = options(config)?;
    let timeout = Duration::from_millis(config.request_timeout_ms);
    // A pool would keep the reason why there is no connection to itself.
    let connection = async { options.connect().await.map_err(|error| errors::of_connection(&error)) };
    let connection = errors::within(timeout, "partitions", connection).await?;
    let pool = pool_options().max_connections(1).acquire_timeout(timeout).connect_with(options).await;
    let pool = pool.map_err(|error| errors::of_connection(&error))?;
    // Nothing was asked of it.
    drop(connection.close().await);
    migrate(&pool).await?;
    partitions(&pool, config.partitions).await?;
    pool.close().await;
    Ok(())
}

/// Connections stay for as long as they work: the task of sqlx 0.9 that looks for old ones counts idle connections with a
/// counter that may be below zero for a moment, takes that for 2^64, and then spins for ever on a thread of the runtime.
/// Without a time limit there is no such task.
fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new().idle_timeout(None).max_lifetime(None)
}

pub(super) async fn pool(config: &PostgresConfig) -> Result<PgPool, Error> {
    let options = bounded(options(config)?, config);
    let request_timeout = Duration::from_millis(config.request_timeout_ms);
    pool_options()
        .max_connections(config.max_connections.max(2))
        .acquire_timeout(request_timeout)
        // A connection whose question was given up hears the answer before it is used again. Where the server cannot be
        // reached, that is never: it would keep its place until the system gives up, a quarter of an hour later.
        .after_release(move |connection, _| {
            let quiet = tokio::time::timeout(request_timeout, connection.ping());
            Box::pin(async move { quiet.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|()| true) })
        })
        // An acknowledged append survives a crash, whatever the database's default is.
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::query("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
                    .execute(connection)
                    .await
                    .map(drop)
            })
        })
        .connect_with(options)
        .await
        .map_err(|error| errors::of_connection(&error))
}

async fn migrate(pool: &PgPool) -> Result<(), Error> {
    let failed = repeatable("partitions");
    let mut transaction = pool.begin().await.map_err(&failed)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(SETUP_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
    sqlx::query("CREATE SCHEMA IF NOT EXISTS muster_log").execute(&mut *transaction).await.map_err(&failed)?;
    transaction.commit().await.map_err(&failed)?;
    sqlx::migrate!("./migrations").run(pool).await.map_err(|error| {
        let reason = format!("the log's tables cannot be brought up to date: {error}");
        match &error {
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) if errors::will_pass(cause) => {
                Error::Unavailable { reason }
            }
            _ => Error::Config { reason },
        }
    })
}

/// Makes the partitions of a new log; refuses another number than an existing log has.
async fn partitions(pool: &PgPool, count: u32) -> Result<(), Error> {
    let failed = repeatable("partitions");
    let wanted = i32::try_from(count).ok().filter(|count| *count > 0);
    let wanted = wanted.ok_or_else(|| Error::Config { reason: format!("a log cannot have {count} partitions") })?;
    let mut transaction = pool.begin().await.map_err(&failed)?;
    // Not the table's lock: writers of an existing log hold that up, and one may be frozen.
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(SETUP_LOCK)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
    sqlx::query(
        "INSERT INTO muster_log.partitions (partition)
         SELECT generate_series(0, $1 - 1) WHERE NOT EXISTS (SELECT FROM muster_log.partitions)",
    )
    .bind(wanted)
    .execute(&mut *transaction)
    .await
    .map_err(&failed)?;
    let existing: i64 = sqlx::query_scalar("SELECT count(*) FROM muster_log.partitions")
        .fetch_one(&mut *transaction)
        .await
        .map_err(&failed)?;
    transaction.commit().await.map_err(&failed)?;
    if existing == i64::from(wanted) {
        return Ok(());
    }
    Err(Error::Config { reason: format!("{count} partitions are configured, and the log was made with {existing}") })
}
