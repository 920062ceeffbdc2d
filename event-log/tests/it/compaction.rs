//! What is left of snapshots in Kafka once their topic was compacted: the newest, whole.

use bytes::Bytes;
use muster_event_log::EventLog;
use muster_event_log::kafka::KafkaLog;
use muster_test_kit::eventually;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::harness::{DEADLINE, kafka::Kafka};

const MB: usize = 1_000_000;

/// Offsets that still hold something in partition 0 of `topic`.
fn offsets(bootstrap: &str, topic: &str) -> Vec<i64> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap).set("group.id", "people").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut offsets = Vec::new();
    loop {
        match consumer.poll(DEADLINE).unwrap() {
            Ok(message) => offsets.push(message.offset()),
            Err(KafkaError::PartitionEOF(_)) => return offsets,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_topic_keeps_the_newest_snapshot_whole() {
    let config = Kafka::start().await.config;
    let log = KafkaLog::connect(&config).await.unwrap();
    let topic = format!("{}.snapshots", config.topic_prefix);
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &config.bootstrap).create().unwrap();
    let eager = AlterConfig::new(ResourceSpecifier::Topic(&topic))
        .set("cleanup.policy", "compact")
        .set("segment.bytes", "1048576")
        .set("min.cleanable.dirty.ratio", "0.01");
    for altered in admin.alter_configs(&[eager], &AdminOptions::new()).await.unwrap() {
        altered.unwrap();
    }
    // Larger ones first, so that chunks are left over that nobody overwrites.
    let sizes = [5, 4, 3, 2, 3].map(|megabytes| megabytes * MB);
    let mut written = 0;
    for (seed, size) in (1u8..).zip(sizes) {
        log.put_snapshot(0, Bytes::from(vec![seed; size])).await.unwrap();
        written += size.div_ceil(900_000) + 1;
    }
    let newest = Bytes::from(vec![5u8; 3 * MB]);
    let (bootstrap, at) = (config.bootstrap.clone(), topic.clone());
    eventually(DEADLINE * 2, || async {
        let (bootstrap, at) = (bootstrap.clone(), at.clone());
        let left = tokio::task::spawn_blocking(move || offsets(&bootstrap, &at)).await.unwrap();
        // Of the first three, nothing but what the last segment may still hold.
        left.len() < written - 8
    })
    .await;
    assert!(log.snapshot(0).await.unwrap() == Some(newest.clone()));
    let next = Bytes::from(vec![6u8; MB]);
    log.put_snapshot(0, next.clone()).await.unwrap();
    assert!(KafkaLog::connect(&config).await.unwrap().snapshot(0).await.unwrap() == Some(next));
}
