//! The log in Postgres: the embedded default. Everything lies in the schema `muster_log` of one database.
//!
//! An append is one statement: it locks the partition's row, checks that the writer is the partition's latest and that
//! nobody came in between, and inserts the events. It must never write outside `muster_log`.

mod config;
mod errors;
mod membership;
mod output;
mod read;
mod retention;
mod schemas;
mod setup;
mod snapshots;
mod takeover;
mod wake;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt};
use sqlx::PgPool;
use tokio_util::task::AbortOnDropHandle;

use crate::decode::SchemaCache;
use crate::tail::tail;
use crate::{
    AgentOutput, DeadLetter, Error, EventLog, LogOffset, LogRecord, Member, Membership, OutputRecord, PartitionWriter,
    partition_of,
};

pub use config::PostgresConfig;

/// A log in Postgres. Cloning gives another handle to the same connections.
#[derive(Clone)]
pub struct PostgresLog(Arc<Inner>);

struct Inner {
    pool: PgPool,
    partitions: u32,
    poll: Duration,
    request_timeout: Duration,
    lock_timeout: Duration,
    max_value_bytes: usize,
    give_back_timeout: Duration,
    schema_ids: schemas::SchemaIds,
    schemas: SchemaCache<schemas::SchemaTable>,
    wake: wake::Wake,
    _retention: AbortOnDropHandle<()>,
}

impl PostgresLog {
    /// Connects, creates the tables and partitions when there are none, and registers this build's schemas.
    pub async fn connect(config: &PostgresConfig) -> Result<Self, Error> {
        setup::prepare(config).await?;
        let pool = setup::pool(config).await?;
        let schema_ids = schemas::register(&pool).await?;
        let retention = retention::keep_removing(pool.clone(), config.partitions, config.output_retention_ms);
        Ok(Self(Arc::new(Inner {
            partitions: config.partitions,
            poll: Duration::from_millis(config.poll_interval_ms),
            request_timeout: Duration::from_millis(config.request_timeout_ms),
            lock_timeout: Duration::from_millis(config.lock_timeout_ms),
            max_value_bytes: config.max_value_bytes,
            give_back_timeout: Duration::from_millis(config.give_back_timeout_ms),
            schema_ids,
            schemas: SchemaCache::new(schemas::SchemaTable(pool.clone())),
            wake: wake::Wake::start(pool.clone(), config.partitions).await?,
            _retention: AbortOnDropHandle::new(tokio::spawn(retention)),
            pool,
        })))
    }

    fn check(&self, partition: u32) -> Result<(), Error> {
        let count = self.0.partitions;
        if partition < count { Ok(()) } else { Err(Error::NoPartition { partition, count }) }
    }
}

/// A partition's number as the tables have it.
fn column(partition: u32) -> i32 {
    i32::try_from(partition).expect("the number of partitions was checked against i32 when connecting")
}

#[async_trait]
impl EventLog for PostgresLog {
    fn partition_count(&self) -> u32 {
        self.0.partitions
    }

    async fn open_writer(&self, partition: u32) -> Result<Box<dyn PartitionWriter>, Error> {
        self.check(partition)?;
        Ok(Box::new(writer::Writer::open(self.clone(), partition).await?))
    }

    async fn end(&self, partition: u32) -> Result<LogOffset, Error> {
        self.check(partition)?;
        errors::within(self.0.request_timeout, "partitions", read::end(&self.0.pool, partition)).await
    }

    async fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<LogRecord>, Error> {
        self.check(partition)?;
        errors::within(self.0.request_timeout, "events", read::events(&self.0, partition, from, max)).await
    }

    async fn subscribe(
        &self,
        partition: u32,
        from: LogOffset,
    ) -> Result<BoxStream<'static, Result<LogRecord, Error>>, Error> {
        self.check(partition)?;
        let inner = Arc::clone(&self.0);
        let wake = inner.wake.events.listen(partition);
        let poll = inner.poll;
        let read = move |from, max| {
            let inner = Arc::clone(&inner);
            async move { errors::within(inner.request_timeout, "events", read::events(&inner, partition, from, max)).await }
                .boxed()
        };
        Ok(tail(from, wake, poll, |record: &LogRecord| record.offset, Box::new(read)))
    }

    async fn append_output(&self, lines: Vec<AgentOutput>) -> Result<(), Error> {
        let mut by_partition: Vec<Vec<AgentOutput>> = vec![Vec::new(); self.0.partitions as usize];
        for line in lines {
            by_partition[partition_of(&line.run_id.to_string(), self.0.partitions) as usize].push(line);
        }
        for (partition, lines) in (0u32..).zip(by_partition) {
            if !lines.is_empty() {
                output::append(&self.0.pool, partition, &lines).await?;
                self.0.wake.output_written(partition);
            }
        }
        Ok(())
    }

    async fn subscribe_output(
        &self,
        from: Vec<(u32, LogOffset)>,
    ) -> Result<BoxStream<'static, Result<OutputRecord, Error>>, Error> {
        let mut streams = Vec::with_capacity(from.len());
        for (partition, from) in from {
            self.check(partition)?;
            let inner = Arc::clone(&self.0);
            let wake = inner.wake.output.listen(partition);
            let poll = inner.poll;
            let read = move |from, max| {
                let inner = Arc::clone(&inner);
                async move { output::read(&inner.pool, partition, from, max).await }.boxed()
            };
            streams.push(tail(from, wake, poll, |record: &OutputRecord| record.offset, Box::new(read)));
        }
        Ok(stream::select_all(streams).boxed())
    }

    async fn join(&self, member: Member) -> Result<Arc<dyn Membership>, Error> {
        Ok(Arc::new(membership::PostgresMembership::join(&self.0, &member)))
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), Error> {
        output::dead_letter(&self.0.pool, letter).await
    }

    async fn put_snapshot(&self, partition: u32, snapshot: Bytes) -> Result<(), Error> {
        self.check(partition)?;
        snapshots::put(&self.0.pool, partition, &snapshot).await
    }

    async fn snapshot(&self, partition: u32) -> Result<Option<Bytes>, Error> {
        self.check(partition)?;
        snapshots::get(&self.0.pool, partition).await
    }
}
