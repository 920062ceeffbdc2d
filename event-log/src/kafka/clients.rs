//! The settings of each kind of client. What the log's promises rest on cannot be configured away.

use std::time::Duration;

use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext};

use super::KafkaConfig;
use crate::{Error, mutant};

/// Room for headers and key beside the largest value, within the broker's default limit for a batch.
const RECORD_ROOM_BYTES: usize = 40_000;

/// What clients of every kind share: addresses, then what was configured.
pub(super) fn base(config: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.bootstrap)
        .set("client.id", "muster")
        // A broker that is back is noticed within a second, not ten.
        .set("reconnect.backoff.max.ms", "1000");
    for (name, value) in &config.properties {
        client.set(name, value);
    }
    client
}

/// A producer that writes each record once.
pub(super) fn producer(config: &KafkaConfig) -> ClientConfig {
    let mut client = base(config);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", (config.max_value_bytes + RECORD_ROOM_BYTES).to_string());
    client
}

/// The producer of one partition's transactions.
pub(super) fn transactional(config: &KafkaConfig, partition: u32) -> ClientConfig {
    let mut client = producer(config);
    client
        .set("transactional.id", transactional_id(config, partition))
        .set("transaction.timeout.ms", config.transaction_timeout_ms.to_string())
        // Each append is one batch already.
        .set("linger.ms", "0");
    client
}

/// The same whoever writes the partition: that is what fences an earlier writer.
fn transactional_id(config: &KafkaConfig, partition: u32) -> String {
    let id = format!("{}-{partition}", config.topic_prefix);
    if mutant::is("skip_fencing") { format!("{id}-{}", uuid::Uuid::now_v7()) } else { id }
}

/// A consumer that is told what to read, sees only what is committed, and never starts elsewhere than told.
pub(super) fn consumer(config: &KafkaConfig) -> ClientConfig {
    let mut client = base(config);
    client
        .set("group.id", format!("{}-reader", config.topic_prefix))
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("queued.max.messages.kbytes", "16384");
    client
}

/// What librdkafka tells about a client, in the log. It must never tell the end of a partition as an error, as the
/// default does: it is what a reader waits for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            // Whoever needed the client gets an error of its own; the client itself goes on trying.
            tracing::warn!(target: "librdkafka", %error, "{reason}");
        }
    }
}

impl ConsumerContext for Quiet {}

/// Runs `work`, which waits for librdkafka, off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::unavailable("a Kafka client", error)))
}

/// As [`blocking`], for work that may outlive its own time-outs: librdkafka waits by the time of day, and one that is set
/// back while it waits lengthens the wait by as much (librdkafka 2145). None when it took longer than `within`; the thread
/// is left behind.
pub(super) async fn blocking_within<T: Send + 'static>(
    within: Duration,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Option<Result<T, Error>> {
    tokio::time::timeout(within, blocking(work)).await.ok()
}

/// Drops what it holds on a thread of its own, because closing a client waits for its threads.
pub(super) struct DropElsewhere<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> DropElsewhere<T> {
    pub(super) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> std::ops::Deref for DropElsewhere<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is only empty while it is dropped")
    }
}

impl<T: Send + 'static> Drop for DropElsewhere<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        std::thread::spawn(move || drop(client));
    }
}
