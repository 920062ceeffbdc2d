//! The log: append with an expected position, read, subscribe from a position, for events and for agent output.
//!
//! One interface, [`EventLog`], and three implementations with the same promises: [`memory`] for tests, [`postgres`]
//! for the embedded default, [`kafka`] for Apache Kafka. It must never know what an event means, nor decide anything.

mod log;

mod error;
pub mod membership;
mod output;
mod partition;
mod record;

mod decode;
mod framing;
mod mutant;
mod stalls;
mod tail;

pub mod headers;

pub mod connect;
pub mod kafka;
pub mod memory;
pub mod postgres;

#[cfg(feature = "limits")]
pub mod foreign;
#[cfg(feature = "limits")]
pub mod limits;
#[cfg(feature = "limits")]
pub mod raw;

pub use connect::{LogConfig, connect};
pub use error::Error;
pub use log::{EventLog, PartitionWriter};
pub use membership::{Change, Member, Membership, Owners};
pub use muster_schemas::{AgentOutput, OutputStream};
pub use output::OutputRecord;
pub use partition::partition_of;
pub use record::{Appended, DeadLetter, LogOffset, LogRecord, Poison};

/// Largest event by default, in bytes: Kafka's own default for a batch, less room for headers. Events stay far below
/// it, because large content lies in the blob store and is only referred to.
pub const DEFAULT_MAX_VALUE_BYTES: usize = 1_000_000;

/// How long agent output is kept by default, in milliseconds: 30 days.
pub const DEFAULT_OUTPUT_RETENTION_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// How long an instance may take to finish with a partition that it should give back, by default, in milliseconds.
pub const DEFAULT_GIVE_BACK_TIMEOUT_MS: u64 = 10_000;
