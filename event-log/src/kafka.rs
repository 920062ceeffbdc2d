//! The log in Apache Kafka, with a schema registry.

/// Largest event by default, in bytes: Kafka's own default for a batch, less room for headers.
pub const DEFAULT_MAX_VALUE_BYTES: usize = 1_000_000;
