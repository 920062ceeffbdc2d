//! Rebuilds: a second schema is filled from the log beside the live one, catches up, and takes its place.
//!
//! Queries never stop: they read the old tables until the moment the names change hands. Agent output is carried over
//! and not rebuilt, as the log keeps it for a while only. It must never touch the live rows before the swap.

use std::collections::BTreeMap;

use sqlx::{Connection, PgConnection, Postgres, Transaction};

use crate::error::{Doing, Error};
use crate::offset::PROJECTION;
use crate::store::{LIVE_SCHEMA, ReadStore};

/// The schema that is filled.
const NEXT_SCHEMA: &str = "muster_read_next";

/// A rebuild under way. Dropping it gives the rebuild up; the next one starts anew.
pub struct Rebuild {
    store: ReadStore,
    /// Holds the lock that keeps a second rebuild away; closing it lets go.
    lock: PgConnection,
}

/// The live projection, held still. Dropping it lets it go on without a swap.
pub struct Held {
    transaction: Transaction<'static, Postgres>,
    store: ReadStore,
    lock: PgConnection,
    live_offsets: BTreeMap<i32, i64>,
}

impl Rebuild {
    /// Makes an empty schema beside the live one. [`Error::RebuildRunning`] when another rebuild is under way.
    pub async fn start(url: &str, max_connections: u32) -> Result<Self, Error> {
        let live = ReadStore::connect(url, 1).await?;
        let mut lock = live.pool().acquire().await.doing("connecting to the read store")?.detach();
        let is_mine: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtext('muster read store rebuild'))")
            .fetch_one(&mut lock)
            .await
            .doing("locking the rebuild")?;
        if !is_mine {
            return Err(Error::RebuildRunning);
        }
        sqlx::raw_sql("drop schema if exists muster_read_next cascade; drop schema if exists muster_read_old cascade")
            .execute(&mut lock)
            .await
            .doing("clearing an earlier rebuild")?;
        let store = ReadStore::connect_schema(url, max_connections, NEXT_SCHEMA).await?;
        // What people decided to leave out stays out.
        sqlx::query(
            "insert into muster_read_next.dead_letters (projection, partition, log_offset, project_id, task_id, event_type,
                 error, raw, headers, attempts, state, parked_at, updated_at)
             select projection, partition, log_offset, project_id, task_id, event_type,
                 error, raw, headers, attempts, state, parked_at, updated_at
             from muster_read.dead_letters where state = 'discarded' order by dead_letter_id",
        )
        .execute(&mut lock)
        .await
        .doing("dead_letters")?;
        Ok(Self { store, lock })
    }

    /// Where to project the log, from its start. Agent output is not to be projected.
    pub fn store(&self) -> &ReadStore {
        &self.store
    }

    /// Holds the live projection still, once the new schema has nearly caught up. Queries go on.
    pub async fn hold_live(self) -> Result<Held, Error> {
        let mut transaction = self.store.begin().await?;
        sqlx::query("lock table muster_read.projection_offsets in exclusive mode")
            .execute(&mut *transaction)
            .await
            .doing("holding the live projection")?;
        let offsets: Vec<(i32, i64)> =
            sqlx::query_as("select partition, next_offset from muster_read.projection_offsets where projection = $1")
                .bind(PROJECTION)
                .fetch_all(&mut *transaction)
                .await
                .doing("projection_offsets")?;
        Ok(Held { transaction, store: self.store, lock: self.lock, live_offsets: offsets.into_iter().collect() })
    }
}

impl Held {
    /// Whether the new schema is as far as the live one in every partition.
    pub async fn is_caught_up(&self) -> Result<bool, Error> {
        let offsets: Vec<(i32, i64)> =
            sqlx::query_as("select partition, next_offset from projection_offsets where projection = $1")
                .bind(PROJECTION)
                .fetch_all(self.store.pool())
                .await
                .doing("projection_offsets")?;
        let next: BTreeMap<_, _> = offsets.into_iter().collect();
        Ok(self.live_offsets.iter().all(|(partition, live)| next.get(partition).unwrap_or(&0) >= live))
    }

    /// Puts the new schema in the live one's place, and drops the old. Nothing may write to the new schema meanwhile.
    pub async fn swap(mut self) -> Result<(), Error> {
        // Whoever waits for a position that only the new schema has reached must hear of it.
        sqlx::query(
            "select pg_notify('muster_positions',
                 json_build_object('project_id', n.project_id, 'position', n.position)::text)
             from muster_read_next.project_positions n left join muster_read.project_positions o using (project_id)
             where n.position > coalesce(o.position, 0)",
        )
        .execute(&mut *self.transaction)
        .await
        .doing("pg_notify")?;
        sqlx::raw_sql(
            "drop table muster_read_next.agent_output, muster_read_next.output_offsets;
             alter table muster_read.agent_output set schema muster_read_next;
             alter table muster_read.output_offsets set schema muster_read_next;
             alter schema muster_read rename to muster_read_old;
             alter schema muster_read_next rename to muster_read",
        )
        .execute(&mut *self.transaction)
        .await
        .doing("swapping the schemas")?;
        self.transaction.commit().await.doing("swapping the schemas")?;
        tracing::info!(schema = LIVE_SCHEMA, "the rebuilt read model is live");
        sqlx::raw_sql("drop schema muster_read_old cascade")
            .execute(&mut self.lock)
            .await
            .doing("dropping the old read model")?;
        self.store.pool().close().await;
        // Closing alone lets go a moment later, when the server notices.
        sqlx::query("select pg_advisory_unlock(hashtext('muster read store rebuild'))")
            .execute(&mut self.lock)
            .await
            .doing("unlocking the rebuild")?;
        self.lock.close().await.doing("unlocking the rebuild")
    }
}
