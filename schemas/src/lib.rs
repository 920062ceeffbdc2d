//! The contract of the log: the Avro schema of every event, the wire form of events and agent output, the rule that
//! schemas only change compatibly, and the pages generated from them.
//!
//! It must never know where bytes are kept: no Kafka, no SQL, no network.

pub mod api;
pub mod catalogue;
pub mod codec;
pub mod compatibility;
pub mod contracts;
pub mod golden;
pub mod history;
pub mod output;
pub mod samples;

mod loose;
mod wire;

pub use catalogue::{EventSchema, event_schemas, schema_for};
pub use codec::{WriterSchema, decode, encode};
pub use muster_domain as domain;
pub use output::{AgentOutput, OutputStream};
