//! Snapshots in a compacted topic: chunks, then a head that says what they add up to.
//!
//! Two slots take turns, so that compaction keeps two generations at most, and the older one while a newer is written.
//! Every record says where the newest head was when it was written: the last record of the partition, which is there for
//! certain, leads to it without reading the topic. Nothing here may be relied upon: what does not add up is left out.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::ClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::clients::Quiet;
use super::reader::{assign, passes};
use super::watermarks::Watermarks;
use super::{KafkaConfig, clients, errors, number};
use crate::{Error, LogOffset};

/// Size of a chunk: below what brokers take for a batch by default, with room for key and header.
const CHUNK_BYTES: usize = 900_000;
/// Chunks under way at once, which bounds the memory a snapshot takes beside itself.
const AT_ONCE: &str = "16";
/// Format of the head. Others are left out.
const FORMAT: u32 = 1;
/// Name of the header every record has.
const HEADER: &str = "snapshot";

/// Header of every record.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    /// Which snapshot the record belongs to.
    id: Uuid,
    slot: u8,
    /// Chunks of that snapshot.
    chunks: u32,
    /// Offset of the newest head when this was written.
    head: Option<i64>,
}

/// The last record of a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    format: u32,
    id: Uuid,
    slot: u8,
    chunks: u32,
    size_bytes: u64,
    sha256: String,
    /// Offset of the first chunk.
    first: i64,
    /// Offset of the head in the other slot, and how many chunks may be in that slot.
    previous: Option<i64>,
    previous_chunks: u32,
}

/// The snapshots of one partition. Every call blocks.
pub(super) struct Snapshots<'a> {
    pub config: &'a KafkaConfig,
    pub topic: &'a str,
    pub partition: u32,
    pub watermarks: &'a Watermarks,
}

/// What the end of the partition says.
#[derive(Default)]
struct Newest {
    head: Option<(i64, Head)>,
    /// Chunks a snapshot that was never finished may have left in the slot that is next.
    unfinished_chunks: u32,
}

/// Why a snapshot is left out.
type Damage = String;

impl Snapshots<'_> {
    /// Writes `snapshot`, all of it durable on return.
    pub(super) fn put(&self, snapshot: &Bytes) -> Result<(), Error> {
        let newest = self.newest(&self.consumer()?)?;
        let (slot, previous_chunks, surplus) = match &newest.head {
            Some((_, head)) => (1 - head.slot.min(1), head.chunks, head.previous_chunks.max(newest.unfinished_chunks)),
            None => (0, 0, newest.unfinished_chunks),
        };
        let chunks = u32::try_from(snapshot.len().div_ceil(CHUNK_BYTES))
            .map_err(|error| Error::unavailable("a snapshot", error))?;
        let previous = newest.head.map(|(offset, _)| offset);
        let place = Place { id: Uuid::new_v4(), slot, chunks, head: previous };
        let mut sink = Sink::new(self, place.clone())?;
        for chunk in chunks..surplus {
            sink.send(&chunk.to_string(), None)?;
        }
        let before = sink.sent;
        for (index, chunk) in snapshot.chunks(CHUNK_BYTES).enumerate() {
            sink.send(&index.to_string(), Some(chunk))?;
        }
        let offsets = sink.finish()?;
        let head = Head {
            format: FORMAT,
            id: place.id,
            slot,
            chunks,
            size_bytes: snapshot.len() as u64,
            sha256: hex::encode(Sha256::digest(snapshot)),
            // Nothing is read for an empty one.
            first: offsets.get(before).copied().unwrap_or(i64::MAX),
            previous,
            previous_chunks,
        };
        let value = serde_json::to_vec(&head).map_err(|error| Error::unavailable("a snapshot's head", error))?;
        sink.send("head", Some(&value))?;
        sink.finish().map(drop)
    }

    /// The newest that is whole.
    pub(super) fn get(&self) -> Result<Option<Bytes>, Error> {
        let consumer = self.consumer()?;
        let mut next = self.newest(&consumer)?.head;
        let mut tries = 0;
        while let Some((offset, head)) = next {
            match self.assemble(&consumer, offset, &head)? {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(damage) => self.left_out(offset, &damage),
            }
            tries += 1;
            next = match head.previous {
                // The other slot; what lies before that was overwritten.
                Some(previous) if tries < 2 => self.head_at(&consumer, previous)?,
                _ => None,
            };
        }
        Ok(None)
    }

    fn left_out(&self, offset: i64, damage: &str) {
        let (topic, partition) = (self.topic, self.partition);
        tracing::warn!(topic, partition, offset, damage, "a snapshot is left out");
    }

    fn newest(&self, consumer: &BaseConsumer<Quiet>) -> Result<Newest, Error> {
        let (low, end) = self.watermarks.committed(self.topic, self.partition)?;
        if end <= low {
            return Ok(Newest::default());
        }
        let mut last = None;
        self.scan(consumer, end.0 - 1, end.0, |message| {
            last = Some((message.offset(), place(message), is_head(message), message.payload().map(<[u8]>::to_vec)));
        })?;
        match last {
            Some((offset, _, true, value)) => {
                let head = self.parse(offset, value.as_deref());
                Ok(Newest { head: head.map(|head| (offset, head)), unfinished_chunks: 0 })
            }
            Some((_, Some(place), false, _)) => {
                let head = place.head.map(|offset| self.head_at(consumer, offset)).transpose()?.flatten();
                Ok(Newest { head, unfinished_chunks: place.chunks })
            }
            _ => {
                self.left_out(end.0 - 1, "the last record leads to no head");
                Ok(Newest::default())
            }
        }
    }

    fn head_at(&self, consumer: &BaseConsumer<Quiet>, offset: i64) -> Result<Option<(i64, Head)>, Error> {
        let mut found = None;
        self.scan(consumer, offset, offset + 1, |message| {
            if message.offset() == offset && is_head(message) {
                found = Some(message.payload().map(<[u8]>::to_vec));
            }
        })?;
        let Some(value) = found else {
            self.left_out(offset, "its head is gone");
            return Ok(None);
        };
        Ok(self.parse(offset, value.as_deref()).map(|head| (offset, head)))
    }

    fn parse(&self, offset: i64, value: Option<&[u8]>) -> Option<Head> {
        match serde_json::from_slice::<Head>(value.unwrap_or_default()) {
            Ok(head) if head.format == FORMAT => return Some(head),
            Ok(head) => self.left_out(offset, &format!("its head has format {}", head.format)),
            Err(error) => self.left_out(offset, &format!("its head cannot be read: {error}")),
        }
        None
    }

    fn assemble(
        &self,
        consumer: &BaseConsumer<Quiet>,
        offset: i64,
        head: &Head,
    ) -> Result<Result<Bytes, Damage>, Error> {
        let most = u64::from(head.chunks) * CHUNK_BYTES as u64;
        let Some(size) = usize::try_from(head.size_bytes).ok().filter(|_| head.size_bytes <= most) else {
            return Ok(Err(format!("{} bytes are not in {} chunks", head.size_bytes, head.chunks)));
        };
        let mut whole = Vec::with_capacity(size);
        let mut read = 0;
        let mut out_of_order = false;
        self.scan(consumer, head.first, offset, |message| {
            // Another writer's may lie in between.
            if place(message).is_some_and(|place| place.id == head.id) {
                out_of_order |= key_of(message).rsplit('/').next() != Some(read.to_string().as_str());
                whole.extend_from_slice(message.payload().unwrap_or_default());
                read += 1;
            }
        })?;
        if out_of_order || read != head.chunks || whole.len() != size {
            let bytes = whole.len();
            return Ok(Err(format!("{read} chunks of {} are there, {bytes} bytes of {size}", head.chunks)));
        }
        if hex::encode(Sha256::digest(&whole)) != head.sha256 {
            return Ok(Err("its checksum is another".to_owned()));
        }
        Ok(Ok(Bytes::from(whole)))
    }

    fn consumer(&self) -> Result<BaseConsumer<Quiet>, Error> {
        let mut client = clients::consumer(self.config);
        client
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "10")
            .set("max.partition.fetch.bytes", "8388608");
        client.create_with_context(Quiet).map_err(|error| errors::configuration(&error))
    }

    /// Shows `see` what there is from `from` to before `to`. Compaction leaves holes.
    fn scan(
        &self,
        consumer: &BaseConsumer<Quiet>,
        from: i64,
        to: i64,
        mut see: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let at = LogOffset(from);
        assign(consumer, self.topic, self.partition, at)?;
        let mut deadline = Instant::now() + self.config.request_timeout();
        loop {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    if message.offset() < to {
                        see(&message);
                    }
                    if message.offset() + 1 >= to {
                        return Ok(());
                    }
                    deadline = Instant::now() + self.config.request_timeout();
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                // The whole snapshot was compacted away and the topic begins later.
                Some(Err(error)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    return Ok(());
                }
                Some(Err(error)) if !passes(&error) => {
                    return Err(errors::unavailable_at(self.topic, self.partition, at, &error));
                }
                Some(Err(_)) | None if Instant::now() < deadline => {}
                Some(Err(_)) | None => {
                    let (topic, partition) = (self.topic, self.partition);
                    let reason = format!("topic {topic}, partition {partition}, offset {at}: no answer in time");
                    return Err(Error::Unavailable { reason });
                }
            }
        }
    }
}

fn key_of<'m>(message: &'m BorrowedMessage<'_>) -> &'m str {
    message.key().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default()
}

fn is_head(message: &BorrowedMessage<'_>) -> bool {
    key_of(message).ends_with("/head")
}

fn place(message: &BorrowedMessage<'_>) -> Option<Place> {
    let header = message.headers()?.iter().find(|header| header.key == HEADER)?;
    serde_json::from_slice(header.value?).ok()
}

/// Keeps the reports of what was delivered.
struct Reports(mpsc::Sender<Result<i64, KafkaError>>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let report = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        // Whoever gave up does not listen any more.
        drop(self.0.send(report));
    }
}

/// A producer for one snapshot.
struct Sink<'a> {
    snapshots: &'a Snapshots<'a>,
    producer: BaseProducer<Reports>,
    reports: mpsc::Receiver<Result<i64, KafkaError>>,
    place: Place,
    header: Vec<u8>,
    /// Records since the last [`Sink::finish`].
    sent: usize,
}

impl<'a> Sink<'a> {
    fn new(snapshots: &'a Snapshots<'a>, place: Place) -> Result<Self, Error> {
        let (reporter, reports) = mpsc::channel();
        let mut client = clients::producer(snapshots.config);
        client
            .set("message.max.bytes", "1000000")
            .set("linger.ms", "0")
            .set("queue.buffering.max.messages", AT_ONCE)
            .set("message.timeout.ms", snapshots.config.request_timeout_ms.to_string());
        let producer = client.create_with_context(Reports(reporter)).map_err(|error| errors::configuration(&error))?;
        let header = serde_json::to_vec(&place).map_err(|error| Error::unavailable("a snapshot's header", error))?;
        Ok(Self { snapshots, producer, reports, place, header, sent: 0 })
    }

    fn failed(&self, error: &KafkaError) -> Error {
        errors::unavailable(self.snapshots.topic, self.snapshots.partition, error)
    }

    /// Sends a record, a tombstone where it has no value. Waits while too many are under way.
    fn send(&mut self, name: &str, value: Option<&[u8]>) -> Result<(), Error> {
        let Snapshots { topic, partition, .. } = *self.snapshots;
        let key = format!("{partition}/{}/{name}", self.place.slot);
        let header = Header { key: HEADER, value: Some(&self.header) };
        let mut record = BaseRecord::to(topic).partition(number(partition)).key(&key);
        record = record.headers(OwnedHeaders::new().insert(header));
        if let Some(value) = value {
            record = record.payload(value);
        }
        while let Err((error, back)) = self.producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(self.failed(&error));
            }
            record = back;
            self.producer.poll(Duration::from_millis(10));
        }
        self.sent += 1;
        Ok(())
    }

    /// Waits until everything sent is durable. Their offsets, in order.
    fn finish(&mut self) -> Result<Vec<i64>, Error> {
        let flushed = self.producer.flush(self.snapshots.config.request_timeout());
        flushed.map_err(|error| self.failed(&error))?;
        let reports: Result<Vec<i64>, KafkaError> = self.reports.try_iter().collect();
        let offsets = reports.map_err(|error| self.failed(&error))?;
        if offsets.len() == std::mem::take(&mut self.sent) {
            Ok(offsets)
        } else {
            Err(Error::unavailable(&format!("topic {}", self.snapshots.topic), "not every record was acknowledged"))
        }
    }
}
