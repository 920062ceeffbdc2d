//! What a session can report about its run. Each report becomes the event of the same name.

use serde::{Deserialize, Serialize};

use crate::id::{ArtifactId, QuestionId, SnapshotId};
use crate::model::{
    AgentConfig, AgentResult, ArtifactKind, BuildError, FileChange, RunResult, StrategyDecision, TokenUsage,
    VerificationReport,
};

/// A chunk as a planner proposes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedChunk {
    /// What it does.
    pub title: String,
    /// How.
    #[serde(default)]
    pub description: String,
    /// Indexes (from 0) of the chunks that come first.
    #[serde(default)]
    pub depends_on: Vec<u32>,
}

/// What happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "each variant and field is the event of the same name, documented there")]
pub enum Report {
    /// `run.started`
    Started { iteration: u32, harness_config: AgentConfig },
    /// `workspace.acquired`
    WorkspaceAcquired { path: String, branch: String, base_commit: String },
    /// `workspace.released`; taken after the lease ended too, as long as no other session has the work.
    WorkspaceReleased { path: String },
    /// `snapshot.created`
    SnapshotCreated { snapshot_id: SnapshotId, commit: String, iteration: u32 },
    /// `snapshot.restored`
    SnapshotRestored { snapshot_id: SnapshotId, commit: String },
    /// `iteration.started`
    IterationStarted { iteration: u32, feedback: Option<String> },
    /// `agent.started`
    AgentStarted { iteration: u32, pid: Option<u32>, command: String },
    /// `agent.complete`
    AgentComplete { iteration: u32, result: AgentResult, result_file: String },
    /// `agent.failed`
    AgentFailed { iteration: u32, error: BuildError, result_file: String, will_retry: bool },
    /// `verification.started`
    VerificationStarted { iteration: u32, checks: Vec<String> },
    /// `verification.complete`, with `test.passed` and `test.failed` for each check.
    VerificationComplete { iteration: u32, report: VerificationReport, report_file: String },
    /// `strategy.decision`; a reviewer's `accept` needs evidence for every criterion.
    StrategyDecision { iteration: u32, decision: StrategyDecision },
    /// `iteration.complete`
    IterationComplete {
        iteration: u32,
        agent_success: bool,
        verification_passed: Option<bool>,
        decision: StrategyDecision,
        duration_ms: u64,
    },
    /// `file.modified`
    FileModified { path: String, change: FileChange, lines_added: u32, lines_removed: u32 },
    /// `work.progress`
    Progress { message: String, percent: Option<u32> },
    /// `artifact.added`
    ArtifactAdded {
        artifact_id: ArtifactId,
        kind: ArtifactKind,
        path: String,
        description: String,
        size_bytes: Option<u64>,
        sha256: Option<String>,
    },
    /// `question.asked`
    QuestionAsked { question_id: QuestionId, question: String, options: Vec<String> },
    /// `pr.created`
    PrCreated { pr_url: String, branch_name: String, title: String },
    /// `pr.merged`
    PrMerged { pr_url: String, merge_commit: Option<String> },
    /// `branch.merged`
    BranchMerged { branch: String, into: String, merge_commit: String },
    /// `plan.ready`; for planners.
    PlanReady { plan: String, chunks: Vec<PlannedChunk>, estimated_cost_usd: Option<f64> },
    /// `review.changes_requested`; for reviewers.
    ChangesRequested { feedback: String },
    /// `error.occurred`
    Error { error: BuildError },
    /// `run.complete`: the run came to its end. What follows depends on role and result.
    Complete {
        result: RunResult,
        total_iterations: u32,
        duration_ms: u64,
        pr_url: Option<String>,
        error: Option<BuildError>,
        tokens: Option<TokenUsage>,
        cost_usd: Option<f64>,
    },
    /// `run.failed`: the run broke; its work is handed out again while attempts are left.
    Failed { error: BuildError },
}
