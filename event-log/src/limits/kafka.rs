//! A bare transactional producer, and a bare round trip through the broker. Every call blocks.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::Record;
use crate::Error;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Makes a topic of one partition, if it is not there, and waits until it has a leader.
pub async fn create_topic(bootstrap: &str, topic: &str) -> Result<(), Error> {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create().map_err(|error| failed(topic, &error))?;
    let wanted = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    for result in admin.create_topics([&wanted], &options).await.map_err(|error| failed(topic, &error))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(Error::unavailable(&format!("creating topic {topic}"), code)),
        }
    }
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let metadata = admin.inner().fetch_metadata(Some(topic), TIMEOUT).map_err(|error| failed(topic, &error))?;
        let partitions = metadata.topics().first().map(rdkafka::metadata::MetadataTopic::partitions);
        if partitions.is_some_and(|partitions| partitions.iter().any(|partition| partition.leader() >= 0)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Error::unavailable(&format!("topic {topic}"), "it has no leader"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A transactional producer with the same acknowledgements as the log's, and nothing around it.
pub struct BareProducer {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl BareProducer {
    /// For `topic`, which must exist with one partition. Fences an earlier one of the same `transactional_id`.
    pub fn connect(bootstrap: &str, topic: &str, transactional_id: &str) -> Result<Self, Error> {
        let producer: ThreadedProducer<DefaultProducerContext> = client(bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set("transactional.id", transactional_id)
            .create()
            .map_err(|error| failed(topic, &error))?;
        producer.init_transactions(TIMEOUT).map_err(|error| failed(topic, &error))?;
        Ok(Self { producer, topic: topic.to_owned() })
    }

    /// Appends `records` in one transaction. Returns how long it took from its begin to its acknowledged commit.
    pub fn append(&self, records: &[Record]) -> Result<Duration, Error> {
        let mut headers: Vec<OwnedHeaders> = records.iter().rev().map(owned).collect();
        let start = Instant::now();
        self.transaction(records, &mut headers).map_err(|error| failed(&self.topic, &error))?;
        Ok(start.elapsed())
    }

    fn transaction(&self, records: &[Record], headers: &mut Vec<OwnedHeaders>) -> Result<(), KafkaError> {
        self.producer.begin_transaction()?;
        for record in records {
            let mut message = BaseRecord::to(&self.topic)
                .partition(0)
                .key(&record.key)
                .payload(&record.value)
                .headers(headers.pop().unwrap_or_default());
            while let Err((error, back)) = self.producer.send(message) {
                if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                    return Err(error);
                }
                std::thread::yield_now();
                message = back;
            }
        }
        // A commit that finds records under way sleeps in steps; one that finds none goes out at once.
        let deadline = Instant::now() + TIMEOUT;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            std::thread::yield_now();
        }
        self.producer.commit_transaction(TIMEOUT)
    }
}

/// A transaction of one record, and the wait until a `read_committed` consumer has it.
pub struct BareRoundTrip {
    producer: BareProducer,
    consumer: BaseConsumer,
}

impl BareRoundTrip {
    /// For `topic`, which must exist with one partition and must not be written by others meanwhile.
    pub fn connect(bootstrap: &str, topic: &str, transactional_id: &str) -> Result<Self, Error> {
        let producer = BareProducer::connect(bootstrap, topic, transactional_id)?;
        let consumer: BaseConsumer = client(bootstrap)
            .set("group.id", transactional_id)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .create()
            .map_err(|error| failed(topic, &error))?;
        let (_, end) = consumer.fetch_watermarks(topic, 0, TIMEOUT).map_err(|error| failed(topic, &error))?;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(topic, 0, Offset::Offset(end))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|error| failed(topic, &error))?;
        Ok(Self { producer, consumer })
    }

    /// How long `record` takes from the begin of its transaction until the consumer has it.
    pub fn measure(&self, record: &Record) -> Result<Duration, Error> {
        let start = Instant::now();
        self.producer.append(std::slice::from_ref(record))?;
        let topic = &self.producer.topic;
        match self.consumer.poll(TIMEOUT) {
            Some(Ok(message)) if message.payload() == Some(&record.value[..]) => Ok(start.elapsed()),
            Some(Ok(message)) => Err(Error::unavailable(
                &format!("topic {topic}, offset {}", message.offset()),
                "another writer's record",
            )),
            Some(Err(error)) => Err(failed(topic, &error)),
            None => Err(Error::unavailable(&format!("topic {topic}"), "the record did not come back")),
        }
    }
}

fn owned(record: &Record) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    record.headers.iter().fold(headers, |all, (key, value)| all.insert(Header { key, value: Some(value) }))
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", bootstrap).set("client.id", "muster-limits");
    client
}

fn failed(topic: &str, error: &KafkaError) -> Error {
    Error::unavailable(&format!("topic {topic}"), error)
}
