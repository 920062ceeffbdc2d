//! Reading events. Appends to a partition commit in offset order, so what is visible never has a hole that fills later.

use bytes::Bytes;
use muster_domain::id::ProjectId;
use sqlx::{PgPool, Row};

use super::errors::repeatable;
use super::{Inner, column};
use crate::decode::RawRecord;
use crate::{Error, LogOffset, LogRecord};

pub(super) async fn end(pool: &PgPool, partition: u32) -> Result<LogOffset, Error> {
    sqlx::query_scalar("SELECT end_offset FROM muster_log.partitions WHERE partition = $1")
        .bind(column(partition))
        .fetch_one(pool)
        .await
        .map(LogOffset)
        .map_err(repeatable("partitions"))
}

pub(super) async fn events(
    inner: &Inner,
    partition: u32,
    from: LogOffset,
    max: usize,
) -> Result<Vec<LogRecord>, Error> {
    let failed = repeatable("events");
    let rows = sqlx::query(
        "SELECT log_offset, project_id, position, event_type, value FROM muster_log.events
         WHERE partition = $1 AND log_offset >= $2 ORDER BY log_offset LIMIT $3",
    )
    .bind(column(partition))
    .bind(from.0)
    .bind(i64::try_from(max).unwrap_or(i64::MAX))
    .fetch_all(&inner.pool)
    .await
    .map_err(&failed)?;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        let raw = RawRecord {
            value: Bytes::from(row.try_get::<Vec<u8>, _>("value").map_err(&failed)?),
            event_type: row.try_get("event_type").map_err(&failed)?,
            project_id: row.try_get::<Option<uuid::Uuid>, _>("project_id").map_err(&failed)?.map(ProjectId),
            position: row.try_get::<Option<i64>, _>("position").map_err(&failed)?.map(i64::cast_unsigned),
            headers: Vec::new(),
        };
        let offset = LogOffset(row.try_get("log_offset").map_err(&failed)?);
        records.push(LogRecord { partition, offset, payload: inner.schemas.decode(raw).await? });
    }
    Ok(records)
}
