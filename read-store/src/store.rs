//! The handle to the read store: its connections, its schema, and how far projects are applied.

use std::str::FromStr;
use std::time::Duration;

use muster_domain::id::ProjectId;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool, Postgres, Transaction};

use crate::error::{Doing, Error};

/// The schema that queries read.
pub const LIVE_SCHEMA: &str = "muster_read";

/// Longest wait for a connection.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Longest wait for the answer to a question that was given up.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// The read store. Clones share its connections.
#[derive(Debug, Clone)]
pub struct ReadStore {
    pool: PgPool,
    schema: String,
}

impl ReadStore {
    /// Connects to the live schema, creating and migrating it. `url` is `postgres://…`; `?sslmode=verify-full` for TLS.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, Error> {
        Self::connect_schema(url, max_connections, LIVE_SCHEMA).await
    }

    /// The same for another schema, beside the live one. The name must be a plain lower-case identifier.
    pub async fn connect_schema(url: &str, max_connections: u32, schema: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !schema.starts_with(|c: char| c.is_ascii_lowercase()) || !schema.chars().all(plain) || schema.len() > 63 {
            return Err(Error::SchemaName(schema.to_owned()));
        }
        let options = PgConnectOptions::from_str(url)
            .doing("reading the URL of the read store")?
            .application_name("muster-read-store")
            // "already exists, skipping" is no news at every start.
            .options([("search_path", schema), ("client_min_messages", "warning")]);
        // A pool would keep the reason why there is no connection to itself.
        let connection = tokio::time::timeout(CONNECT_WITHIN, options.connect()).await;
        let connection = connection.unwrap_or(Err(sqlx::Error::PoolTimedOut)).doing("connecting to the read store")?;
        // Nothing was asked of it.
        drop(connection.close().await);
        let pool = PgPoolOptions::new()
            // With either, a task of sqlx 0.9 looks for old connections, and may spin for ever: its count of idle ones can
            // be below zero for a moment, which it takes for 2^64.
            .idle_timeout(None)
            .max_lifetime(None)
            .max_connections(max_connections)
            .acquire_timeout(CONNECT_WITHIN)
            // A connection whose question was given up hears the answer before it is used again. Where the server cannot
            // be reached, that is never: it would keep its place until the system gives up, a quarter of an hour later.
            .after_release(|connection, _| {
                let quiet = tokio::time::timeout(ANSWER_WITHIN, connection.ping());
                Box::pin(async move { quiet.await.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|()| true) })
            })
            .connect_with(options)
            .await
            .doing("connecting to the read store")?;
        let store = Self { pool, schema: schema.to_owned() };
        store.migrate().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<(), Error> {
        let mut transaction = self.begin().await?;
        // Several services start at once: without the lock two could create the schema together, and one would fail.
        sqlx::query("select pg_advisory_xact_lock(hashtext('muster read store'))")
            .execute(&mut *transaction)
            .await
            .doing("locking the schema")?;
        let create = format!("create schema if not exists {}", self.schema);
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut *transaction).await.doing("creating the schema")?;
        transaction.commit().await.doing("creating the schema")?;
        Ok(MIGRATOR.run(&self.pool).await?)
    }

    /// The connections, for the queries of this crate and of tests.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Begins a transaction, in a task of its own that whoever waits for it cannot cancel. Where a `BEGIN` of sqlx 0.9 is
    /// cancelled, its connection goes back to the pool as it is: whatever is asked of it later is part of a transaction
    /// that nobody ends.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let pool = self.pool.clone();
        let begun = tokio::spawn(async move { pool.begin().await }).await;
        begun.unwrap_or(Err(sqlx::Error::WorkerCrashed)).doing("beginning a transaction")
    }

    /// The schema this handle reads and writes.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether this is the schema that queries read; only its changes are announced.
    pub(crate) fn is_live(&self) -> bool {
        self.schema == LIVE_SCHEMA
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("select 1").execute(&self.pool).await.doing("asking the read store for a sign of life")?;
        Ok(())
    }

    /// The last position of a project that is applied; 0 before its first event.
    pub async fn project_position(&self, project_id: ProjectId) -> Result<u64, Error> {
        let position: Option<i64> = sqlx::query_scalar("select position from project_positions where project_id = $1")
            .bind(project_id.0)
            .fetch_optional(&self.pool)
            .await
            .doing("project_positions")?;
        Ok(position.and_then(|position| u64::try_from(position).ok()).unwrap_or(0))
    }
}
