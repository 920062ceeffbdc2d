//! Whether a consumer that delivers nothing has nothing to deliver: clients were seen to stop without an error
//! (rust-rdkafka 848). It must never rely on the consumer in question, nor on offsets alone: they have holes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use tokio::sync::Semaphore;

use super::clients::{DropElsewhere, Quiet};
use super::reader::assign;
use super::watermarks::Watermarks;
use super::{KafkaConfig, clients, errors, number};
use crate::{Error, LogOffset};

/// Looks under way at once: each may need a client of its own.
const LOOKS_MAX: usize = 4;

/// What there is for a consumer that waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// No record before this offset.
    NothingBefore(LogOffset),
    /// A record that it should have delivered.
    Record,
    /// Kafka does not answer.
    Unknown,
}

/// Looks for others' sake.
pub(super) struct Watchdog {
    config: KafkaConfig,
    watermarks: Arc<Watermarks>,
    looking: Arc<Semaphore>,
}

impl Watchdog {
    pub(super) fn new(config: KafkaConfig, watermarks: Arc<Watermarks>) -> Self {
        Self { config, watermarks, looking: Arc::new(Semaphore::new(LOOKS_MAX)) }
    }

    /// How long a consumer may deliver nothing before it is looked after: two looks make a stall.
    pub(super) fn patience(&self) -> Duration {
        self.config.stall_timeout() / 2
    }

    /// Whether `topic`'s `partition` has a committed record at `next` or above. Before `known` there was none.
    pub(super) async fn look(
        self: &Arc<Self>,
        topic: &str,
        partition: u32,
        next: LogOffset,
        known: LogOffset,
    ) -> Finding {
        let Ok(permit) = Arc::clone(&self.looking).acquire_owned().await else { return Finding::Unknown };
        let (watchdog, asked) = (Arc::clone(self), topic.to_owned());
        let looked = clients::blocking(move || {
            let _permit = permit;
            watchdog.look_now(&asked, partition, next, known)
        });
        looked.await.unwrap_or_else(|error| {
            tracing::debug!(topic, partition, %error, "it is not known whether a subscription is behind");
            Finding::Unknown
        })
    }

    fn look_now(&self, topic: &str, partition: u32, next: LogOffset, known: LogOffset) -> Result<Finding, Error> {
        // Most often nothing has happened, and one question says so.
        if let Ok((_, end)) = self.watermarks.committed_within(topic, partition, self.patience())
            && end <= known.max(next)
        {
            return Ok(Finding::NothingBefore(end));
        }
        let mut client = clients::consumer(&self.config);
        client.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer<Quiet> =
            client.create_with_context(Quiet).map_err(|error| errors::configuration(&error))?;
        let consumer = DropElsewhere::new(consumer);
        let found = consumer.fetch_watermarks(topic, number(partition), self.patience());
        let (_, end) = found.map_err(|error| errors::unavailable(topic, partition, &error))?;
        assign(&*consumer, topic, partition, next)?;
        let deadline = Instant::now() + self.patience();
        loop {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(_)) => return Ok(Finding::Record),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Finding::NothingBefore(LogOffset(end))),
                _ if Instant::now() >= deadline => return Ok(Finding::Unknown),
                Some(Err(_)) | None => {}
            }
        }
    }
}
