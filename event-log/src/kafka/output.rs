//! Agent output and dead letters: an idempotent producer without transactions.
//!
//! librdkafka gives a record up in time, but not the connection by which it waits for a new number of its producer's: one
//! that hangs would have each record given up for as long. It must never be taken for stuck when Kafka is out of reach.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::future_producer::Delivery;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::clients::DropElsewhere;
use super::registry::Registry;
use super::topics::Topics;
use super::watermarks::Watermarks;
use super::{KafkaConfig, clients, errors, number, records};
use crate::decode::{RawRecord, SchemaCache};
use crate::{AgentOutput, DeadLetter, Error, LogOffset, OutputRecord, framing, partition_of, stalls};

/// How often Kafka is asked whether it answers: the client that asks may hang too, and is another the next time.
const LOOKS: u32 = 2;

pub(super) struct OutputProducer {
    settings: ClientConfig,
    producer: Mutex<Arc<Producer>>,
    /// Within this, librdkafka says what became of a record, one way or the other.
    patience: Duration,
    /// How long Kafka may take to answer another client, for this one to count as stuck.
    look_timeout: Duration,
    watermarks: Arc<Watermarks>,
    topic: String,
    dead_letter_topic: String,
    schema_id: u32,
    partitions: u32,
}

impl OutputProducer {
    pub(super) fn new(
        config: &KafkaConfig,
        topics: &Topics,
        schema_id: u32,
        watermarks: Arc<Watermarks>,
    ) -> Result<Self, Error> {
        let mut settings = clients::producer(config);
        settings.set("linger.ms", "5").set("message.timeout.ms", config.request_timeout_ms.to_string());
        Ok(Self {
            producer: Mutex::new(Arc::new(make(&settings)?)),
            settings,
            patience: config.request_timeout() + config.stall_timeout(),
            look_timeout: config.stall_timeout() / LOOKS,
            watermarks,
            topic: topics.output.clone(),
            dead_letter_topic: topics.dead_letter.clone(),
            schema_id,
            partitions: config.partitions,
        })
    }

    /// All are on their way before the first is waited for; the producer keeps their order.
    pub(super) async fn append(&self, lines: &[AgentOutput]) -> Result<(), Error> {
        let producer = self.current();
        let mut deliveries = Vec::with_capacity(lines.len());
        for line in lines {
            let key = line.run_id.to_string();
            let value = framing::frame(self.schema_id, &muster_schemas::output::encode(line)?);
            let partition = partition_of(&key, self.partitions);
            let record = FutureRecord::to(&self.topic).partition(number(partition)).key(&key).payload(&value);
            deliveries.push((partition, self.enqueue(&producer, record, partition).await?));
        }
        for (partition, delivery) in deliveries {
            self.acknowledged(&producer, &self.topic, partition, delivery).await?;
        }
        Ok(())
    }

    pub(super) async fn dead_letter(&self, letter: DeadLetter) -> Result<(), Error> {
        let key = letter.project_id.map(|project| project.to_string()).unwrap_or_default();
        let partition = partition_of(&key, self.partitions);
        let own = [
            ("dead_letter_partition", letter.partition.to_string()),
            ("dead_letter_offset", letter.offset.to_string()),
            ("dead_letter_consumer", letter.consumer),
            ("dead_letter_error", letter.error),
            ("dead_letter_attempts", letter.attempts.to_string()),
            ("dead_letter_failed_at", letter.failed_at.to_string()),
            ("dead_letter_event_type", letter.event_type.unwrap_or_default()),
        ];
        let original = letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let own = own.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str()));
        let headers = records::headers(own.chain(original));
        let topic = &self.dead_letter_topic;
        let mut record =
            FutureRecord::to(topic).partition(number(partition)).payload(&letter.value[..]).headers(headers);
        if !key.is_empty() {
            record = record.key(&key);
        }
        let producer = self.current();
        let delivery = self.enqueue(&producer, record, partition).await?;
        self.acknowledged(&producer, topic, partition, delivery).await
    }

    /// Puts a record into the producer's queue; waits while that is full.
    async fn enqueue(
        &self,
        producer: &Arc<Producer>,
        mut record: FutureRecord<'_, String, impl rdkafka::message::ToBytes + ?Sized + Sync>,
        partition: u32,
    ) -> Result<rdkafka::producer::DeliveryFuture, Error> {
        let full_until = Instant::now() + self.patience;
        loop {
            match producer.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned))
                    if Instant::now() < full_until =>
                {
                    record = returned;
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), record)) => {
                    let size_bytes = record.payload.map_or(0, |value| value.to_bytes().len());
                    return Err(Error::TooLarge { size_bytes, limit_bytes: crate::DEFAULT_MAX_VALUE_BYTES });
                }
                Err((error @ KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                    self.replace(producer);
                    return Err(errors::unavailable(record.topic, partition, &error));
                }
                Err((error, record)) => return Err(errors::unavailable(record.topic, partition, &error)),
            }
        }
    }

    /// The producer that counts now.
    fn current(&self) -> Arc<Producer> {
        Arc::clone(&self.producer.lock())
    }

    /// What is written again with the new one is there twice at worst, and readers know it by its number.
    fn replace(&self, stalled: &Arc<Producer>) {
        let mut current = self.producer.lock();
        if Arc::ptr_eq(&current, stalled) {
            stalls::count(
                "output",
                "the producer of agent output does not have a record written that could be; it is replaced",
            );
            match make(&self.settings) {
                Ok(producer) => *current = Arc::new(producer),
                Err(error) => tracing::error!(%error, "the producer of agent output could not be replaced"),
            }
        }
    }

    /// Replaces a producer that gave a record up for want of time, if Kafka answers others.
    async fn look(&self, producer: &Arc<Producer>, topic: &str, partition: u32) {
        for _ in 0..LOOKS {
            if !Arc::ptr_eq(&self.current(), producer) {
                return;
            }
            let (watermarks, topic, timeout) = (Arc::clone(&self.watermarks), topic.to_owned(), self.look_timeout);
            let asked = clients::blocking(move || watermarks.committed_within(&topic, partition, timeout)).await;
            if asked.is_ok() {
                return self.replace(producer);
            }
        }
    }

    async fn acknowledged(
        &self,
        producer: &Arc<Producer>,
        topic: &str,
        partition: u32,
        delivery: impl Future<Output = Result<Result<Delivery, (KafkaError, rdkafka::message::OwnedMessage)>, impl Sized>>,
    ) -> Result<(), Error> {
        match tokio::time::timeout(self.patience, delivery).await {
            Ok(Ok(Ok(_))) => Ok(()),
            Ok(Ok(Err((error, _)))) => {
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageTimedOut) {
                    self.look(producer, topic, partition).await;
                }
                Err(errors::unavailable(topic, partition, &error))
            }
            Ok(Err(_)) => Err(errors::unavailable(topic, partition, &KafkaError::Canceled)),
            Err(_) => {
                self.replace(producer);
                let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
                Err(errors::unavailable(topic, partition, &error))
            }
        }
    }
}

type Producer = DropElsewhere<FutureProducer>;

fn make(settings: &ClientConfig) -> Result<Producer, Error> {
    settings.create().map(DropElsewhere::new).map_err(|error| errors::configuration(&error))
}

/// The line in `raw`; none when it is not one, which is logged: output is for people, and no state hangs on it.
pub(super) async fn decode(
    schemas: &SchemaCache<Registry>,
    partition: u32,
    offset: LogOffset,
    raw: RawRecord,
) -> Result<Option<OutputRecord>, Error> {
    let decoded = match framing::unframe(&raw.value) {
        None => Err("the value does not begin with a schema id".to_owned()),
        Some((id, datum)) => match &*schemas.get(id).await? {
            Err(reason) => Err(reason.clone()),
            Ok(writer) => muster_schemas::output::decode(Some(writer), datum).map_err(|error| error.to_string()),
        },
    };
    match decoded {
        Ok(line) => Ok(Some(OutputRecord { partition, offset, line })),
        Err(reason) => {
            tracing::warn!(partition, %offset, reason, "a record of agent output is no line and is left out");
            Ok(None)
        }
    }
}
