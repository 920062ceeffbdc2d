//! How to reach Kafka and the registry.

use std::collections::BTreeMap;
use std::time::Duration;

/// Configuration of [`super::KafkaLog`].
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// URL of the registry's Confluent-compatible API.
    pub registry_url: String,
    /// What every topic, consumer group and transactional id begins with.
    pub topic_prefix: String,
    /// Number of partitions; fixed once the topics exist.
    pub partitions: u32,
    /// Replicas of topics that are created.
    pub replication_factor: u16,
    /// How long a transaction may take before the broker aborts it, in milliseconds.
    pub transaction_timeout_ms: u64,
    /// How long any other request may take, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long agent output is kept in a topic that is created, in milliseconds.
    pub output_retention_ms: u64,
    /// Largest event, in bytes. Above the default the brokers must allow larger batches too.
    pub max_value_bytes: usize,
    /// How long an instance that should give a partition back may take to finish with it, in milliseconds. After that
    /// it goes to another all the same.
    pub give_back_timeout_ms: u64,
    /// After how long a client that does not notice what there is counts as stalled and is replaced, in milliseconds.
    pub stall_timeout_ms: u64,
    /// Further librdkafka properties, such as those for TLS and SASL. They win over the log's own, but for those that
    /// its promises rest on.
    pub properties: BTreeMap<String, String>,
}

impl KafkaConfig {
    /// The defaults for these servers.
    pub fn new(bootstrap: impl Into<String>, registry_url: impl Into<String>) -> Self {
        Self {
            bootstrap: bootstrap.into(),
            registry_url: registry_url.into(),
            topic_prefix: "muster".to_owned(),
            partitions: 12,
            replication_factor: 1,
            transaction_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            output_retention_ms: crate::DEFAULT_OUTPUT_RETENTION_MS,
            max_value_bytes: crate::DEFAULT_MAX_VALUE_BYTES,
            give_back_timeout_ms: crate::DEFAULT_GIVE_BACK_TIMEOUT_MS,
            stall_timeout_ms: 15_000,
            properties: BTreeMap::new(),
        }
    }

    pub(super) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(super) fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms)
    }
}

/// Without the properties and the registry's URL, which may hold passwords.
impl std::fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap", &self.bootstrap)
            .field("topic_prefix", &self.topic_prefix)
            .field("partitions", &self.partitions)
            .field("replication_factor", &self.replication_factor)
            .finish_non_exhaustive()
    }
}
