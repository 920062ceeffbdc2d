//! Where partitions begin and end, with and without what is not committed yet.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::clients::Quiet;
use super::{KafkaConfig, clients, errors, number};
use crate::{Error, LogOffset};

/// Two consumers that consume nothing, one of each isolation level: the level decides what the broker calls the end.
pub(super) struct Watermarks {
    committed: BaseConsumer<Quiet>,
    uncommitted: BaseConsumer<Quiet>,
    timeout: Duration,
}

impl Watermarks {
    pub(super) fn new(config: &KafkaConfig) -> Result<Self, Error> {
        let make = |level| -> Result<BaseConsumer<Quiet>, Error> {
            let mut client = clients::base(config);
            client
                .set("isolation.level", level)
                .create_with_context(Quiet)
                .map_err(|error| errors::configuration(&error))
        };
        Ok(Self {
            committed: make("read_committed")?,
            uncommitted: make("read_uncommitted")?,
            timeout: config.request_timeout(),
        })
    }

    /// The first offset there is, and the last stable offset: before it, every transaction is decided.
    pub(super) fn committed(&self, topic: &str, partition: u32) -> Result<(LogOffset, LogOffset), Error> {
        let found = self.committed.fetch_watermarks(topic, number(partition), self.timeout);
        let (low, end) = found.map_err(|error| errors::unavailable(topic, partition, &error))?;
        Ok((LogOffset(low), LogOffset(end)))
    }

    /// The last stable offset.
    pub(super) fn committed_end(&self, topic: &str, partition: u32) -> Result<LogOffset, Error> {
        self.committed(topic, partition).map(|(_, end)| end)
    }

    /// The end of everything that is in the partition now.
    fn uncommitted_end(&self, topic: &str, partition: u32) -> Result<LogOffset, Error> {
        let now = self.uncommitted.fetch_watermarks(topic, number(partition), self.timeout);
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
        loop {
            let end = self.committed_end(topic, partition)?;
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
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}
