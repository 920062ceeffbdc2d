//! Events: agents and verification inside a run.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SubtaskId};
use crate::model::{AgentResult, BuildError, Role, TestCounts, VerificationReport};

/// `agent.invoked`: An agent was asked to take a role in a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInvoked {
    /// Its run.
    pub run_id: RunId,
    /// Its role.
    pub role: Role,
    /// Subtask, for work on one chunk.
    #[serde(default)]
    pub subtask_id: Option<SubtaskId>,
}

/// `test.passed`: A verification command passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestPassed {
    /// The run.
    pub run_id: RunId,
    /// The command's name.
    pub name: String,
    /// Test counts, where understood.
    #[serde(default)]
    pub tests: Option<TestCounts>,
}

/// `test.failed`: A verification command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFailed {
    /// The run.
    pub run_id: RunId,
    /// The command's name.
    pub name: String,
    /// Test counts, where understood.
    #[serde(default)]
    pub tests: Option<TestCounts>,
    /// Exit code, where there was one.
    #[serde(default)]
    pub exit_code: Option<i32>,
}

/// `error.occurred`: Something went wrong that did not end the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorOccurred {
    /// The run, where it was in one.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// What.
    pub error: BuildError,
}

/// `agent.started`: An agent process was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStarted {
    /// The run.
    pub run_id: RunId,
    /// Iteration.
    pub iteration: u32,
    /// Its role.
    pub role: Role,
    /// Process id on the runner's machine.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Command line.
    pub command: String,
}

/// `agent.complete`: An agent ended by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentComplete {
    /// The run.
    pub run_id: RunId,
    /// Iteration.
    pub iteration: u32,
    /// What it came to.
    pub result: AgentResult,
    /// Result file, written before this event.
    pub result_file: String,
    /// Pull request, where one was opened.
    #[serde(default)]
    pub pr_url: Option<String>,
}

/// `agent.failed`: An agent died, hung or broke its protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFailed {
    /// The run.
    pub run_id: RunId,
    /// Iteration.
    pub iteration: u32,
    /// Why.
    pub error: BuildError,
    /// Result file, written before this event.
    pub result_file: String,
    /// Whether another iteration or attempt follows.
    pub will_retry: bool,
}

/// `verification.started`: The verification commands are being run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationStarted {
    /// The run.
    pub run_id: RunId,
    /// Iteration.
    pub iteration: u32,
    /// Names of the commands.
    #[serde(default)]
    pub checks: Vec<String>,
}

/// `verification.complete`: The verification commands have run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationComplete {
    /// The run.
    pub run_id: RunId,
    /// Iteration.
    pub iteration: u32,
    /// What they came to.
    pub report: VerificationReport,
    /// Report file, written before this event.
    pub report_file: String,
}
