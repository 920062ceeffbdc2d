//! Agents: started as the project configures them, spoken to, watched, and judged by how they end and what they hand
//! back.
//!
//! It must never know git or the control plane: it gets a folder and gives a result.

mod acp;
mod command;
mod handback;
mod json_lines;

pub use acp::wire;
pub use handback::{Plan, Question, Review, Verdict, read_plan, read_question, read_review};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_client::domain::command::WorkOrder;
use muster_client::domain::model::{AgentKind, AgentResult, BuildError, BuildErrorKind, TokenUsage};
use parking_lot::Mutex;

use crate::output::{OutputStream, RunOutput};
use crate::process::{self, Activity, Digest, Ending, Launch, Process, Sink, Watch};
use crate::sandbox::{Sandbox, View};
use crate::settings::Settings;
use crate::stop::Stop;
use crate::text;

/// Bytes of a summary in a result.
const SUMMARY_MAX_BYTES: usize = 4 * 1024;
/// Bytes of output in an error.
const EXCERPT_MAX_BYTES: usize = 4 * 1024;

/// One call of an agent.
pub struct Call<'a> {
    /// The work.
    pub order: &'a WorkOrder,
    /// What the agent is told.
    pub prompt: &'a str,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// What it sees of the machine.
    pub view: View,
    /// Its confinement.
    pub sandbox: &'a Sandbox,
    /// Where its output goes.
    pub output: &'a RunOutput,
    /// What the runner allows.
    pub settings: &'a Settings,
    /// Why it may have to stop early.
    pub stop: &'a Stop,
}

/// A started agent.
pub struct Agent {
    process: Process,
    command: String,
    kind: AgentKind,
    started: Instant,
    watch: Watch,
    digest: Arc<Mutex<Digest>>,
}

/// How an agent's part of the talk went, before its files are read.
#[derive(Debug, Default)]
struct Answer {
    /// Its last words.
    message: String,
    stop_reason: Option<String>,
    exit_code: Option<i32>,
    tokens: Option<TokenUsage>,
    cost_usd: Option<f64>,
    model: Option<String>,
}

impl Call<'_> {
    /// Starts the agent.
    pub async fn start(&self) -> Result<Agent, BuildError> {
        let config = &self.order.agent;
        let command = self.command()?;
        let launch =
            Launch { command: command.clone(), env: self.env.clone(), view: self.view.clone(), with_input: true };
        let process = launch.start(self.sandbox).await.map_err(|error| {
            let kind = match error {
                process::Error::NotFound(_) => BuildErrorKind::CommandNotFound,
                process::Error::Io { .. } => BuildErrorKind::AgentFailed,
            };
            failure(kind, error.to_string())
        })?;
        let millis = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_millis);
        let watch = Watch {
            timeout: millis(config.timeout_ms, self.settings.agent_timeout),
            silence: Some(millis(config.silence_timeout_ms, self.settings.agent_silence_timeout)),
            activity: Activity::default(),
            stop: self.stop.clone(),
        };
        let (command, kind) = (text::command_line(&command), config.kind);
        Ok(Agent { process, command, kind, started: Instant::now(), watch, digest: Arc::default() })
    }

    fn command(&self) -> Result<Vec<String>, BuildError> {
        let config = &self.order.agent;
        match config.kind {
            AgentKind::Rehearsal => match &self.settings.rehearsal_command {
                Some(command) => Ok(command.clone()),
                None => this_program().map(|program| vec![program, "rehearsal-agent".to_owned()]),
            },
            _ if config.command.is_empty() => {
                Err(failure(BuildErrorKind::CommandNotFound, format!("the {} agent has no command", config.kind)))
            }
            _ if !self.settings.allow_command_agents => Err(failure(
                BuildErrorKind::CommandNotFound,
                "this runner starts no command line that a project names: set runner.allow_command_agents".to_owned(),
            )),
            _ => Ok(config.command.clone()),
        }
    }
}

impl Agent {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its command line.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Ends it without having spoken with it.
    pub async fn abandon(mut self) {
        self.process.end().await;
    }

    /// Speaks with it until it ends. Nothing of it runs after this.
    pub async fn finish(mut self, call: &Call<'_>) -> Result<AgentResult, BuildError> {
        let answer = match self.kind {
            AgentKind::Command => command::run(&mut self, call).await,
            AgentKind::Acp | AgentKind::Rehearsal => acp::run(&mut self, call).await,
        };
        // Whatever happened, nothing of it may be left.
        self.process.end().await;
        let answer = answer.map_err(|error| self.with_excerpt(error))?;
        let told = handback::read_result(&call.view.session.artifacts()).map_err(|error| self.with_excerpt(error))?;
        let summary = told.summary.unwrap_or(answer.message);
        Ok(AgentResult {
            success: true,
            summary: text::shorten(summary.trim(), SUMMARY_MAX_BYTES),
            exit_code: answer.exit_code,
            stop_reason: answer.stop_reason,
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            tokens: told.tokens.or(answer.tokens),
            cost_usd: told.cost_usd.or(answer.cost_usd),
            model: told.model.or(answer.model).or_else(|| call.order.agent.model.clone()),
        })
    }

    fn sink(&self, call: &Call<'_>, stream: OutputStream) -> Sink {
        let activity = self.watch.activity.clone();
        Sink { output: call.output.clone(), stream, digest: self.digest.clone(), activity }
    }

    fn with_excerpt(&self, error: BuildError) -> BuildError {
        let excerpt = text::tail(self.digest.lock().tail(), EXCERPT_MAX_BYTES);
        BuildError { log_excerpt: (!excerpt.is_empty()).then_some(excerpt), ..error }
    }

    /// The error of an ending that is not a success; `None` for exit code 0.
    fn fault(&self, ending: Ending) -> Option<BuildError> {
        let seconds = |duration: Duration| duration.as_secs_f64();
        let (kind, message) = match ending {
            Ending::Exited(0) => return None,
            Ending::Exited(code) => {
                let error = failure(BuildErrorKind::AgentFailed, format!("the agent exited with code {code}"));
                return Some(BuildError { exit_code: Some(code), ..error });
            }
            Ending::Killed(signal) => (BuildErrorKind::AgentKilled, format!("the agent was ended by signal {signal}")),
            Ending::TimedOut => {
                let limit = seconds(self.watch.timeout);
                (BuildErrorKind::AgentTimeout, format!("the agent took longer than {limit} s and was ended"))
            }
            Ending::Silent => {
                let limit = seconds(self.watch.silence.unwrap_or_default());
                (BuildErrorKind::AgentSilent, format!("the agent was silent for {limit} s and was ended"))
            }
            Ending::Stopped => (BuildErrorKind::Cancelled, "the agent was stopped".to_owned()),
        };
        Some(failure(kind, message))
    }
}

fn this_program() -> Result<String, BuildError> {
    let path = std::env::current_exe().map_err(|error| failure(BuildErrorKind::Internal, error.to_string()))?;
    Ok(path.to_string_lossy().into_owned())
}

fn failure(kind: BuildErrorKind, message: String) -> BuildError {
    BuildError { kind, message, exit_code: None, log_excerpt: None }
}
