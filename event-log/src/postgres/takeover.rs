//! Taking a partition over: a new epoch, for which the row's lock is needed, and with it the end of whoever keeps that lock.
//!
//! An append is one statement, so it holds the lock for as long as the database works on it. A client that was frozen or
//! cut off between two of its packets can hold it for longer; its connection is ended then, which undoes its append.

use std::time::Duration;

use sqlx::{PgPool, Row};

use super::errors::repeatable;
use super::setup::APPLICATION_NAME;
use crate::{Error, LogOffset};

/// Ends the log's connections that have been writing partitions for so many seconds.
const END_HOLDERS: &str = "
    SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity AS a
    WHERE a.application_name = $1 AND a.datname = current_database() AND a.pid <> pg_backend_pid()
        AND a.xact_start < clock_timestamp() - make_interval(secs => $2)
        AND EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = a.pid AND l.granted AND l.mode = 'RowExclusiveLock'
                    AND l.relation = 'muster_log.partitions'::regclass)";

/// Raises the epoch. Waits for an append that a predecessor has begun. The new epoch, and where the log ends.
pub(super) async fn take(pool: &PgPool, partition: u32, lock_timeout: Duration) -> Result<(i64, LogOffset), Error> {
    // One message and so one transaction: nothing is held when this process is frozen in between.
    let raise = format!(
        "SET LOCAL lock_timeout = {};
         UPDATE muster_log.partitions SET epoch = epoch + 1 WHERE partition = {partition} RETURNING epoch, end_offset",
        lock_timeout.as_millis().max(1)
    );
    let failed = repeatable("partitions");
    loop {
        match sqlx::raw_sql(sqlx::AssertSqlSafe(raise.clone())).fetch_one(pool).await {
            Ok(row) => {
                let epoch = row.try_get("epoch").map_err(&failed)?;
                return Ok((epoch, LogOffset(row.try_get("end_offset").map_err(&failed)?)));
            }
            Err(error) if is_lock_timeout(&error) => {
                let ended: i64 = sqlx::query_scalar(END_HOLDERS)
                    .bind(APPLICATION_NAME)
                    .bind(lock_timeout.as_secs_f64())
                    .fetch_one(pool)
                    .await
                    .map_err(&failed)?;
                tracing::warn!(partition, ended, "connections that kept the partition locked for too long were ended");
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some("55P03")
}
