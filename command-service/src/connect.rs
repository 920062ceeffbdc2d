//! From the configuration's section to a log.

use std::sync::Arc;

use anyhow::Context;
use muster_event_log::kafka::KafkaConfig;
use muster_event_log::postgres::PostgresConfig;
use muster_event_log::{EventLog, LogConfig};
use muster_service_kit::config::{Config, LogKind};

/// Whether the log may be there later, after an error of [`connect_log`].
pub fn may_pass(error: &anyhow::Error) -> bool {
    error.downcast_ref::<muster_event_log::Error>().is_some_and(muster_event_log::Error::is_transient)
}

/// The log the configuration names, connected.
///
/// # Errors
/// What a person should read: an address that is missing, or why the log cannot be used.
pub async fn connect_log(config: &Config) -> anyhow::Result<Arc<dyn EventLog>> {
    let section = &config.log;
    let log = match section.kind {
        LogKind::Memory => LogConfig::Memory { partitions: section.kafka.partitions },
        LogKind::Postgres => {
            let url = section.postgres_url.as_ref();
            let url = url.context("`log.postgres_url` is not set (MUSTER_LOG__POSTGRES_URL)")?;
            LogConfig::Postgres(PostgresConfig {
                request_timeout_ms: section.postgres_request_timeout_ms,
                lock_timeout_ms: section.postgres_lock_timeout_ms,
                give_back_timeout_ms: section.give_back_timeout_ms,
                ..PostgresConfig::new(url.expose())
            })
        }
        LogKind::Kafka => {
            let kafka = &section.kafka;
            LogConfig::Kafka(KafkaConfig {
                topic_prefix: kafka.topic_prefix.clone(),
                partitions: kafka.partitions,
                replication_factor: kafka.replication_factor,
                transaction_timeout_ms: kafka.transaction_timeout_ms,
                stall_timeout_ms: kafka.stall_timeout_ms,
                give_back_timeout_ms: section.give_back_timeout_ms,
                properties: kafka.librdkafka_properties(),
                ..KafkaConfig::new(&kafka.bootstrap, &kafka.registry_url)
            })
        }
    };
    muster_event_log::connect(&log).await.context("the log cannot be used")
}
