//! The small sections: HTTP, startup, read store, authentication, projector, telemetry.
//! They must never hold behaviour: a section is data with defaults.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;

/// How a process serves HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    pub host: String,
    pub port: u16,
    pub max_connections: usize,
    pub tcp_user_timeout_ms: u64,
    pub max_body_bytes: usize,
    pub body_timeout_ms: u64,
    pub header_timeout_ms: u64,
    pub request_timeout_ms: u64,
    pub drain_ms: u64,
    pub shutdown_grace_ms: u64,
    pub tls: TlsConfig,
}

/// Certificate and key; both or neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 4400,
            max_connections: 16_384,
            tcp_user_timeout_ms: 30_000,
            max_body_bytes: 1024 * 1024,
            body_timeout_ms: 10_000,
            header_timeout_ms: 120_000,
            request_timeout_ms: 30_000,
            drain_ms: 1_000,
            shutdown_grace_ms: 10_000,
            tls: TlsConfig::default(),
        }
    }
}

/// How a process waits at its start for the servers it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartupConfig {
    pub patience_ms: u64,
}

/// Where read models are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadStoreConfig {
    pub url: Option<Secret>,
    pub max_connections: u32,
}

impl Default for ReadStoreConfig {
    fn default() -> Self {
        Self { url: None, max_connections: 16 }
    }
}

/// Who may call. Without a token every request that needs one is refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    pub tokens: Vec<TokenConfig>,
    pub instance_token: Option<Secret>,
}

/// One bearer token: the user it stands for, and exactly one of `token` and `token_file`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The token itself.
    #[serde(default)]
    pub token: Option<Secret>,
    /// A file whose trimmed content is the token.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The user the token stands for.
    pub user: String,
    /// An admin may act for another user (services do).
    #[serde(default)]
    pub admin: bool,
}

/// Log in, rows out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectorConfig {
    pub batch_max_events: usize,
    pub batch_max_wait_ms: u64,
    pub health_port: u16,
}

impl Default for ProjectorConfig {
    fn default() -> Self {
        Self { batch_max_events: 1_000, batch_max_wait_ms: 0, health_port: 4402 }
    }
}

/// Log lines of the process itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    pub log_level: String,
    pub log_format: LogFormat,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { log_level: "info".into(), log_format: LogFormat::Text }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}
