//! The log's records as they lie there, and the schemas they were written with, for those who check the log from outside.
//!
//! Only built with the feature `limits`. It must share nothing with the log's own way of reading: no client settings, no
//! decoding, no statement. It connects anew for each call, and it never makes or changes anything.

mod kafka;
mod postgres;

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// Its partition.
    pub partition: u32,
    /// Its offset.
    pub offset: i64,
    /// Its key: the project, as text. None where it has none.
    pub key: Option<Vec<u8>>,
    /// Its headers, in their order. Postgres has none.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its value: a zero byte, the schema's id in four bytes (big endian), the Avro datum. Empty where it has none.
    pub value: Vec<u8>,
    /// The same for what was written together, another for what was not; comparable within a partition only. In Kafka the
    /// offset where an unbroken run begins, because every transaction ends in a marker that takes an offset; a run may
    /// be more than one append only where somebody wrote without a transaction. In Postgres the row's transaction.
    pub append: u64,
}

impl RawRecord {
    /// The id of the schema the value was written with; none where the value does not say.
    pub fn schema_id(&self) -> Option<u32> {
        match self.value[..] {
            [0, a, b, c, d, ..] => Some(u32::from_be_bytes([a, b, c, d])),
            _ => None,
        }
    }
}

/// Whether what is not committed is seen too: undecided and aborted transactions. Postgres shows what is committed alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// What every reader may see.
    Committed,
    /// Everything.
    Uncommitted,
}

/// Where a log is.
#[derive(Clone)]
pub enum RawLog {
    /// In Kafka.
    Kafka {
        /// `host:port`, several separated by commas.
        bootstrap: String,
        /// URL of the registry's Confluent-compatible API.
        registry_url: String,
        /// The topic of the events, `muster.events` unless configured otherwise.
        topic: String,
    },
    /// In Postgres.
    Postgres {
        /// `postgres://…` URL of the database.
        url: String,
    },
}

impl RawLog {
    /// Where each partition ends, exclusive. In Kafka an end may lie behind a marker and so above the last record's next.
    pub async fn ends(&self, view: View) -> Result<BTreeMap<u32, i64>, Error> {
        match self.clone() {
            Self::Kafka { bootstrap, topic, .. } => blocking(move || kafka::ends(&bootstrap, &topic, view)).await,
            Self::Postgres { url } => postgres::ends(&url).await,
        }
    }

    /// Every record of every partition up to its end now, in the order of partition and offset.
    pub async fn records(&self, view: View) -> Result<Vec<RawRecord>, Error> {
        let mut records = Vec::new();
        for (partition, end) in self.ends(view).await? {
            records.extend(self.partition(view, partition, 0, end).await?);
        }
        Ok(records)
    }

    /// The records of `partition` with offsets from `from` to before `to`, in order. `to` must not be above the end.
    pub async fn partition(&self, view: View, partition: u32, from: i64, to: i64) -> Result<Vec<RawRecord>, Error> {
        match self.clone() {
            Self::Kafka { bootstrap, topic, .. } => {
                blocking(move || kafka::records(&bootstrap, &topic, view, partition, from, to)).await
            }
            Self::Postgres { url } => postgres::records(&url, partition, from, to).await,
        }
    }

    /// The texts of the schemas with these ids; those that nobody knows are left out.
    pub async fn schemas(&self, ids: &BTreeSet<u32>) -> Result<BTreeMap<u32, String>, Error> {
        match self {
            Self::Kafka { registry_url, .. } => kafka::schemas(registry_url, ids).await,
            Self::Postgres { url } => postgres::schemas(url, ids).await,
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::unavailable("a Kafka client", error)))
}
