//! What can go wrong with the log, and what to do about it.

use muster_schemas::codec;

use crate::LogOffset;

/// Why the log did not do what it was asked. Each variant says how it is answered and whether a retry helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another writer has taken the partition over. Nothing was written. Stop serving the partition and forward to the
    /// new owner; never retry with this writer. Answered as 503 with the owner's address, or 503 and retry.
    #[error("partition {partition}: another writer has taken over")]
    Fenced {
        /// The partition.
        partition: u32,
    },
    /// The caller's idea of the end is not the writer's. Nothing was written. The caller's state is stale: take the
    /// partition over again. Answered as 503 and retry.
    #[error("partition {partition}: an append was expected at {actual}, and came for {expected}")]
    WrongExpectedEnd {
        /// The partition.
        partition: u32,
        /// What the caller expected.
        expected: LogOffset,
        /// Where the end is.
        actual: LogOffset,
    },
    /// The events may be in the log or not. Drop the writer, open a new one, and read the tail to learn which; only
    /// then answer. Never answered as it is; never retried before the tail was read.
    #[error("partition {partition}: it is not known whether the append succeeded: {reason}")]
    Indeterminate {
        /// The partition.
        partition: u32,
        /// What happened. Names topic and offset where it was Kafka, table and constraint where it was Postgres.
        reason: String,
    },
    /// The store cannot be reached or did not answer in time. Nothing was written. Retry with back-off. 503.
    #[error("the log is not available: {reason}")]
    Unavailable {
        /// What happened, and to which topic and partition or table.
        reason: String,
    },
    /// The store holds something that contradicts the events, such as another event at the same position of the
    /// project. Nothing was written. A defect of the caller; never retried. 500.
    #[error("partition {partition}: the store refuses the events: {reason}")]
    Refused {
        /// The partition.
        partition: u32,
        /// What contradicts what.
        reason: String,
    },
    /// An event cannot be written as Avro. Nothing was written. A defect of the caller; never retried. 500.
    #[error(transparent)]
    Encode(#[from] codec::Error),
    /// An event is larger than the log takes. Nothing was written. Put its content elsewhere and refer to it. 413.
    #[error("an event of {size_bytes} bytes is larger than the limit of {limit_bytes}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// A schema of this build is incompatible with those in use, or one in use cannot be had. Raised when connecting:
    /// the process must not start. Never retried.
    #[error("schema {subject}: {reason}")]
    Schema {
        /// The event type or registry subject.
        subject: String,
        /// What is wrong.
        reason: String,
    },
    /// What was asked for was removed by the log's retention. Begin at `earliest`, and say that there is a gap. 410.
    #[error("{log}, partition {partition}: offset {from} is gone, the earliest is {earliest}")]
    Truncated {
        /// Topic.
        log: String,
        /// The partition.
        partition: u32,
        /// What was asked for.
        from: LogOffset,
        /// The first offset there is.
        earliest: LogOffset,
    },
    /// There is no such partition. A defect of the caller; never retried. 500.
    #[error("there is no partition {partition}: the log has {count}")]
    NoPartition {
        /// What was asked for.
        partition: u32,
        /// How many there are, numbered from 0.
        count: u32,
    },
    /// The configuration contradicts what is there, for example another number of partitions. The process must not
    /// start; never retried.
    #[error("log configuration: {reason}")]
    Config {
        /// What contradicts what.
        reason: String,
    },
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn unavailable(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Unavailable { reason: format!("{what}: {error}") }
    }
}
