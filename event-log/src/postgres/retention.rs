//! Agent output is kept for a while only, as in Kafka. Events are kept for ever. It must never touch events.

use std::time::Duration;

use sqlx::PgPool;

use super::column;
use super::errors::repeatable;
use crate::Error;

/// How often old lines are removed.
const EVERY: Duration = Duration::from_hours(1);

/// Longest retention that is told from for ever, for the sake of Postgres' calendar: a hundred years.
const RETENTION_MAX: Duration = Duration::from_hours(100 * 365 * 24);

/// Lines looked at in one statement.
const BATCH: u16 = 1000;

/// From the partition's oldest lines on: those that came longer ago than allowed, up to the first batch that has none left.
const REMOVE: &str = "
    WITH oldest AS (
        SELECT log_offset, appended_at FROM muster_log.agent_output
        WHERE partition = $1 ORDER BY log_offset LIMIT $2
    )
    DELETE FROM muster_log.agent_output AS line USING oldest
    WHERE line.partition = $1 AND line.log_offset = oldest.log_offset
        AND oldest.appended_at < now() - make_interval(secs => $3)";

/// Removes old lines at once and then every hour, until it is dropped.
pub(super) async fn keep_removing(pool: PgPool, partitions: u32, retention_ms: u64) {
    let retention = Duration::from_millis(retention_ms).min(RETENTION_MAX);
    let mut interval = tokio::time::interval(EVERY);
    loop {
        interval.tick().await;
        for partition in 0..partitions {
            if let Err(error) = remove(&pool, partition, retention).await {
                tracing::warn!(partition, %error, "old agent output stays until the next try");
            }
        }
    }
}

async fn remove(pool: &PgPool, partition: u32, retention: Duration) -> Result<(), Error> {
    loop {
        let removed = sqlx::query(REMOVE)
            .bind(column(partition))
            .bind(i64::from(BATCH))
            .bind(retention.as_secs_f64())
            .execute(pool)
            .await
            .map_err(repeatable("agent_output"))?;
        if removed.rows_affected() < u64::from(BATCH) {
            return Ok(());
        }
    }
}
