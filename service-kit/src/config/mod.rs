//! Layered configuration: files, then `MUSTER_*` variables, then flags, into one [`Config`].
//! It must never reach for the network or start anything: reading it has no side effect.

mod command;
mod environment;
mod load;
mod log;
mod query;
mod reference;
mod runner;
mod secret;
mod services;
mod validate;

use serde::{Deserialize, Serialize};

pub use command::CommandConfig;
pub use environment::PREFIX;
pub use load::{Error, Loader, standard_files};
pub use log::{KafkaConfig, LogConfig, LogKind};
pub use query::QueryConfig;
pub use reference::{Entry, REFERENCE, page};
pub use runner::{RunnerConfig, Sandbox};
pub use secret::Secret;
pub use services::{
    AuthConfig, HttpConfig, LogFormat, ProjectorConfig, ReadStoreConfig, StartupConfig, TelemetryConfig, TlsConfig,
    TokenConfig,
};

/// Everything a Muster process can be told. Each section has defaults, so an empty file is a valid configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How this process serves HTTP.
    pub http: HttpConfig,
    /// How a process waits for the servers it needs.
    pub startup: StartupConfig,
    /// Where events are kept.
    pub log: LogConfig,
    /// Where read models are kept.
    pub read_store: ReadStoreConfig,
    /// Who may call.
    pub auth: AuthConfig,
    /// The write side.
    pub command: CommandConfig,
    /// Log in, rows out.
    pub projector: ProjectorConfig,
    /// The read side.
    pub query: QueryConfig,
    /// The process that drives agents.
    pub runner: RunnerConfig,
    /// Log lines of the process itself.
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// Loads from the standard places: user file, project file, environment. Flags are added with [`Loader::flags`].
    pub fn load() -> Result<Self, Error> {
        Loader::standard().load()
    }
}
