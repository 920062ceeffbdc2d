//! The log in Apache Kafka, with a Confluent-compatible schema registry.
//!
//! An append is a transaction of a producer whose `transactional.id` belongs to the partition, which is what fences a
//! writer that was taken over. Readers are ordinary `read_committed` consumers. It must never need a broker extension.
//!
//! An append is acknowledged once its records can be read, not already when Kafka says that they are committed: a lone
//! broker that dies in between comes back with the transaction undecided for ever. Nothing in such a transaction was
//! acknowledged; the next writer of the partition aborts it.

mod clients;
mod config;
mod errors;
mod membership;
mod output;
mod patience;
mod producer;
mod reach;
mod reader;
mod records;
mod registry;
mod renewable;
mod snapshots;
mod subscription;
mod topics;
mod watchdog;
mod watermarks;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use crate::decode::SchemaCache;
use crate::{
    AgentOutput, DeadLetter, Error, EventLog, LogOffset, LogRecord, Member, Membership, OutputRecord, PartitionWriter,
};

pub use config::KafkaConfig;

/// A log in Kafka. Cloning gives another handle to the same clients.
#[derive(Clone)]
pub struct KafkaLog(Arc<Inner>);

struct Inner {
    config: KafkaConfig,
    topics: topics::Topics,
    schema_ids: registry::SchemaIds,
    schemas: SchemaCache<registry::Registry>,
    watermarks: Arc<watermarks::Watermarks>,
    readers: reader::Readers,
    subscriptions: Arc<subscription::Subscriptions>,
    output: output::OutputProducer,
}

impl KafkaLog {
    /// Connects, creates the topics when there are none, and registers this build's schemas.
    pub async fn connect(config: &KafkaConfig) -> Result<Self, Error> {
        crate::stalls::show();
        let topics = topics::Topics::new(&config.topic_prefix);
        reach::brokers(config).await?;
        topics::ensure(config, &topics).await?;
        let registry = registry::Registry::new(&config.registry_url)?;
        let schema_ids = registry::register(&registry, &topics).await?;
        let watermarks = Arc::new(watermarks::Watermarks::new(config)?);
        Ok(Self(Arc::new(Inner {
            subscriptions: subscription::Subscriptions::new(config.clone(), Arc::clone(&watermarks)),
            readers: reader::Readers::new(config.clone(), topics.events.clone(), Arc::clone(&watermarks)),
            output: output::OutputProducer::new(config, &topics, schema_ids.output, Arc::clone(&watermarks))?,
            schemas: SchemaCache::new(registry),
            watermarks,
            schema_ids,
            topics,
            config: config.clone(),
        })))
    }

    fn snapshots(&self, partition: u32) -> snapshots::Snapshots<'_> {
        let Inner { config, topics, watermarks, .. } = &*self.0;
        snapshots::Snapshots { config, topic: &topics.snapshots, partition, watermarks }
    }

    fn check(&self, partition: u32) -> Result<(), Error> {
        let count = self.0.config.partitions;
        if partition < count { Ok(()) } else { Err(Error::NoPartition { partition, count }) }
    }
}

/// A partition's number as Kafka has it.
fn number(partition: u32) -> i32 {
    i32::try_from(partition).expect("the number of partitions was checked against i32 when connecting")
}

#[async_trait]
impl EventLog for KafkaLog {
    fn partition_count(&self) -> u32 {
        self.0.config.partitions
    }

    async fn open_writer(&self, partition: u32) -> Result<Box<dyn PartitionWriter>, Error> {
        self.check(partition)?;
        Ok(Box::new(writer::Writer::open(self.clone(), partition).await?))
    }

    async fn end(&self, partition: u32) -> Result<LogOffset, Error> {
        self.check(partition)?;
        let (watermarks, topic) = (Arc::clone(&self.0.watermarks), self.0.topics.events.clone());
        clients::blocking(move || watermarks.committed_end(&topic, partition)).await
    }

    async fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<LogRecord>, Error> {
        self.check(partition)?;
        let mut records = Vec::new();
        for (offset, raw) in self.0.readers.read(partition, from, max).await? {
            records.push(LogRecord { partition, offset, payload: self.0.schemas.decode(raw).await? });
        }
        Ok(records)
    }

    async fn subscribe(
        &self,
        partition: u32,
        from: LogOffset,
    ) -> Result<BoxStream<'static, Result<LogRecord, Error>>, Error> {
        self.check(partition)?;
        let topic = self.0.topics.events.clone();
        let raw = self.0.subscriptions.subscribe(topic, partition, from).await?;
        let inner = Arc::clone(&self.0);
        let decoded = raw.then(move |item| {
            let inner = Arc::clone(&inner);
            async move {
                let (offset, raw) = item?;
                Ok(LogRecord { partition, offset, payload: inner.schemas.decode(raw).await? })
            }
        });
        Ok(subscription::until_error(decoded.boxed()))
    }

    async fn append_output(&self, lines: Vec<AgentOutput>) -> Result<(), Error> {
        self.0.output.append(&lines).await
    }

    async fn subscribe_output(
        &self,
        from: Vec<(u32, LogOffset)>,
    ) -> Result<BoxStream<'static, Result<OutputRecord, Error>>, Error> {
        let mut streams = Vec::with_capacity(from.len());
        for (partition, from) in from {
            self.check(partition)?;
            let topic = self.0.topics.output.clone();
            let raw = self.0.subscriptions.subscribe(topic, partition, from).await?;
            let inner = Arc::clone(&self.0);
            let decoded = raw.filter_map(move |item| {
                let inner = Arc::clone(&inner);
                async move {
                    match item {
                        Ok((offset, raw)) => output::decode(&inner.schemas, partition, offset, raw).await.transpose(),
                        Err(error) => Some(Err(error)),
                    }
                }
            });
            streams.push(subscription::until_error(decoded.boxed()));
        }
        Ok(stream::select_all(streams).boxed())
    }

    async fn join(&self, member: Member) -> Result<Arc<dyn Membership>, Error> {
        Ok(Arc::new(membership::KafkaMembership::join(&self.0.config, &self.0.topics.events, member).await?))
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), Error> {
        self.0.output.dead_letter(letter).await
    }

    async fn put_snapshot(&self, partition: u32, snapshot: Bytes) -> Result<(), Error> {
        self.check(partition)?;
        let log = self.clone();
        clients::blocking(move || log.snapshots(partition).put(&snapshot)).await
    }

    async fn snapshot(&self, partition: u32) -> Result<Option<Bytes>, Error> {
        self.check(partition)?;
        let log = self.clone();
        clients::blocking(move || log.snapshots(partition).get()).await
    }
}
