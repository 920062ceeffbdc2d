//! Where events are kept. It must never name a Kafka client type: the section is plain data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Secret;

/// Which log, and how to reach it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    pub kind: LogKind,
    pub postgres_url: Option<Secret>,
    pub postgres_request_timeout_ms: u64,
    pub postgres_lock_timeout_ms: u64,
    pub give_back_timeout_ms: u64,
    pub kafka: KafkaConfig,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            kind: LogKind::Postgres,
            postgres_url: None,
            postgres_request_timeout_ms: 10_000,
            postgres_lock_timeout_ms: 2000,
            give_back_timeout_ms: 10_000,
            kafka: KafkaConfig::default(),
        }
    }
}

/// The implementations of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    Postgres,
    Kafka,
    Memory,
}

/// How to reach Kafka and the schema registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaConfig {
    pub bootstrap: String,
    pub registry_url: String,
    pub topic_prefix: String,
    pub partitions: u32,
    pub replication_factor: u16,
    pub transaction_timeout_ms: u64,
    pub stall_timeout_ms: u64,
    pub extra: BTreeMap<String, Secret>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap: "127.0.0.1:9092".into(),
            registry_url: "http://127.0.0.1:8081/apis/ccompat/v7".into(),
            topic_prefix: "muster".into(),
            partitions: 12,
            replication_factor: 1,
            transaction_timeout_ms: 10_000,
            stall_timeout_ms: 15_000,
            extra: BTreeMap::new(),
        }
    }
}

impl KafkaConfig {
    /// `extra` as librdkafka wants it. Variables cannot hold dots, so `_` in a key stands for `.`
    /// (no librdkafka property that takes text has an underscore in its name).
    pub fn librdkafka_properties(&self) -> BTreeMap<String, String> {
        self.extra.iter().map(|(key, value)| (key.replace('_', "."), value.expose().to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::KafkaConfig;

    #[test]
    fn underscores_in_extra_stand_for_dots() {
        let mut kafka = KafkaConfig::default();
        kafka.extra.insert("security_protocol".into(), "SASL_SSL".into());
        kafka.extra.insert("sasl.password".into(), "hunter2".into());

        let properties = kafka.librdkafka_properties();

        assert_eq!(properties["security.protocol"], "SASL_SSL");
        assert_eq!(properties["sasl.password"], "hunter2");
        assert!(!format!("{kafka:?}").contains("hunter2"));
    }
}
