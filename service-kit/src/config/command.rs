//! The write side's section. It must never know what a command is: these are sizes, counts and times.

use serde::{Deserialize, Serialize};

/// Limits and places of the command service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandConfig {
    pub mailbox_capacity: usize,
    pub mailbox_max_bytes: usize,
    pub requests_max_bytes: usize,
    pub batch_max_events: usize,
    pub title_max_bytes: usize,
    pub description_max_bytes: usize,
    pub idempotency_window: usize,
    pub idempotency_partition_window: usize,
    pub snapshot_every_events: usize,
    pub finished_tasks_in_memory: usize,
    pub finished_task_reads_max: usize,
    pub lease_default_ms: u64,
    pub lease_max_ms: u64,
    pub advertised_url: Option<String>,
    pub session_timeout_ms: u64,
    pub handover_patience_ms: u64,
    pub max_forwards: usize,
    pub claim_poll_ms: u64,
    pub peer_timeout_ms: u64,
}

impl Default for CommandConfig {
    fn default() -> Self {
        Self {
            mailbox_capacity: 4_096,
            mailbox_max_bytes: 64 * 1024 * 1024,
            requests_max_bytes: 256 * 1024 * 1024,
            batch_max_events: 1_000,
            title_max_bytes: 500,
            description_max_bytes: 65_536,
            idempotency_window: 100_000,
            idempotency_partition_window: 1_000_000,
            snapshot_every_events: 20_000,
            finished_tasks_in_memory: 1_000,
            finished_task_reads_max: 4,
            lease_default_ms: 60_000,
            lease_max_ms: 600_000,
            advertised_url: None,
            session_timeout_ms: 6_000,
            handover_patience_ms: 5_000,
            max_forwards: 1_024,
            claim_poll_ms: 250,
            peer_timeout_ms: 1_000,
        }
    }
}
