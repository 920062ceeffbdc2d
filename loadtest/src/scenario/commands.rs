//! Commands over HTTP to a command service of its own, with its log in Kafka.

pub mod batch;
pub mod http;
pub mod latency;

pub(super) mod board;

use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_event_log::limits::Record;
use muster_event_log::{EventLog, LogOffset};
use uuid::Uuid;

use crate::service::LogPlace;

/// The bytes of a command's event as the log has them: the last `count` of the first partition that has as many.
async fn records(log: &LogPlace<'_>, count: usize) -> anyhow::Result<Vec<Record>> {
    let config = KafkaConfig {
        topic_prefix: log.prefix.to_owned(),
        partitions: log.partitions,
        ..KafkaConfig::new(&log.kafka.bootstrap, &log.kafka.registry_url)
    };
    let kafka = KafkaLog::connect(&config).await?;
    for partition in 0..log.partitions {
        let records = kafka.read(partition, LogOffset::START, usize::MAX >> 1).await?;
        let events: Vec<_> = records.into_iter().filter_map(|record| record.payload.ok()).collect();
        if events.len() >= count {
            return Ok(Record::all(&events[events.len() - count..])?);
        }
    }
    anyhow::bail!("no partition has {count} events")
}

/// Topics of a run of their own.
pub(super) fn prefix() -> String {
    format!("loadtest-{}", Uuid::now_v7().simple())
}
