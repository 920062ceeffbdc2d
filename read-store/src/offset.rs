//! How far each partition of the log is applied. An offset never moves back (I6).

use sqlx::PgConnection;

use crate::error::{Doing, Error};
use crate::store::ReadStore;

/// The name of the projection of events into the read model.
pub const PROJECTION: &str = "read_model";

/// Its version; raised when its rows change meaning, which asks for a rebuild.
pub const VERSION: i32 = 1;

/// Where to go on in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The first log offset that is not applied.
    pub next_offset: i64,
    /// Starts at this offset, this one included, that have not moved it yet.
    pub attempts: u32,
}

impl ReadStore {
    /// Counts a start at a partition, durably, and says where to go on. Several that moved nothing ask for care.
    pub async fn claim_partition(&self, partition: u32) -> Result<Claim, Error> {
        let (next_offset, attempts): (i64, i32) = sqlx::query_as(
            "insert into projection_offsets (projection, version, partition, next_offset, attempts)
             values ($1, $2, $3, 0, 1)
             on conflict (projection, partition) do update set attempts = projection_offsets.attempts + 1
             returning next_offset, attempts",
        )
        .bind(PROJECTION)
        .bind(VERSION)
        .bind(partition_column(partition))
        .fetch_one(self.pool())
        .await
        .doing("projection_offsets")?;
        Ok(Claim { next_offset, attempts: u32::try_from(attempts).unwrap_or(0) })
    }

    /// Counts, durably and before it is read, that the next record is begun. Finishing it, by applying it or setting it
    /// aside, moves the partition and starts the count anew; a record that ends the process makes it grow.
    pub async fn begin_record(&self, partition: u32) -> Result<u32, Error> {
        let unfinished: i32 = sqlx::query_scalar(
            "update projection_offsets set unfinished = unfinished + 1
             where projection = $1 and partition = $2 returning unfinished",
        )
        .bind(PROJECTION)
        .bind(partition_column(partition))
        .fetch_one(self.pool())
        .await
        .doing("projection_offsets")?;
        Ok(u32::try_from(unfinished).unwrap_or(0))
    }

    /// Forgets the starts that did not move a partition, because it is known why: there is nothing to read there, or the
    /// start ended in good order.
    pub async fn forget_attempts(&self, partition: u32) -> Result<(), Error> {
        sqlx::query(
            "update projection_offsets set attempts = 0, unfinished = 0
             where projection = $1 and partition = $2 and (attempts > 0 or unfinished > 0)",
        )
        .bind(PROJECTION)
        .bind(partition_column(partition))
        .execute(self.pool())
        .await
        .doing("projection_offsets")?;
        Ok(())
    }

    /// The first log offset of a partition that is not applied; 0 before the first start.
    pub async fn next_offset(&self, partition: u32) -> Result<i64, Error> {
        let offset: Option<i64> =
            sqlx::query_scalar("select next_offset from projection_offsets where projection = $1 and partition = $2")
                .bind(PROJECTION)
                .bind(partition_column(partition))
                .fetch_optional(self.pool())
                .await
                .doing("projection_offsets")?;
        Ok(offset.unwrap_or(0))
    }

    /// The version that the stored rows were written by; none before the first start.
    pub async fn stored_version(&self) -> Result<Option<i32>, Error> {
        sqlx::query_scalar("select min(version) from projection_offsets where projection = $1")
            .bind(PROJECTION)
            .fetch_one(self.pool())
            .await
            .doing("projection_offsets")
    }
}

/// Reads and locks a partition's next offset; two projectors on one partition take turns and skip what the other did.
pub(crate) async fn lock_offset(connection: &mut PgConnection, partition: u32) -> Result<i64, Error> {
    let offset: Option<i64> = sqlx::query_scalar(
        "select next_offset from projection_offsets where projection = $1 and partition = $2 for update",
    )
    .bind(PROJECTION)
    .bind(partition_column(partition))
    .fetch_optional(&mut *connection)
    .await
    .doing("projection_offsets")?;
    Ok(offset.unwrap_or(0))
}

/// Moves a partition on; an offset below the stored one changes nothing.
pub(crate) async fn move_offset(connection: &mut PgConnection, partition: u32, next_offset: i64) -> Result<(), Error> {
    sqlx::query(
        "insert into projection_offsets (projection, version, partition, next_offset) values ($1, $2, $3, $4)
         on conflict (projection, partition) do update set
             next_offset = excluded.next_offset, attempts = 0, unfinished = 0
         where projection_offsets.next_offset < excluded.next_offset",
    )
    .bind(PROJECTION)
    .bind(VERSION)
    .bind(partition_column(partition))
    .bind(next_offset)
    .execute(connection)
    .await
    .doing("projection_offsets")?;
    Ok(())
}

pub(crate) fn partition_column(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
