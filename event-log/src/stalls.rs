//! Counting clients that stopped working without saying so. It must never replace one: whoever runs it does.

/// Counts one in `muster_log_client_stalls_total`, and says so.
pub(crate) fn count(client: &'static str, what: &str) {
    metrics::counter!("muster_log_client_stalls_total", "client" => client).increment(1);
    tracing::warn!(client, "{what}");
}
