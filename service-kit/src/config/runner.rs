//! The runner's section. It must never start an agent: these are addresses, counts, times and a choice of sandbox.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;

/// Where the runner works, for whom, and how long it waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerConfig {
    pub data_dir: PathBuf,
    pub command_url: String,
    pub token: Option<Secret>,
    pub max_concurrent_sessions: usize,
    pub heartbeat_ms: u64,
    pub lease_ms: u64,
    pub agent_timeout_ms: u64,
    pub agent_silence_timeout_ms: u64,
    pub output_line_max_bytes: usize,
    pub sandbox: Sandbox,
    pub hidden_dirs: Vec<PathBuf>,
    pub roles: Vec<String>,
    pub allow_command_agents: bool,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        let roles = ["planner", "architect", "coder", "tester", "reviewer", "deployer", "explorer"];
        Self {
            data_dir: ".muster/runner".into(),
            command_url: "http://127.0.0.1:4401".into(),
            token: None,
            max_concurrent_sessions: 2,
            heartbeat_ms: 10_000,
            lease_ms: 60_000,
            agent_timeout_ms: 3_600_000,
            agent_silence_timeout_ms: 600_000,
            output_line_max_bytes: 65_536,
            sandbox: Sandbox::Auto,
            hidden_dirs: Vec::new(),
            roles: roles.map(str::to_owned).to_vec(),
            allow_command_agents: false,
        }
    }
}

/// How an agent is kept from the rest of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// Bubblewrap where it works, the kernel's own means otherwise; refuse to start when neither does.
    Auto,
    /// Bubblewrap or refuse to start.
    Bubblewrap,
    /// No sandbox: agents run with the rights of the runner.
    None,
}
