//! The same over Apache Kafka: two instances divide its partitions, and one leaves.

use std::sync::Arc;

use muster_event_log::EventLog;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_test_kit::{Kafka, shared_kafka};
use uuid::Uuid;

async fn log(kafka: &Kafka, prefix: &str) -> Arc<dyn EventLog> {
    let config = KafkaConfig {
        topic_prefix: prefix.to_owned(),
        partitions: 2,
        ..KafkaConfig::new(&kafka.bootstrap, &kafka.registry_url)
    };
    Arc::new(KafkaLog::connect(&config).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_knows_every_answer() {
    let kafka = shared_kafka().await;
    let prefix = format!("command-{}", Uuid::now_v7());
    crate::instances::two_divide_a_log_and_one_leaves(|| log(kafka, &prefix)).await;
}
