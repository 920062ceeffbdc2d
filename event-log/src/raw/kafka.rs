//! Kafka by plain consumers of either isolation level, and the registry by plain requests. Calls block, but for the registry's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Headers;
use rdkafka::{Message, Offset, TopicPartitionList};

use super::{RawRecord, View};
use crate::Error;

/// Longest wait for anything; a broker that was just restarted takes its time.
const TIMEOUT: Duration = Duration::from_mins(1);

fn consumer(bootstrap: &str, view: View) -> Result<BaseConsumer, KafkaError> {
    let level = match view {
        View::Committed => "read_committed",
        View::Uncommitted => "read_uncommitted",
    };
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "muster-raw")
        .set("group.id", "muster-raw")
        .set("isolation.level", level)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .create()
}

pub(super) fn ends(bootstrap: &str, topic: &str, view: View) -> Result<BTreeMap<u32, i64>, Error> {
    let failed = |error: KafkaError| Error::unavailable(&format!("topic {topic}"), error);
    let consumer = consumer(bootstrap, view).map_err(failed)?;
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
    let partitions = metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
    partitions
        .map(|partition| {
            let (_, end) = consumer.fetch_watermarks(topic, partition.id(), TIMEOUT).map_err(failed)?;
            Ok((partition.id().cast_unsigned(), end))
        })
        .collect()
}

pub(super) fn records(
    bootstrap: &str,
    topic: &str,
    view: View,
    partition: u32,
    from: i64,
    to: i64,
) -> Result<Vec<RawRecord>, Error> {
    let failed = |error: KafkaError| Error::unavailable(&format!("topic {topic}, partition {partition}"), error);
    let mut records: Vec<RawRecord> = Vec::new();
    if from >= to {
        return Ok(records);
    }
    let consumer = consumer(bootstrap, view).map_err(failed)?;
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, partition.cast_signed(), Offset::Offset(from))
        .and_then(|()| consumer.assign(&assignment))
        .map_err(failed)?;
    let mut deadline = Instant::now() + TIMEOUT;
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) if message.offset() >= to => return Ok(records),
            Some(Ok(message)) => {
                let offset = message.offset();
                let goes_on = records.last().filter(|last| last.offset + 1 == offset);
                let append = goes_on.map_or(offset.cast_unsigned(), |last| last.append);
                records.push(raw(partition, append, &message));
                deadline = Instant::now() + TIMEOUT;
            }
            // The end for this level, which was not below `to` when it was asked for.
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
            Some(Err(error)) if !passes(&error) || Instant::now() > deadline => return Err(failed(error)),
            None if Instant::now() > deadline => {
                return Err(Error::unavailable(&format!("topic {topic}, partition {partition}"), "no answer in time"));
            }
            Some(Err(_)) | None => {}
        }
    }
}

fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut};
    matches!(error.rdkafka_error_code(), Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut))
}

fn raw(partition: u32, append: u64, message: &impl Message) -> RawRecord {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec())).collect()
    });
    RawRecord {
        partition,
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        value: message.payload().unwrap_or_default().to_vec(),
        append,
    }
}

pub(super) async fn schemas(registry_url: &str, ids: &BTreeSet<u32>) -> Result<BTreeMap<u32, String>, Error> {
    let failed = |error: reqwest::Error| Error::unavailable("the schema registry", error.without_url());
    let http = reqwest::Client::builder().timeout(TIMEOUT).build().map_err(failed)?;
    let mut schemas = BTreeMap::new();
    for id in ids {
        let url = format!("{}/schemas/ids/{id}", registry_url.trim_end_matches('/'));
        let response = http.get(url).send().await.map_err(failed)?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            continue;
        }
        let body: serde_json::Value = response.error_for_status().map_err(failed)?.json().await.map_err(failed)?;
        let text = body["schema"].as_str();
        let text = text.ok_or_else(|| Error::unavailable(&format!("schema {id}"), "the registry's answer has none"))?;
        schemas.insert(*id, text.to_owned());
    }
    Ok(schemas)
}
