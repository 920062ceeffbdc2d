//! Counting clients that stopped working without saying so. It must never replace one: whoever runs it does.

/// Every kind of client that may stall.
const CLIENTS: [&str; 4] = ["membership", "output", "producer", "subscription"];

/// Shows `muster_log_client_stalls_total` of each kind before there is anything to count.
pub(crate) fn show() {
    for client in CLIENTS {
        metrics::counter!("muster_log_client_stalls_total", "client" => client).increment(0);
    }
}

/// Counts one in `muster_log_client_stalls_total`, and says so.
pub(crate) fn count(client: &'static str, what: &str) {
    debug_assert!(CLIENTS.contains(&client), "{client} is not shown");
    metrics::counter!("muster_log_client_stalls_total", "client" => client).increment(1);
    tracing::warn!(client, "{what}");
}
