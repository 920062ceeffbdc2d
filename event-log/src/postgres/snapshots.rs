//! Snapshots: rows of a few megabytes each, and one row that says what they add up to. The newest two are kept.
//!
//! Nothing here may be relied upon: what does not add up is left out.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::column;
use super::errors::repeatable;
use crate::Error;

/// Size of a chunk. The server and this process hold a few of them at once.
const CHUNK_BYTES: usize = 4_000_000;

/// Those of which two newer ones are there, but for what another process is removing.
const REMOVE: &str = "
    WITH old AS (
        SELECT snapshot_id FROM muster_log.snapshots WHERE partition = $1
        ORDER BY ordinal DESC OFFSET 2 FOR UPDATE SKIP LOCKED
    ), chunks AS (
        DELETE FROM muster_log.snapshot_chunks WHERE snapshot_id IN (SELECT snapshot_id FROM old)
    )
    DELETE FROM muster_log.snapshots WHERE snapshot_id IN (SELECT snapshot_id FROM old)";

/// Writes the chunks, one by one, then the row that makes them a snapshot. Until then they are nobody's, and the next
/// snapshot that is put removes what was left by one that was never finished.
pub(super) async fn put(pool: &PgPool, partition: u32, snapshot: &Bytes) -> Result<(), Error> {
    let failed = repeatable("snapshots");
    let id = Uuid::new_v4();
    for (chunk, content) in (0i32..).zip(snapshot.chunks(CHUNK_BYTES)) {
        sqlx::query(
            "INSERT INTO muster_log.snapshot_chunks (partition, snapshot_id, chunk, content) VALUES ($1, $2, $3, $4)",
        )
        .bind(column(partition))
        .bind(id)
        .bind(chunk)
        .bind(content)
        .execute(pool)
        .await
        .map_err(repeatable("snapshot_chunks"))?;
    }
    sqlx::query(
        "INSERT INTO muster_log.snapshots (snapshot_id, partition, size_bytes, sha256) VALUES ($1, $2, $3, $4)",
    )
    .bind(id)
    .bind(column(partition))
    .bind(i64::try_from(snapshot.len()).unwrap_or(i64::MAX))
    .bind(&Sha256::digest(snapshot)[..])
    .execute(pool)
    .await
    .map_err(&failed)?;
    sqlx::query(REMOVE).bind(column(partition)).execute(pool).await.map_err(&failed)?;
    sqlx::query(
        "DELETE FROM muster_log.snapshot_chunks AS c WHERE partition = $1 AND written_at < now() - interval '1 hour'
         AND NOT EXISTS (SELECT FROM muster_log.snapshots AS s WHERE s.snapshot_id = c.snapshot_id)",
    )
    .bind(column(partition))
    .execute(pool)
    .await
    .map(drop)
    .map_err(repeatable("snapshot_chunks"))
}

/// The newest that is whole.
pub(super) async fn get(pool: &PgPool, partition: u32) -> Result<Option<Bytes>, Error> {
    let failed = repeatable("snapshots");
    let known: Vec<(Uuid, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT snapshot_id, size_bytes, sha256 FROM muster_log.snapshots WHERE partition = $1 ORDER BY ordinal DESC",
    )
    .bind(column(partition))
    .fetch_all(pool)
    .await
    .map_err(&failed)?;
    for (id, size_bytes, sha256) in known {
        let whole = assemble(pool, partition, id, size_bytes).await?;
        let there = whole.len();
        if i64::try_from(there).ok() == Some(size_bytes) && Sha256::digest(&whole)[..] == sha256[..] {
            return Ok(Some(Bytes::from(whole)));
        }
        tracing::warn!(partition, snapshot = %id, there, size_bytes, "a snapshot is damaged and is left out");
    }
    Ok(None)
}

async fn assemble(pool: &PgPool, partition: u32, id: Uuid, size_bytes: i64) -> Result<Vec<u8>, Error> {
    let mut whole = Vec::with_capacity(usize::try_from(size_bytes).unwrap_or_default());
    for chunk in 0i32.. {
        let content: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT content FROM muster_log.snapshot_chunks WHERE partition = $1 AND snapshot_id = $2 AND chunk = $3",
        )
        .bind(column(partition))
        .bind(id)
        .bind(chunk)
        .fetch_optional(pool)
        .await
        .map_err(repeatable("snapshot_chunks"))?;
        let Some(content) = content else { break };
        whole.extend_from_slice(&content);
    }
    Ok(whole)
}
