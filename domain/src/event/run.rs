//! Events: the life of a run and its iterations.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SubtaskId};
use crate::model::{AgentConfig, BuildError, Role, RunResult, StrategyDecision, TokenUsage};

/// `run.queued`: A run was made for a claimed piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunQueued {
    /// The run.
    pub run_id: RunId,
    /// Its role.
    pub role: Role,
    /// Subtask, for work on one chunk.
    #[serde(default)]
    pub subtask_id: Option<SubtaskId>,
    /// 1 for the first try.
    pub attempt: u32,
}

/// `run.started`: A run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStarted {
    /// The run.
    pub run_id: RunId,
    /// Iteration it starts with, from 1.
    pub iteration: u32,
    /// Iterations it may take.
    pub max_iterations: u32,
    /// How its agent is started.
    pub harness_config: AgentConfig,
}

/// `run.complete`: A run came to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunComplete {
    /// The run.
    pub run_id: RunId,
    /// How.
    pub result: RunResult,
    /// Iterations taken.
    pub total_iterations: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Pull request, where one was opened.
    #[serde(default)]
    pub pr_url: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<BuildError>,
    /// Tokens of all iterations; null when unknown.
    #[serde(default)]
    pub tokens: Option<TokenUsage>,
    /// US dollars of all iterations; null when unknown.
    #[serde(default)]
    pub cost_usd: Option<f64>,
}

/// `run.failed`: A run broke before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFailed {
    /// The run.
    pub run_id: RunId,
    /// Why.
    pub error: BuildError,
    /// Whether the work is handed out again.
    pub will_retry: bool,
}

/// `iteration.started`: An iteration of a run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IterationStarted {
    /// The run.
    pub run_id: RunId,
    /// Number, from 1.
    pub iteration: u32,
    /// What the iteration before taught.
    #[serde(default)]
    pub feedback: Option<String>,
}

/// `iteration.complete`: An iteration of a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IterationComplete {
    /// The run.
    pub run_id: RunId,
    /// Number, from 1.
    pub iteration: u32,
    /// Whether the agent says it did its work.
    pub agent_success: bool,
    /// Whether verification passed; null when it did not run.
    #[serde(default)]
    pub verification_passed: Option<bool>,
    /// What follows.
    pub decision: StrategyDecision,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// `strategy.decision`: It was decided how a run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyDecided {
    /// The run.
    pub run_id: RunId,
    /// Iteration.
    pub iteration: u32,
    /// What and why.
    pub decision: StrategyDecision,
}
