//! Reading a stretch of a partition. Consumers are kept for the next call, which often goes on where this one ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::clients::{DropElsewhere, Quiet};
use super::watermarks::Watermarks;
use super::{KafkaConfig, clients, errors, number, records};
use crate::decode::RawRecord;
use crate::{Error, LogOffset};

/// Consumers kept while idle.
const IDLE_MAX: usize = 4;

/// A consumer, and where it stands when it can go on from there.
struct Idle {
    consumer: BaseConsumer<Quiet>,
    at: Option<(u32, LogOffset)>,
}

/// Every reader of one topic.
#[derive(Clone)]
pub(super) struct Readers(Arc<Shared>);

struct Shared {
    config: KafkaConfig,
    topic: String,
    watermarks: Arc<Watermarks>,
    idle: Mutex<Vec<Idle>>,
}

/// Whether an error passes by itself: librdkafka goes on trying.
pub(super) fn passes(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::BrokerTransportFailure | Code::AllBrokersDown | Code::OperationTimedOut | Code::Resolve)
    )
}

impl Readers {
    pub(super) fn new(config: KafkaConfig, topic: String, watermarks: Arc<Watermarks>) -> Self {
        Self(Arc::new(Shared { config, topic, watermarks, idle: Mutex::default() }))
    }

    /// At most `max` committed records from `from` on; empty at the end.
    pub(super) async fn read(
        &self,
        partition: u32,
        from: LogOffset,
        max: usize,
    ) -> Result<Vec<(LogOffset, RawRecord)>, Error> {
        let shared = Arc::clone(&self.0);
        clients::blocking(move || shared.read(partition, from, max)).await
    }
}

impl Shared {
    fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<(LogOffset, RawRecord)>, Error> {
        if max == 0 {
            return Ok(Vec::new());
        }
        if let Some(consumer) = self.take_standing_at(partition, from) {
            let records = self.poll_and_keep(consumer, partition, from, max)?;
            if !records.is_empty() {
                return Ok(records);
            }
        }
        let (low, end) = self.watermarks.committed(&self.topic, partition)?;
        let from = first_to_read(&self.topic, partition, from, low)?;
        if from >= end {
            return Ok(Vec::new());
        }
        let consumer = self.take_any()?;
        assign(&consumer, &self.topic, partition, from)?;
        self.poll_and_keep(consumer, partition, from, max)
    }

    fn take_standing_at(&self, partition: u32, from: LogOffset) -> Option<BaseConsumer<Quiet>> {
        let mut idle = self.idle.lock();
        let index = idle.iter().position(|idle| idle.at == Some((partition, from)))?;
        Some(idle.swap_remove(index).consumer)
    }

    /// One that stands nowhere where there is one, else any.
    fn take_any(&self) -> Result<BaseConsumer<Quiet>, Error> {
        let mut idle = self.idle.lock();
        let index = idle.iter().position(|idle| idle.at.is_none()).or_else(|| idle.len().checked_sub(1));
        if let Some(index) = index {
            return Ok(idle.swap_remove(index).consumer);
        }
        drop(idle);
        self.consumer()
    }

    fn poll_and_keep(
        &self,
        consumer: BaseConsumer<Quiet>,
        partition: u32,
        from: LogOffset,
        max: usize,
    ) -> Result<Vec<(LogOffset, RawRecord)>, Error> {
        let records = match self.poll(&consumer, partition, from, max) {
            Ok(records) => records,
            Err(error) => {
                drop(DropElsewhere::new(consumer));
                return Err(error);
            }
        };
        // One that came to the end would not say so again; it must be told anew where to read.
        let at = (records.len() == max).then(|| records.last().map(|(offset, _)| (partition, offset.next()))).flatten();
        if at.is_none() {
            consumer.unassign().map_err(|error| errors::unavailable(&self.topic, partition, &error))?;
        }
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(Idle { consumer, at });
        } else {
            drop(DropElsewhere::new(consumer));
        }
        Ok(records)
    }

    fn consumer(&self) -> Result<BaseConsumer<Quiet>, Error> {
        let mut client = clients::consumer(&self.config);
        // The end is told at once: by an event of its own, and without the broker waiting for more.
        client.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
        client.create_with_context(Quiet).map_err(|error| errors::configuration(&error))
    }

    fn poll(
        &self,
        consumer: &BaseConsumer<Quiet>,
        partition: u32,
        from: LogOffset,
        max: usize,
    ) -> Result<Vec<(LogOffset, RawRecord)>, Error> {
        let deadline = Instant::now() + self.config.request_timeout();
        let mut read = Vec::new();
        while read.len() < max {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => read.push(records::raw(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) if !passes(&error) => {
                    return Err(errors::unavailable_at(&self.topic, partition, from, &error));
                }
                Some(Err(_)) | None if Instant::now() < deadline => {}
                Some(Err(_)) | None => {
                    let reason =
                        format!("topic {}, partition {partition}, offset {from}: no answer in time", self.topic);
                    return Err(Error::Unavailable { reason });
                }
            }
        }
        Ok(read)
    }
}

/// Where to begin for a reader that wants to begin at `from`, when the first offset there is is `low`.
pub(super) fn first_to_read(topic: &str, partition: u32, from: LogOffset, low: LogOffset) -> Result<LogOffset, Error> {
    if from >= low {
        Ok(from)
    } else if from == LogOffset::START {
        Ok(low)
    } else {
        Err(Error::Truncated { log: topic.to_owned(), partition, from, earliest: low })
    }
}

/// Tells `consumer` to read one partition from `from` on.
pub(super) fn assign<C: Consumer<Quiet>>(
    consumer: &C,
    topic: &str,
    partition: u32,
    from: LogOffset,
) -> Result<(), Error> {
    let failed = |error: KafkaError| errors::unavailable_at(topic, partition, from, &error);
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, number(partition), Offset::Offset(from.0)).map_err(failed)?;
    consumer.assign(&partitions).map_err(failed)
}
