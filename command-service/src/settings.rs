//! What of the configuration this service uses, in its own terms. It must never read a file or a variable.

use std::time::Duration;

use muster_domain::decide::Limits;
use muster_service_kit::Config;

/// Sizes, counts and times of the write side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Commands that may wait per partition. One more is refused as `overloaded`.
    pub mailbox_capacity: usize,
    /// Bytes of the commands of a partition that are not answered yet. One beyond it is refused as `overloaded`.
    pub mailbox_max_bytes: usize,
    /// Bytes of the bodies of all requests that are not answered yet. One beyond it is refused as `overloaded`.
    pub requests_max_bytes: usize,
    /// Events after which no further command joins an append. One command's events are never divided.
    pub batch_max_events: usize,
    /// How many of a project's latest command ids are remembered. A command repeated later than that is a new one.
    pub idempotency_window: usize,
    /// How many of those are remembered in all of a partition's projects together, the latest.
    pub idempotency_partition_window: usize,
    /// Events of a partition after which a snapshot of it is taken; none is when 0.
    pub snapshot_every_events: usize,
    /// How many finished tasks of a project stay in memory; all of them when 0.
    pub finished_tasks_in_memory: usize,
    /// How many finished tasks are read from the log at the same time.
    pub finished_task_reads_max: usize,
    /// Lease of a claim or heartbeat that names no duration, in milliseconds.
    pub lease_default_ms: u64,
    /// Limits on what a command may carry.
    pub limits: Limits,
    /// Most commands in one `POST /api/commands/batch`.
    pub bulk_max_commands: usize,
    /// Most lines in one `POST /api/runs/{run_id}/output`.
    pub output_max_lines: usize,
    /// Longest wait of a claim.
    pub claim_wait_max: Duration,
    /// How often leases are looked at.
    pub lease_check_interval: Duration,
    /// How long a request waits for a partition that is still reading its history.
    pub recovery_patience: Duration,
    /// How long a request waits for a partition that changes hands.
    pub handover_patience: Duration,
    /// Silence after which this instance's partitions go to others, in milliseconds.
    pub session_timeout_ms: u64,
    /// Requests passed on to other instances at the same time. One more is refused as `overloaded`.
    pub max_forwards: usize,
    /// How often a waiting claim asks other instances for work that they say they have.
    pub claim_poll: Duration,
    /// How long another instance may take to answer a question beside others.
    pub peer_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self::from_config(&Config::default())
    }
}

impl Settings {
    /// What the configuration says.
    pub fn from_config(config: &Config) -> Self {
        let command = &config.command;
        let answer_within = Duration::from_millis(config.http.request_timeout_ms);
        let patience = Duration::from_millis(command.handover_patience_ms).min(answer_within / 2);
        Self {
            mailbox_capacity: command.mailbox_capacity.max(1),
            mailbox_max_bytes: command.mailbox_max_bytes.max(1),
            requests_max_bytes: command.requests_max_bytes.max(1),
            batch_max_events: command.batch_max_events.max(1),
            idempotency_window: command.idempotency_window.max(1),
            idempotency_partition_window: command.idempotency_partition_window.max(1),
            snapshot_every_events: command.snapshot_every_events,
            finished_tasks_in_memory: command.finished_tasks_in_memory,
            finished_task_reads_max: command.finished_task_reads_max.max(1),
            lease_default_ms: command.lease_default_ms,
            limits: Limits {
                title_max_bytes: command.title_max_bytes as u64,
                text_max_bytes: command.description_max_bytes as u64,
                lease_max_ms: command.lease_max_ms,
                ..Limits::default()
            },
            bulk_max_commands: 1000,
            output_max_lines: 10_000,
            // Above it stands the time limit of every request, which would cut a claim short.
            claim_wait_max: Duration::from_secs(30).min(answer_within.saturating_sub(Duration::from_secs(1))),
            lease_check_interval: Duration::from_millis(250),
            recovery_patience: patience,
            handover_patience: patience,
            session_timeout_ms: command.session_timeout_ms,
            max_forwards: command.max_forwards.max(1),
            claim_poll: Duration::from_millis(command.claim_poll_ms.max(1)),
            peer_timeout: Duration::from_millis(command.peer_timeout_ms.max(1)),
        }
    }
}
