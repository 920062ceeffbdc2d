//! Values that have the right type and still cannot work. It must never correct a value: it refuses it by name.

use super::load::Error;
use super::{Config, TokenConfig};

const INSTANCE_TOKEN_MIN_BYTES: usize = 16;

/// Refuses the first value that cannot work, naming its key.
pub(super) fn validate(config: &Config) -> Result<(), Error> {
    positive(config)?;
    ordered(config)?;
    instance_token_is_a_secret(config)?;
    for (index, token) in config.auth.tokens.iter().enumerate() {
        token_is_complete(index, token)?;
    }
    Ok(())
}

fn positive(config: &Config) -> Result<(), Error> {
    let Config { http, log, read_store, command, projector, query, runner, .. } = config;
    let values: &[(&str, u64)] = &[
        ("http.max_connections", http.max_connections as u64),
        ("http.max_body_bytes", http.max_body_bytes as u64),
        ("http.body_timeout_ms", http.body_timeout_ms),
        ("http.header_timeout_ms", http.header_timeout_ms),
        ("http.request_timeout_ms", http.request_timeout_ms),
        ("log.kafka.partitions", log.kafka.partitions.into()),
        ("log.kafka.replication_factor", log.kafka.replication_factor.into()),
        ("log.postgres_request_timeout_ms", log.postgres_request_timeout_ms),
        ("log.postgres_lock_timeout_ms", log.postgres_lock_timeout_ms),
        ("log.give_back_timeout_ms", log.give_back_timeout_ms),
        ("log.kafka.transaction_timeout_ms", log.kafka.transaction_timeout_ms),
        ("log.kafka.stall_timeout_ms", log.kafka.stall_timeout_ms),
        ("read_store.max_connections", read_store.max_connections.into()),
        ("command.mailbox_capacity", command.mailbox_capacity as u64),
        ("command.mailbox_max_bytes", command.mailbox_max_bytes as u64),
        ("command.requests_max_bytes", command.requests_max_bytes as u64),
        ("command.batch_max_events", command.batch_max_events as u64),
        ("command.finished_task_reads_max", command.finished_task_reads_max as u64),
        ("command.title_max_bytes", command.title_max_bytes as u64),
        ("command.lease_default_ms", command.lease_default_ms),
        ("command.session_timeout_ms", command.session_timeout_ms),
        ("command.handover_patience_ms", command.handover_patience_ms),
        ("command.max_forwards", command.max_forwards as u64),
        ("command.claim_poll_ms", command.claim_poll_ms),
        ("command.peer_timeout_ms", command.peer_timeout_ms),
        ("projector.batch_max_events", projector.batch_max_events as u64),
        ("query.max_complexity", query.max_complexity as u64),
        ("query.max_depth", query.max_depth as u64),
        ("query.page_size_default", query.page_size_default.into()),
        ("query.subscriber_buffer", query.subscriber_buffer as u64),
        ("query.sse_heartbeat_s", query.sse_heartbeat_s),
        ("query.sse_connection_timeout_m", query.sse_connection_timeout_m),
        ("query.sse_max_connections_per_user", query.sse_max_connections_per_user as u64),
        ("query.socket_max_operations", query.socket_max_operations as u64),
        ("runner.max_concurrent_sessions", runner.max_concurrent_sessions as u64),
        ("runner.heartbeat_ms", runner.heartbeat_ms),
    ];
    values.iter().find(|(_, value)| *value == 0).map_or(Ok(()), |(key, _)| refuse(key, "must be greater than zero"))
}

fn ordered(config: &Config) -> Result<(), Error> {
    let Config { http, command, query, runner, .. } = config;
    if http.tls.cert_file.is_some() != http.tls.key_file.is_some() {
        return refuse("http.tls", "needs both `cert_file` and `key_file`, or neither");
    }
    if command.requests_max_bytes < http.max_body_bytes {
        return refuse("command.requests_max_bytes", "must not be less than http.max_body_bytes");
    }
    if command.lease_default_ms > command.lease_max_ms {
        return refuse("command.lease_default_ms", "must not exceed command.lease_max_ms");
    }
    if query.page_size_default > query.page_size_max {
        return refuse("query.page_size_default", "must not exceed query.page_size_max");
    }
    if runner.heartbeat_ms.saturating_mul(2) > runner.lease_ms {
        return refuse(
            "runner.heartbeat_ms",
            "must be at most half of runner.lease_ms, or one late beat loses the lease",
        );
    }
    Ok(())
}

/// A secret that users have is none among instances.
fn instance_token_is_a_secret(config: &Config) -> Result<(), Error> {
    let key = "auth.instance_token";
    let Some(secret) = config.auth.instance_token.as_ref().map(|secret| secret.expose().trim()) else { return Ok(()) };
    if secret.len() < INSTANCE_TOKEN_MIN_BYTES {
        return refuse(key, "must have at least 16 bytes");
    }
    let mut tokens = config.auth.tokens.iter().filter_map(|token| token.token.as_ref());
    if tokens.any(|token| token.expose().trim() == secret) {
        return refuse(key, "must not be the token of a user");
    }
    if secret.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return refuse(key, "must be printable ASCII without spaces");
    }
    Ok(())
}

fn token_is_complete(index: usize, token: &TokenConfig) -> Result<(), Error> {
    let key = format!("auth.tokens[{index}]");
    if token.token.is_some() == token.token_file.is_some() {
        return refuse(&key, "needs exactly one of `token` and `token_file`");
    }
    if token.token.as_ref().is_some_and(|secret| secret.expose().trim().is_empty()) {
        return refuse(&key, "`token` is empty");
    }
    if token.user.trim().is_empty() {
        return refuse(&key, "`user` is empty");
    }
    Ok(())
}

fn refuse(key: &str, reason: &str) -> Result<(), Error> {
    Err(Error::Value { key: key.to_owned(), reason: reason.to_owned() })
}
