//! From configuration to a log. The only place that knows every implementation.

use std::sync::Arc;

use crate::kafka::{KafkaConfig, KafkaLog};
use crate::memory::MemoryLog;
use crate::postgres::{PostgresConfig, PostgresLog};
use crate::{Error, EventLog};

/// Which log to use.
#[derive(Debug, Clone)]
pub enum LogConfig {
    /// In this process, gone with it. Two connections are two logs.
    Memory {
        /// Number of partitions.
        partitions: u32,
    },
    /// In Postgres.
    Postgres(PostgresConfig),
    /// In Apache Kafka, with a schema registry.
    Kafka(KafkaConfig),
}

/// Connects, creates what is missing, registers this build's schemas. Fails when they are incompatible with those in use.
pub async fn connect(config: &LogConfig) -> Result<Arc<dyn EventLog>, Error> {
    Ok(match config {
        LogConfig::Memory { partitions } => Arc::new(MemoryLog::new(*partitions)),
        LogConfig::Postgres(config) => Arc::new(PostgresLog::connect(config).await?),
        LogConfig::Kafka(config) => Arc::new(KafkaLog::connect(config).await?),
    })
}
