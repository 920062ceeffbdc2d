//! The records that several types share.

use async_graphql::{ID, SimpleObject};
use muster_domain::model;

use super::enums::StrategyAction;

/// One thing that must be shown before a task is done.
#[derive(SimpleObject)]
pub struct AcceptanceCriterion {
    /// What must be true, in the words of who asked.
    text: String,
    /// Name of the verification command that shows it; without one, every command must pass.
    check: Option<String>,
}

impl From<model::AcceptanceCriterion> for AcceptanceCriterion {
    fn from(criterion: model::AcceptanceCriterion) -> Self {
        Self { text: criterion.text, check: criterion.check }
    }
}

/// What shows that an acceptance criterion is met.
#[derive(SimpleObject)]
pub struct Evidence {
    /// Index of the criterion, from 0.
    criterion_index: u32,
    /// Run that showed it.
    run_id: ID,
    /// Verification command that passed; null when all of them together show it.
    check: Option<String>,
    /// What was seen.
    detail: String,
}

impl From<model::Evidence> for Evidence {
    fn from(evidence: model::Evidence) -> Self {
        Self {
            criterion_index: evidence.criterion_index,
            run_id: evidence.run_id.into_id(),
            check: evidence.check,
            detail: evidence.detail,
        }
    }
}

/// One chunk of a plan; becomes a subtask when the plan is approved.
#[derive(SimpleObject)]
pub struct PlanChunk {
    /// Id of the subtask it becomes.
    subtask_id: ID,
    /// What it does.
    title: String,
    /// How.
    description: String,
    /// Chunks that come first.
    depends_on: Vec<ID>,
}

impl From<model::PlanChunk> for PlanChunk {
    fn from(chunk: model::PlanChunk) -> Self {
        Self {
            subtask_id: chunk.subtask_id.into_id(),
            title: chunk.title,
            description: chunk.description,
            depends_on: chunk.depends_on.into_iter().map(IntoId::into_id).collect(),
        }
    }
}

/// Why something failed, in words a person can act on.
#[derive(SimpleObject)]
pub struct BuildError {
    /// Class of failure, for example `verification_failed`.
    kind: String,
    /// What happened.
    message: String,
    /// Exit code of the process, where there was one.
    exit_code: Option<i32>,
    /// Last lines of its output.
    log_excerpt: Option<String>,
}

impl From<model::BuildError> for BuildError {
    fn from(error: model::BuildError) -> Self {
        Self {
            kind: error.kind.as_str().to_owned(),
            message: error.message,
            exit_code: error.exit_code,
            log_excerpt: error.log_excerpt,
        }
    }
}

/// Tokens and dollars. A field is null when unknown, which is not zero.
#[derive(SimpleObject)]
pub struct Usage {
    /// Tokens read.
    pub(super) input_tokens: Option<i64>,
    /// Tokens written.
    pub(super) output_tokens: Option<i64>,
    /// Their sum as the agent counts it.
    pub(super) total_tokens: Option<i64>,
    /// US dollars.
    pub(super) cost_usd: Option<f64>,
}

/// What one agent call came to.
#[derive(SimpleObject)]
pub struct AgentResult {
    /// Whether the agent says it did its work.
    success: bool,
    /// Its last message, shortened.
    summary: String,
    /// Exit code of the process; null when a signal ended it.
    exit_code: Option<i32>,
    /// Why it stopped, in its protocol's words.
    stop_reason: Option<String>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// What it used.
    usage: Usage,
    /// Model that answered.
    model: Option<String>,
}

impl From<model::AgentResult> for AgentResult {
    fn from(result: model::AgentResult) -> Self {
        let signed = |tokens: u64| i64::try_from(tokens).ok();
        Self {
            success: result.success,
            summary: result.summary,
            exit_code: result.exit_code,
            stop_reason: result.stop_reason,
            duration_ms: result.duration_ms,
            usage: Usage {
                input_tokens: result.tokens.as_ref().and_then(|tokens| signed(tokens.input_tokens)),
                output_tokens: result.tokens.as_ref().and_then(|tokens| signed(tokens.output_tokens)),
                total_tokens: result.tokens.as_ref().and_then(|tokens| signed(tokens.total_tokens)),
                cost_usd: result.cost_usd,
            },
            model: result.model,
        }
    }
}

/// Test counts read from a test runner's output.
#[derive(SimpleObject)]
pub struct TestCounts {
    /// Passed.
    passed: u32,
    /// Failed.
    failed: u32,
    /// Skipped or ignored.
    skipped: u32,
}

/// What one verification command came to.
#[derive(SimpleObject)]
pub struct CheckResult {
    /// The command's name.
    name: String,
    /// The command line that ran.
    command: String,
    /// Whether it exited with 0.
    passed: bool,
    /// Its exit code; null when it could not start or was killed.
    exit_code: Option<i32>,
    /// How long it took, in milliseconds.
    duration_ms: u64,
    /// Test counts, where its output is understood.
    tests: Option<TestCounts>,
    /// Why it failed.
    error: Option<BuildError>,
    /// Last lines of its output.
    output_excerpt: String,
}

impl From<model::CheckResult> for CheckResult {
    fn from(check: model::CheckResult) -> Self {
        Self {
            name: check.name,
            command: check.command,
            passed: check.passed,
            exit_code: check.exit_code,
            duration_ms: check.duration_ms,
            tests: check.tests.map(|tests| TestCounts {
                passed: tests.passed,
                failed: tests.failed,
                skipped: tests.skipped,
            }),
            error: check.error.map(Into::into),
            output_excerpt: check.output_excerpt,
        }
    }
}

/// What all verification commands came to.
#[derive(SimpleObject)]
pub struct VerificationReport {
    /// Whether each of them passed.
    passed: bool,
    /// Each command's result, in the order they ran.
    checks: Vec<CheckResult>,
    /// Commit that was verified.
    commit: Option<String>,
    /// How long all took, in milliseconds.
    duration_ms: u64,
}

impl From<model::VerificationReport> for VerificationReport {
    fn from(report: model::VerificationReport) -> Self {
        Self {
            passed: report.passed,
            checks: report.checks.into_iter().map(Into::into).collect(),
            commit: report.commit,
            duration_ms: report.duration_ms,
        }
    }
}

/// What to do after an iteration, and why.
#[derive(SimpleObject)]
pub struct StrategyDecision {
    /// What to do.
    action: StrategyAction,
    /// Why.
    reason: String,
    /// What the next iteration is told.
    feedback: Option<String>,
}

impl From<model::StrategyDecision> for StrategyDecision {
    fn from(decision: model::StrategyDecision) -> Self {
        Self { action: decision.action.into(), reason: decision.reason, feedback: decision.feedback }
    }
}

/// An id of ours as a GraphQL id.
pub(super) trait IntoId {
    fn into_id(self) -> ID;
}

impl<T: std::fmt::Display> IntoId for T {
    fn into_id(self) -> ID {
        ID(self.to_string())
    }
}

/// Ids of ours as GraphQL ids.
pub(super) fn ids<T: std::fmt::Display>(ids: impl IntoIterator<Item = T>) -> Vec<ID> {
    ids.into_iter().map(IntoId::into_id).collect()
}
