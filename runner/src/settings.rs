//! What the runner is told at its start. It must never read a file or a variable itself.

use std::path::PathBuf;
use std::time::Duration;

use muster_client::domain::model::Role;
use muster_service_kit::config::{RunnerConfig, Sandbox as SandboxMode};

/// Roles this runner knows how to play.
pub const PLAYED_ROLES: [Role; 3] = [Role::Planner, Role::Coder, Role::Reviewer];

/// What the runner is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where sessions and runs are kept.
    pub data_dir: PathBuf,
    /// Name of this runner, the first part of its sessions' names.
    pub name: String,
    /// Roles to claim work for, among [`PLAYED_ROLES`].
    pub roles: Vec<Role>,
    /// Sessions at once.
    pub max_concurrent_sessions: usize,
    /// Time between two heartbeats of a run.
    pub heartbeat: Duration,
    /// Length of a lease in milliseconds.
    pub lease_ms: u64,
    /// How long one claim waits for work, in milliseconds.
    pub claim_wait_ms: u64,
    /// Longest time one agent call may take, where its configuration names none.
    pub agent_timeout: Duration,
    /// Longest time an agent may be silent, where its configuration names none.
    pub agent_silence_timeout: Duration,
    /// Longest time a run waits for the answer to its agent's question.
    pub answer_timeout: Duration,
    /// Longest time one verification command may take, where it names none.
    pub verification_timeout: Duration,
    /// Longest output line kept; the rest of a line is cut off.
    pub output_line_max_bytes: usize,
    /// How agents are kept from the rest of the machine.
    pub sandbox: SandboxMode,
    /// What agents must not see of the machine, besides the runner's data and its configuration.
    pub hide: Vec<PathBuf>,
    /// Whether projects may name command lines as agents.
    pub allow_command_agents: bool,
    /// How the rehearsal agent is started; none for this very program with the argument `rehearsal-agent`.
    pub rehearsal_command: Option<Vec<String>>,
    /// Time running sessions get to end after the stop was asked for.
    pub shutdown_grace: Duration,
}

impl Settings {
    /// The settings that a configuration gives. Roles it names that this runner cannot play are left out.
    pub fn from_config(config: &RunnerConfig) -> Self {
        let named = |role: &Role| config.roles.iter().any(|name| name == role.as_str());
        Self {
            data_dir: config.data_dir.clone(),
            name: format!("runner-{}", std::process::id()),
            roles: PLAYED_ROLES.into_iter().filter(named).collect(),
            max_concurrent_sessions: config.max_concurrent_sessions,
            heartbeat: Duration::from_millis(config.heartbeat_ms),
            lease_ms: config.lease_ms,
            claim_wait_ms: 20_000,
            agent_timeout: Duration::from_millis(config.agent_timeout_ms),
            agent_silence_timeout: Duration::from_millis(config.agent_silence_timeout_ms),
            answer_timeout: Duration::from_millis(config.agent_timeout_ms),
            verification_timeout: Duration::from_millis(config.agent_timeout_ms),
            output_line_max_bytes: config.output_line_max_bytes,
            sandbox: config.sandbox,
            hide: config.hidden_dirs.clone(),
            allow_command_agents: config.allow_command_agents,
            rehearsal_command: None,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
