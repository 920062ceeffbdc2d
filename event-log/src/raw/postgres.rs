//! Postgres by plain statements, each call on a connection of its own.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use sqlx::{Connection, PgConnection, Row};
use uuid::Uuid;

use super::RawRecord;
use crate::Error;

fn failed(error: sqlx::Error) -> Error {
    Error::unavailable("the log's tables", error)
}

pub(super) async fn ends(url: &str) -> Result<BTreeMap<u32, i64>, Error> {
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    let rows: Vec<(i32, i64)> = sqlx::query_as(
        "SELECT p.partition, coalesce(max(e.log_offset) + 1, 0)
         FROM muster_log.partitions p LEFT JOIN muster_log.events e USING (partition) GROUP BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .map_err(failed)?;
    Ok(rows.into_iter().map(|(partition, end)| (partition.cast_unsigned(), end)).collect())
}

pub(super) async fn records(url: &str, partition: u32, from: i64, to: i64) -> Result<Vec<RawRecord>, Error> {
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    let rows = sqlx::query(
        "SELECT log_offset, project_id, value, xmin::text::bigint AS transaction FROM muster_log.events
         WHERE partition = $1 AND log_offset >= $2 AND log_offset < $3 ORDER BY log_offset",
    );
    let rows = rows.bind(partition.cast_signed()).bind(from).bind(to).fetch(&mut connection);
    let record = |row: sqlx::postgres::PgRow| {
        Ok(RawRecord {
            partition,
            offset: row.try_get("log_offset")?,
            key: row.try_get::<Option<Uuid>, _>("project_id")?.map(|project| project.to_string().into_bytes()),
            headers: Vec::new(),
            value: row.try_get("value")?,
            append: row.try_get::<i64, _>("transaction")?.cast_unsigned(),
        })
    };
    rows.and_then(|row| std::future::ready(record(row))).try_collect().await.map_err(failed)
}

pub(super) async fn schemas(url: &str, ids: &BTreeSet<u32>) -> Result<BTreeMap<u32, String>, Error> {
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    let ids: Vec<i32> = ids.iter().map(|id| id.cast_signed()).collect();
    let rows: Vec<(i32, String)> =
        sqlx::query_as("SELECT schema_id, avsc FROM muster_log.schemas WHERE schema_id = ANY($1)")
            .bind(ids)
            .fetch_all(&mut connection)
            .await
            .map_err(failed)?;
    Ok(rows.into_iter().map(|(id, text)| (id.cast_unsigned(), text)).collect())
}
