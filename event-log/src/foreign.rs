//! A record that none of the services wrote, for those who want to see what becomes of it: a value as it is, at the end of a
//! partition, past every writer and every fence.
//!
//! Only built with the feature `limits`. It must never be used on a log that anybody needs.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::Error;
use crate::raw::RawLog;

/// Longest wait for a broker, in milliseconds.
const TIMEOUT_MS: u64 = 20_000;

/// Writes a record whose key is `project_id`. Its offset.
///
/// # Errors
/// [`Error::Unavailable`] when the log does not take it in time.
pub async fn write(log: &RawLog, partition: u32, project_id: Uuid, value: &[u8]) -> Result<i64, Error> {
    match log {
        RawLog::Kafka { bootstrap, topic, .. } => to_kafka(bootstrap, topic, partition, project_id, value).await,
        RawLog::Postgres { url } => to_postgres(url, partition, project_id, value).await,
    }
}

async fn to_kafka(bootstrap: &str, topic: &str, partition: u32, project_id: Uuid, value: &[u8]) -> Result<i64, Error> {
    let failed =
        |error: rdkafka::error::KafkaError| Error::unavailable(&format!("topic {topic}, partition {partition}"), error);
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", "muster-foreign")
        .set("acks", "all")
        .set("message.timeout.ms", TIMEOUT_MS.to_string())
        .create()
        .map_err(failed)?;
    let key = project_id.to_string();
    let record = FutureRecord::to(topic).partition(partition.cast_signed()).key(&key).payload(value);
    let delivered = producer.send(record, Duration::from_millis(TIMEOUT_MS)).await;
    delivered.map(|delivery| delivery.offset).map_err(|(error, _)| failed(error))
}

async fn to_postgres(url: &str, partition: u32, project_id: Uuid, value: &[u8]) -> Result<i64, Error> {
    let failed = |error: sqlx::Error| Error::unavailable("the log's tables", error);
    let mut connection = PgConnection::connect(url).await.map_err(failed)?;
    sqlx::query_scalar(
        "WITH head AS (
             UPDATE muster_log.partitions SET end_offset = end_offset + 1 WHERE partition = $1 RETURNING end_offset
         )
         INSERT INTO muster_log.events (partition, log_offset, project_id, value)
         SELECT $1, end_offset - 1, $2, $3 FROM head RETURNING log_offset",
    )
    .bind(partition.cast_signed())
    .bind(project_id)
    .bind(value)
    .fetch_one(&mut connection)
    .await
    .map_err(failed)
}
