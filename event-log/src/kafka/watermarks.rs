//! Where partitions begin and end, with and without what is not committed yet.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::renewable::Renewable;
use super::{KafkaConfig, clients, errors, number};
use crate::{Error, LogOffset};

/// Shortest time-out of a question.
const ASK_MIN: Duration = Duration::from_millis(10);
/// Pauses between two looks at an end that is waited for: short at first, as a mark is written right after its commit.
const PAUSE_FIRST: Duration = Duration::from_micros(50);
const PAUSE_LAST: Duration = Duration::from_millis(5);

/// Two consumers that consume nothing, one of each isolation level: the level decides what the broker calls the end.
pub(super) struct Watermarks {
    committed: Renewable,
    uncommitted: Renewable,
    timeout: Duration,
}

impl Watermarks {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, Error> {
        let make = |level| {
            let mut client = clients::base(config);
            client.set("isolation.level", level);
            Renewable::new(client)
        };
        Ok(Self {
            committed: make("read_committed")?,
            uncommitted: make("read_uncommitted")?,
            timeout: config.request_timeout(),
        })
    }

    /// The first offset there is, and the last stable offset: before it, every transaction is decided.
    pub(super) fn committed(&self, topic: &str, partition: u32) -> Result<(LogOffset, LogOffset), Error> {
        self.committed_within(topic, partition, self.timeout)
    }

    /// As [`Watermarks::committed`], with a time-out of its own.
    pub(super) fn committed_within(
        &self,
        topic: &str,
        partition: u32,
        timeout: Duration,
    ) -> Result<(LogOffset, LogOffset), Error> {
        let found = self.committed.ask(|client| client.fetch_watermarks(topic, number(partition), timeout));
        let (low, end) = found.map_err(|error| errors::unavailable(topic, partition, &error))?;
        Ok((LogOffset(low), LogOffset(end)))
    }

    /// The last stable offset.
    pub(super) fn committed_end(&self, topic: &str, partition: u32) -> Result<LogOffset, Error> {
        self.committed_end_within(topic, partition, self.timeout)
    }

    /// The last stable offset by one request, where both watermarks are two: every command waits for this.
    fn committed_end_within(&self, topic: &str, partition: u32, timeout: Duration) -> Result<LogOffset, Error> {
        let failed = |error: &KafkaError| errors::unavailable(topic, partition, error);
        let both = || self.committed_within(topic, partition, timeout).map(|(_, end)| end);
        let found = self.committed.ask(|client| {
            let mut asked = TopicPartitionList::with_capacity(1);
            // In place of a time stands the mark that asks for the end.
            asked.add_partition_offset(topic, number(partition), Offset::End)?;
            client.offsets_for_times(asked, timeout)
        });
        let found = found.map_err(|error| failed(&error))?;
        let Some(element) = found.find_partition(topic, number(partition)) else { return both() };
        match (element.error(), element.offset()) {
            (Ok(()), Offset::Offset(end)) => Ok(LogOffset(end)),
            // Nothing was answered for the partition, or by a broker that leads it no more: the other way finds the leader.
            _ => both(),
        }
    }

    /// The end of everything that is in the partition now.
    fn uncommitted_end(&self, topic: &str, partition: u32) -> Result<LogOffset, Error> {
        let now = self.uncommitted.ask(|client| client.fetch_watermarks(topic, number(partition), self.timeout));
        now.map(|(_, high)| LogOffset(high)).map_err(|error| errors::unavailable(topic, partition, &error))
    }

    /// Where the first transaction begins that is not decided, where there is one.
    pub(super) fn undecided(&self, topic: &str, partition: u32) -> Result<Option<LogOffset>, Error> {
        let all = self.uncommitted_end(topic, partition)?;
        let committed = self.committed_end(topic, partition)?;
        Ok((committed < all).then_some(committed))
    }

    /// Waits until every transaction that is in the partition now is decided. The last stable offset then.
    pub(super) fn await_decided(&self, topic: &str, partition: u32) -> Result<LogOffset, Error> {
        let all = self.uncommitted_end(topic, partition)?;
        self.await_end(topic, partition, all, Instant::now() + self.timeout)
    }

    /// Waits until the last stable offset is `wanted` or above. The last stable offset then.
    pub(super) fn await_end(
        &self,
        topic: &str,
        partition: u32,
        wanted: LogOffset,
        deadline: Instant,
    ) -> Result<LogOffset, Error> {
        let mut pause = PAUSE_FIRST;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).clamp(ASK_MIN, self.timeout.max(ASK_MIN));
            let end = self.committed_end_within(topic, partition, left)?;
            if end >= wanted {
                return Ok(end);
            }
            if Instant::now() >= deadline {
                let reason = format!(
                    "topic {topic}, partition {partition}: a transaction that begins at offset {end} stays undecided; if \
                     it does so after the brokers are back, end it with `kafka-transactions.sh abort --topic {topic} \
                     --partition {partition} --start-offset {end}`, which loses nothing that was acknowledged"
                );
                return Err(Error::Unavailable { reason });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }
}
