//! A bare insert, and a bare round trip through the server. The insert: the log's columns, one statement that is its own transaction, on one connection.

use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::Record;
use crate::Error;

/// Whether the table has the log's indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexes {
    /// It has none.
    None,
    /// It has the log's: by partition and offset, by project and position.
    AsTheLog,
}

/// A table like the log's, and a connection that fills it.
pub struct BareInsert {
    connection: PgConnection,
    insert: String,
    next_offset: i64,
}

impl BareInsert {
    /// Makes the table anew in the database at `url`.
    pub async fn connect(url: &str, indexes: Indexes) -> Result<Self, Error> {
        let mut connection = PgConnection::connect(url).await.map_err(failed)?;
        let table = match indexes {
            Indexes::None => "muster_limits.events_plain",
            Indexes::AsTheLog => "muster_limits.events_indexed",
        };
        let keys = match indexes {
            Indexes::None => "",
            Indexes::AsTheLog => ", PRIMARY KEY (partition, log_offset), UNIQUE (project_id, position)",
        };
        let make = format!(
            "CREATE SCHEMA IF NOT EXISTS muster_limits; DROP TABLE IF EXISTS {table};
             CREATE TABLE {table} (partition integer NOT NULL, log_offset bigint NOT NULL, project_id uuid,
                 position bigint, event_type text, value bytea NOT NULL{keys})"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&mut connection).await.map_err(failed)?;
        let insert = format!(
            "INSERT INTO {table} SELECT 0, e.* FROM UNNEST($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::bytea[]) AS e"
        );
        Ok(Self { connection, insert, next_offset: 0 })
    }

    /// Inserts `records`. Returns how long the statement took; it is its own transaction, which saves two round trips.
    pub async fn append(&mut self, records: &[Record]) -> Result<Duration, Error> {
        let offsets: Vec<i64> = (self.next_offset..).take(records.len()).collect();
        self.next_offset = offsets.last().map_or(self.next_offset, |last| last + 1);
        let projects: Vec<Uuid> = records.iter().map(|record| record.project_id).collect();
        let positions: Vec<i64> = records.iter().map(|record| record.position).collect();
        let types: Vec<&str> = records.iter().map(|record| record.event_type.as_str()).collect();
        let values: Vec<&[u8]> = records.iter().map(|record| &record.value[..]).collect();
        let start = Instant::now();
        sqlx::query(sqlx::AssertSqlSafe(self.insert.clone()))
            .bind(offsets)
            .bind(projects)
            .bind(positions)
            .bind(types)
            .bind(values)
            .execute(&mut self.connection)
            .await
            .map_err(failed)?;
        Ok(start.elapsed())
    }
}

/// An insert that notifies, and the wait until a listener on another connection is told.
pub struct BareRoundTrip {
    insert: BareInsert,
    listener: PgListener,
}

impl BareRoundTrip {
    /// Makes the table anew in the database at `url`, with the log's indexes.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let mut insert = BareInsert::connect(url, Indexes::AsTheLog).await?;
        insert.insert = format!(
            "WITH inserted AS ({} RETURNING log_offset) SELECT pg_notify('muster_limits', max(log_offset)::text) FROM inserted",
            insert.insert
        );
        let mut listener = PgListener::connect(url).await.map_err(failed)?;
        listener.listen("muster_limits").await.map_err(failed)?;
        Ok(Self { insert, listener })
    }

    /// How long `record` takes from its insert until the listener is told.
    pub async fn measure(&mut self, record: &Record) -> Result<Duration, Error> {
        let start = Instant::now();
        self.insert.append(std::slice::from_ref(record)).await?;
        self.listener.recv().await.map_err(failed)?;
        Ok(start.elapsed())
    }
}

fn failed(error: sqlx::Error) -> Error {
    Error::unavailable("the limits' table", error)
}
