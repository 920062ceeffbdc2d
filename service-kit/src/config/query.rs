//! The read side's section. It must never know what a query asks for: these are limits, times and an address.

use serde::{Deserialize, Serialize};

use super::Secret;

/// Limits of the query API, and where it forwards mutations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryConfig {
    pub max_complexity: usize,
    pub max_depth: usize,
    pub max_aliases: usize,
    pub page_size_default: u32,
    pub page_size_max: u32,
    pub min_position_timeout_ms: u64,
    pub command_url: String,
    pub command_token: Option<Secret>,
    pub subscriber_buffer: usize,
    pub sse_heartbeat_s: u64,
    pub sse_connection_timeout_m: u64,
    pub sse_max_connections_per_user: usize,
    pub socket_max_operations: usize,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            max_complexity: 2_000,
            max_depth: 15,
            max_aliases: 30,
            page_size_default: 50,
            page_size_max: 500,
            min_position_timeout_ms: 5_000,
            command_url: "http://127.0.0.1:4401".into(),
            command_token: None,
            subscriber_buffer: 100,
            sse_heartbeat_s: 30,
            sse_connection_timeout_m: 60,
            sse_max_connections_per_user: 5,
            socket_max_operations: 100,
        }
    }
}
