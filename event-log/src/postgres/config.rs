//! How to reach the log's database.

/// Configuration of [`super::PostgresLog`].
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgres://…` URL of the database.
    pub url: String,
    /// Number of partitions; fixed once the log exists.
    pub partitions: u32,
    /// Connections at most, one of which waits for notifications.
    pub max_connections: u32,
    /// How often a subscription looks for itself, in milliseconds, should a notification be lost.
    pub poll_interval_ms: u64,
    /// How long agent output is kept, in milliseconds.
    pub output_retention_ms: u64,
    /// How long an instance that should give a partition back may take to finish with it, in milliseconds. After that
    /// it goes to another all the same.
    pub give_back_timeout_ms: u64,
    /// How long the database may take to answer, in milliseconds. An append that takes longer counts as indeterminate.
    pub request_timeout_ms: u64,
    /// How long a predecessor's connection may keep a partition locked, or stay silent within a transaction, in
    /// milliseconds. After that it is ended.
    pub lock_timeout_ms: u64,
    /// Largest event, in bytes.
    pub max_value_bytes: usize,
}

impl PostgresConfig {
    /// The defaults for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            partitions: 12,
            max_connections: 16,
            poll_interval_ms: 1000,
            output_retention_ms: crate::DEFAULT_OUTPUT_RETENTION_MS,
            give_back_timeout_ms: crate::DEFAULT_GIVE_BACK_TIMEOUT_MS,
            request_timeout_ms: 10_000,
            lock_timeout_ms: 2000,
            max_value_bytes: crate::DEFAULT_MAX_VALUE_BYTES,
        }
    }
}

/// Without the URL, which may hold a password.
impl std::fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("partitions", &self.partitions)
            .field("max_connections", &self.max_connections)
            .field("poll_interval_ms", &self.poll_interval_ms)
            .field("output_retention_ms", &self.output_retention_ms)
            .field("give_back_timeout_ms", &self.give_back_timeout_ms)
            .field("request_timeout_ms", &self.request_timeout_ms)
            .field("lock_timeout_ms", &self.lock_timeout_ms)
            .field("max_value_bytes", &self.max_value_bytes)
            .finish_non_exhaustive()
    }
}
