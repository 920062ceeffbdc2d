//! The records that events, commands and state share. Plain data: no behaviour beyond construction.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::values::{AgentKind, ArtifactKind, BuildErrorKind, PreviewMode, StrategyAction};
use crate::id::{ArtifactId, RunId, SubtaskId};

/// One thing that must be shown before a task is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptanceCriterion {
    /// What must be true, in the words of who asked.
    pub text: String,
    /// Name of the verification command that shows it; without one, every command must pass.
    #[serde(default)]
    pub check: Option<String>,
}

/// How the agent of a role is started (the harness configuration).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentConfig {
    /// How it is driven.
    pub kind: AgentKind,
    /// Program and arguments; empty for the bundled rehearsal agent.
    #[serde(default)]
    pub command: Vec<String>,
    /// Model to ask for, where the agent takes one.
    #[serde(default)]
    pub model: Option<String>,
    /// Environment variables granted to it.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Longest time one agent call may take, in milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Longest time without any output, in milliseconds.
    #[serde(default)]
    pub silence_timeout_ms: Option<u64>,
}

/// A command that shows whether the work is right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationCommand {
    /// Its name, cited by acceptance criteria.
    pub name: String,
    /// Program and arguments, run in the workspace.
    #[serde(default)]
    pub command: Vec<String>,
    /// Longest time it may take, in milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// What a project may spend. No work is handed out once a limit is crossed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// Tokens over all runs.
    #[serde(default)]
    pub tokens_max: Option<u64>,
    /// US dollars over all runs.
    #[serde(default)]
    pub cost_usd_max: Option<f64>,
}

/// How a project works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectSettings {
    /// Agent per role, keyed by role name; a role without one uses the rehearsal agent.
    #[serde(default)]
    pub agents: BTreeMap<String, AgentConfig>,
    /// Commands that every change must pass.
    #[serde(default)]
    pub verification: Vec<VerificationCommand>,
    /// Iterations one run may take.
    pub max_iterations: u32,
    /// Times a piece of work is handed out again after its run failed.
    pub max_attempts: u32,
    /// Runs at once in this project.
    pub max_concurrent_runs: u32,
    /// What the project may spend.
    pub budget: Budget,
    /// How previews are run.
    pub preview_mode: PreviewMode,
    /// Days finished tasks are kept; none keeps them forever.
    #[serde(default)]
    pub retention_days: Option<u32>,
    /// Whether a new task is handed to a planner at once.
    pub auto_dispatch: bool,
    /// Whether a person approves each plan.
    pub require_plan_approval: bool,
}

/// Something a run leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its id.
    pub artifact_id: ArtifactId,
    /// What it is.
    pub kind: ArtifactKind,
    /// Path or URL.
    pub path: String,
    /// What it shows.
    pub description: String,
    /// Its size in bytes, where it is a file.
    #[serde(default)]
    pub size_bytes: Option<u64>,
    /// SHA-256 of its content in hexadecimal, where it is a file.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// Why something failed, in words a person can act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildError {
    /// Class of failure.
    pub kind: BuildErrorKind,
    /// What happened.
    pub message: String,
    /// Exit code of the process, where there was one.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Last lines of its output.
    #[serde(default)]
    pub log_excerpt: Option<String>,
}

/// Tokens an agent reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Their sum as the agent counts it.
    pub total_tokens: u64,
}

/// What one agent call came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentResult {
    /// Whether the agent says it did its work.
    pub success: bool,
    /// Its last message, shortened.
    pub summary: String,
    /// Exit code of the process; none when a signal ended it.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// Why it stopped, in its protocol's words.
    #[serde(default)]
    pub stop_reason: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Tokens used; none when unknown, which is not zero.
    #[serde(default)]
    pub tokens: Option<TokenUsage>,
    /// US dollars; none when unknown, which is not zero.
    #[serde(default)]
    pub cost_usd: Option<f64>,
    /// Model that answered.
    #[serde(default)]
    pub model: Option<String>,
}

/// Test counts read from a test runner's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    /// Passed.
    pub passed: u32,
    /// Failed.
    pub failed: u32,
    /// Skipped or ignored.
    pub skipped: u32,
}

/// What one verification command came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The command's name.
    pub name: String,
    /// The command line that ran.
    pub command: String,
    /// Whether it exited with 0.
    pub passed: bool,
    /// Its exit code; none when it could not start or was killed.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Test counts, where its output is understood.
    #[serde(default)]
    pub tests: Option<TestCounts>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<BuildError>,
    /// Last lines of its output.
    pub output_excerpt: String,
}

/// What all verification commands came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationReport {
    /// Whether each of them passed.
    pub passed: bool,
    /// Each command's result, in the order they ran.
    #[serde(default)]
    pub checks: Vec<CheckResult>,
    /// Commit that was verified.
    #[serde(default)]
    pub commit: Option<String>,
    /// How long all took, in milliseconds.
    pub duration_ms: u64,
}

/// What to do after an iteration, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyDecision {
    /// What to do.
    pub action: StrategyAction,
    /// Why.
    pub reason: String,
    /// What the next iteration is told.
    #[serde(default)]
    pub feedback: Option<String>,
}

/// What shows that an acceptance criterion is met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Index of the criterion, from 0.
    pub criterion_index: u32,
    /// Run that showed it.
    pub run_id: RunId,
    /// Verification command that passed; none when all of them together show it.
    #[serde(default)]
    pub check: Option<String>,
    /// What was seen.
    pub detail: String,
}

/// One chunk of a plan; becomes a subtask when the plan is approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanChunk {
    /// Id of the subtask it becomes.
    pub subtask_id: SubtaskId,
    /// What it does.
    pub title: String,
    /// How.
    pub description: String,
    /// Chunks that come first.
    #[serde(default)]
    pub depends_on: Vec<SubtaskId>,
}
