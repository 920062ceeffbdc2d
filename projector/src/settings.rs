//! How large batches are. It must never know where the numbers come from beyond the configuration's section.

use std::time::Duration;

use muster_service_kit::config::ProjectorConfig;

/// Limits of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Most events in one transaction.
    pub batch_max_events: usize,
    /// How long a batch that is not full waits for more. Zero takes what is there.
    pub batch_max_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self::from(&ProjectorConfig::default())
    }
}

impl From<&ProjectorConfig> for Settings {
    fn from(config: &ProjectorConfig) -> Self {
        Self {
            batch_max_events: config.batch_max_events.max(1),
            batch_max_wait: Duration::from_millis(config.batch_max_wait_ms),
        }
    }
}
