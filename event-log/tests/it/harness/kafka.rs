//! The log in a real Kafka with a real registry, under a prefix of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_domain::time::Timestamp;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_event_log::{DeadLetter, EventLog, LogOffset};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{DEADLINE, Harness, PARTITIONS, Repeats, unknown_datum, unknown_schema};

pub struct Kafka {
    pub config: KafkaConfig,
}

impl Kafka {
    pub async fn start() -> Self {
        let servers = muster_test_kit::shared_kafka().await;
        let config = KafkaConfig {
            topic_prefix: format!("log-{}", uuid::Uuid::new_v4().simple()),
            partitions: PARTITIONS,
            ..KafkaConfig::new(&servers.bootstrap, &servers.registry_url)
        };
        Self { config }
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.config.bootstrap);
        client
    }

    async fn produce(&self, partition: u32, project: ProjectId, event_type: &str, value: &[u8]) {
        // The topics are there once somebody has connected.
        KafkaLog::connect(&self.config).await.expect("a log");
        let producer: FutureProducer = self.client().create().expect("a producer");
        let topic = format!("{}.events", self.config.topic_prefix);
        let key = project.to_string();
        let headers = OwnedHeaders::new().insert(Header { key: "ce_type", value: Some(event_type) });
        let record =
            FutureRecord::to(&topic).partition(partition.cast_signed()).key(&key).payload(value).headers(headers);
        producer.send(record, DEADLINE).await.map_err(|(error, _)| error).expect("delivered");
    }
}

#[async_trait]
impl Harness for Kafka {
    async fn connect(&self) -> Arc<dyn EventLog> {
        Arc::new(KafkaLog::connect(&self.config).await.expect("a log"))
    }

    async fn inject_poison(&self, partition: u32, project: ProjectId, value: &[u8]) {
        self.produce(partition, project, "task.started", value).await;
    }

    async fn inject_unknown(&self, partition: u32, event: &Event, mood: &str) {
        let subject = format!("{}.events-muster.events.TaskTeleported", self.config.topic_prefix);
        let url = format!("{}/subjects/{subject}/versions", self.config.registry_url);
        let body = serde_json::json!({ "schema": unknown_schema() });
        let response = reqwest::Client::new().post(url).json(&body).send().await.expect("a registry");
        let answer: serde_json::Value = response.json().await.expect("JSON");
        let id = u32::try_from(answer["id"].as_u64().expect("an id")).expect("an id");
        let value = [&[0][..], &id.to_be_bytes(), &unknown_datum(event, mood)].concat();
        self.produce(partition, event.project_id, "task.teleported", &value).await;
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        let mut client = self.client();
        client.set("group.id", "people").set("enable.partition.eof", "true");
        let topic = format!("{}.dead-letter", self.config.topic_prefix);
        let read = move || {
            let consumer: BaseConsumer = client.create().expect("a consumer");
            let mut list = TopicPartitionList::new();
            for partition in 0..PARTITIONS {
                list.add_partition_offset(&topic, partition.cast_signed(), Offset::Beginning).expect("a partition");
            }
            consumer.assign(&list).expect("assigned");
            let (mut letters, mut ended) = (Vec::new(), 0);
            while ended < PARTITIONS {
                match consumer.poll(Duration::from_secs(30)).expect("an answer") {
                    Ok(message) => letters.push(letter(&message)),
                    Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            letters
        };
        tokio::task::spawn_blocking(read).await.expect("read")
    }

    /// A log cannot be edited: a newer head that leads to the same chunks promises other content.
    async fn damage_snapshot(&self, partition: u32) -> bool {
        let topic = format!("{}.snapshots", self.config.topic_prefix);
        let mut client = self.client();
        client.set("group.id", "people");
        let (from, number) = (topic.clone(), partition.cast_signed());
        let read = move || {
            let consumer: BaseConsumer = client.create().expect("a consumer");
            let (_, end) = consumer.fetch_watermarks(&from, number, DEADLINE).expect("an answer");
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&from, number, Offset::Offset(end - 1)).expect("a partition");
            consumer.assign(&list).expect("assigned");
            consumer.poll(DEADLINE).expect("a record").expect("a record").detach()
        };
        let head = tokio::task::spawn_blocking(read).await.expect("read");
        let mut value: serde_json::Value = serde_json::from_slice(head.payload().expect("a value")).expect("JSON");
        value["sha256"] = "0".repeat(64).into();
        let value = value.to_string();
        let producer: FutureProducer = self.client().create().expect("a producer");
        let record = FutureRecord::to(&topic).partition(number).key(head.key().expect("a key")).payload(&value);
        let record = record.headers(head.headers().expect("headers").clone());
        producer.send(record, DEADLINE).await.map_err(|(error, _)| error).expect("delivered");
        true
    }

    fn repeats(&self) -> Repeats {
        Repeats::Stored
    }
}

fn letter(message: &rdkafka::message::BorrowedMessage<'_>) -> DeadLetter {
    let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).expect("text");
    let all: Vec<(String, String)> = message
        .headers()
        .map(|headers| headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect())
        .unwrap_or_default();
    let find = |name: &str| all.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let number = |name: &str| find(name).expect("present").parse::<i64>().expect("a number");
    let failed_at = format!("{:?}", find("dead_letter_failed_at").expect("present"));
    DeadLetter {
        partition: u32::try_from(number("dead_letter_partition")).expect("a partition"),
        offset: LogOffset(number("dead_letter_offset")),
        consumer: find("dead_letter_consumer").expect("present"),
        error: find("dead_letter_error").expect("present"),
        attempts: u32::try_from(number("dead_letter_attempts")).expect("a count"),
        failed_at: serde_json::from_str::<Timestamp>(&failed_at).expect("RFC 3339"),
        event_type: find("dead_letter_event_type"),
        project_id: message.key().map(|key| text(Some(key)).parse().expect("a project")),
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        headers: all.into_iter().filter(|(key, _)| !key.starts_with("dead_letter_")).collect(),
    }
}
