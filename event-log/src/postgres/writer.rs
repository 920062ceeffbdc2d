//! The one live writer of a partition: an epoch, checked by each append inside its own statement.

use std::sync::Arc;

use async_trait::async_trait;
use muster_domain::event::Event;
use uuid::Uuid;

use super::errors::{of_append, repeatable, within};
use super::{PostgresLog, column, takeover};
use crate::{Appended, Error, LogOffset, PartitionWriter, framing};

/// All or nothing: without the `head` row, which only the latest writer at the expected end gets, nothing is inserted.
const APPEND: &str = "
    WITH head AS (
        UPDATE muster_log.partitions SET end_offset = end_offset + cardinality($4::uuid[])
        WHERE partition = $1 AND epoch = $2 AND end_offset = $3
        RETURNING partition
    )
    INSERT INTO muster_log.events (partition, log_offset, project_id, position, event_type, value)
    SELECT $1, $3 + e.ordinal - 1, e.project_id, e.position, e.event_type, e.value
    FROM head, UNNEST($4::uuid[], $5::bigint[], $6::text[], $7::bytea[])
        WITH ORDINALITY AS e (project_id, position, event_type, value, ordinal)";

/// Whether the writer may go on.
#[derive(Clone, Copy)]
enum Standing {
    Good,
    Fenced,
    /// An append was begun and its outcome was never learnt.
    InDoubt,
}

pub(super) struct Writer {
    log: PostgresLog,
    partition: u32,
    epoch: i64,
    end: LogOffset,
    standing: Standing,
}

impl Writer {
    pub(super) async fn open(log: PostgresLog, partition: u32) -> Result<Self, Error> {
        let taking = takeover::take(&log.0.pool, partition, log.0.lock_timeout);
        let (epoch, end) = within(log.0.request_timeout, "partitions", taking).await?;
        Ok(Self { log, partition, epoch, end, standing: Standing::Good })
    }

    fn encode(&self, event: &Event) -> Result<Vec<u8>, Error> {
        let datum = muster_schemas::encode(event)?;
        let schema_id = self.log.0.schema_ids.get(event.event_type()).copied().ok_or_else(|| Error::Schema {
            subject: event.event_type().to_owned(),
            reason: "it was not registered when this process connected".to_owned(),
        })?;
        let value = framing::frame(schema_id, &datum);
        let limit_bytes = self.log.0.max_value_bytes;
        if value.len() > limit_bytes {
            return Err(Error::TooLarge { size_bytes: value.len(), limit_bytes });
        }
        Ok(value)
    }

    /// Why the append found no row to change.
    async fn diagnose(&mut self) -> Result<Error, Error> {
        let partition = self.partition;
        let looking = async {
            sqlx::query_as("SELECT epoch, end_offset FROM muster_log.partitions WHERE partition = $1")
                .bind(column(partition))
                .fetch_one(&self.log.0.pool)
                .await
                .map_err(repeatable("partitions"))
        };
        let (epoch, end): (i64, i64) = within(self.log.0.request_timeout, "partitions", looking).await?;
        if epoch != self.epoch {
            self.standing = Standing::Fenced;
            return Ok(Error::Fenced { partition });
        }
        Ok(Error::WrongExpectedEnd { partition, expected: self.end, actual: LogOffset(end) })
    }

    async fn insert(&mut self, events: &[Arc<Event>], values: Vec<Vec<u8>>) -> Result<u64, Error> {
        let mut projects: Vec<Uuid> = Vec::with_capacity(events.len());
        let mut positions: Vec<i64> = Vec::with_capacity(events.len());
        let mut types: Vec<&str> = Vec::with_capacity(events.len());
        for event in events {
            projects.push(event.project_id.0);
            positions.push(event.position.cast_signed());
            types.push(event.event_type());
        }
        let mut connection =
            self.log.0.pool.acquire().await.map_err(|error| Error::unavailable("the log's database", error))?;
        let timeout = self.log.0.request_timeout;
        // From here to the answer the outcome is open, also when this future is dropped.
        self.standing = Standing::InDoubt;
        let appending = sqlx::query(APPEND)
            .bind(column(self.partition))
            .bind(self.epoch)
            .bind(self.end.0)
            .bind(projects)
            .bind(positions)
            .bind(types)
            .bind(values)
            .execute(&mut *connection);
        let result = if let Ok(result) = tokio::time::timeout(timeout, appending).await {
            result.map_err(|error| of_append(self.partition, &error))
        } else {
            // Nobody else should wait for what it still has to say.
            drop(connection.detach());
            let reason = format!("table muster_log.events: no answer within {} ms", timeout.as_millis());
            Err(Error::Indeterminate { partition: self.partition, reason })
        };
        if !matches!(result, Err(Error::Indeterminate { .. })) {
            self.standing = Standing::Good;
        }
        result.map(|done| done.rows_affected())
    }
}

#[async_trait]
impl PartitionWriter for Writer {
    fn partition(&self) -> u32 {
        self.partition
    }

    fn end(&self) -> LogOffset {
        self.end
    }

    async fn append(&mut self, expected_end: LogOffset, events: &[Arc<Event>]) -> Result<Appended, Error> {
        let partition = self.partition;
        match self.standing {
            Standing::Good => {}
            Standing::Fenced => return Err(Error::Fenced { partition }),
            Standing::InDoubt => {
                return Err(Error::Indeterminate { partition, reason: "an earlier append had no answer".to_owned() });
            }
        }
        if expected_end != self.end {
            return Err(Error::WrongExpectedEnd { partition, expected: expected_end, actual: self.end });
        }
        if events.is_empty() {
            return Ok(Appended { end: self.end, offsets: Vec::new() });
        }
        let values = events.iter().map(|event| self.encode(event)).collect::<Result<Vec<_>, _>>()?;
        if self.insert(events, values).await? == 0 {
            return Err(self.diagnose().await?);
        }
        let offsets: Vec<_> = (self.end.0..).map(LogOffset).take(events.len()).collect();
        self.end = offsets.last().map_or(self.end, |last| last.next());
        self.log.0.wake.events_written(partition);
        Ok(Appended { end: self.end, offsets })
    }
}
