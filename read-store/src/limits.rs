//! What Postgres can do at best with the history's rows, for the load generator: binary `COPY`, and nothing else.
//!
//! Only built with the feature `limits`. Nothing of the product may use it, and it must never use the write path it is
//! compared with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_domain::event::Event;
use sqlx::{Connection, PgConnection};

use crate::error::{Doing, Error};
use crate::text::value_without_nul;

/// Microseconds from Postgres' epoch, the year 2000, to ours.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const COLUMNS: i16 = 15;
/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// Whether the table has the history's indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexes {
    /// It has none.
    None,
    /// It has the history's: by project and position, by task and sequence.
    AsTheHistory,
}

/// Rows of the history as `COPY` takes them, made beforehand.
#[derive(Debug, Clone)]
pub struct CopyData {
    bytes: Vec<u8>,
    rows: u64,
}

impl CopyData {
    /// One row for each of `events`. The hashes are as long as the history's, and mean nothing.
    pub fn of(events: &[Arc<Event>]) -> Result<Self, Error> {
        let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for event in events {
            push_row(&mut bytes, event)?;
        }
        bytes.extend_from_slice(&(-1i16).to_be_bytes());
        Ok(Self { bytes, rows: events.len() as u64 })
    }

    /// Bytes that are sent.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }
}

/// A table like the history, filled by `COPY`.
pub struct BareCopy {
    connection: PgConnection,
    copy: String,
}

impl BareCopy {
    /// Makes the table anew in the database at `url`, which must have the live schema.
    pub async fn connect(url: &str, indexes: Indexes) -> Result<Self, Error> {
        let mut connection = PgConnection::connect(url).await.doing("connecting for the limits")?;
        let (table, like) = match indexes {
            Indexes::None => ("muster_limits.history_plain", ""),
            Indexes::AsTheHistory => ("muster_limits.history_indexed", "including indexes"),
        };
        let make = format!(
            "create schema if not exists muster_limits; drop table if exists {table};
             create table {table} (like {}.event_history {like})",
            crate::LIVE_SCHEMA
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut connection).await.doing("creating the limits' table")?;
        Ok(Self { connection, copy: format!("copy {table} from stdin (format binary)") })
    }

    /// Copies `data`. Returns how long it took until it was committed.
    pub async fn append(&mut self, data: &CopyData) -> Result<Duration, Error> {
        let start = Instant::now();
        let mut copy = self.connection.copy_in_raw(&self.copy).await.doing("the limits' table")?;
        copy.send(&data.bytes[..]).await.doing("the limits' table")?;
        let rows = copy.finish().await.doing("the limits' table")?;
        let took = start.elapsed();
        assert_eq!(rows, data.rows, "COPY takes all rows or fails");
        Ok(took)
    }
}

fn push_row(bytes: &mut Vec<u8>, event: &Event) -> Result<(), Error> {
    let mut flat = serde_json::to_value(event).map_err(|source| Error::Encode { table: "event_history", source })?;
    value_without_nul(&mut flat);
    let text = |key: &str| flat[key].as_str().map(str::as_bytes);
    let data = flat["data"].to_string();
    bytes.extend_from_slice(&COLUMNS.to_be_bytes());
    field(bytes, Some(event.project_id.0.as_bytes()));
    field(bytes, Some(&event.position.cast_signed().to_be_bytes()));
    field(bytes, event.task_id.as_ref().map(|id| &id.0.as_bytes()[..]));
    field(bytes, Some(&event.sequence.cast_signed().to_be_bytes()));
    field(bytes, Some(event.id.0.as_bytes()));
    field(bytes, text("type"));
    field(bytes, Some(&(event.timestamp.as_micros() - EPOCH_MICROS).to_be_bytes()));
    field(bytes, text("source"));
    field(bytes, text("actor"));
    field(bytes, Some(event.command_id.0.as_bytes()));
    field(bytes, text("command_digest"));
    field(bytes, event.causation_id.as_ref().map(|id| &id.0.as_bytes()[..]));
    field(bytes, Some(event.correlation_id.as_bytes()));
    // The binary form of jsonb is its version and its text.
    field(bytes, Some(&[b"\x01", data.as_bytes()].concat()));
    field(bytes, Some(&[event.id.0.as_bytes()[0]; HASH_BYTES]));
    Ok(())
}

fn field(bytes: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => bytes.extend_from_slice(&(-1i32).to_be_bytes()),
        Some(value) => {
            let length = i32::try_from(value.len()).expect("an event is smaller than 2 GiB");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_domain::id::ProjectId;
    use uuid::Uuid;

    use super::*;
    use crate::ReadStore;

    #[tokio::test]
    async fn the_rows_are_those_of_the_history() {
        let url = muster_test_kit::fresh_database("limits").await;
        let store = ReadStore::connect(&url, 2).await.unwrap();
        let events: Vec<_> = muster_schemas::samples::sample_events()
            .into_iter()
            .map(|event| Arc::new(Event { project_id: ProjectId(Uuid::from_u128(1)), ..event }))
            .collect();
        let records: Vec<_> = (0..).zip(events.iter().cloned()).collect();
        store.apply_batch(0, &records, 1000).await.unwrap();

        for indexes in [Indexes::None, Indexes::AsTheHistory] {
            let mut copy = BareCopy::connect(&url, indexes).await.unwrap();
            copy.append(&CopyData::of(&events).unwrap()).await.unwrap();
            let table = copy.copy.split_whitespace().nth(1).unwrap().to_owned();
            let differing = format!(
                "select count(*) from event_history h full join {table} l using (project_id, position)
                 where to_jsonb(h) - 'audit_hash' is distinct from to_jsonb(l) - 'audit_hash'"
            );
            let differing: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(differing)).fetch_one(store.pool()).await.unwrap();
            assert_eq!(differing, 0, "{indexes:?}");
        }
    }
}
