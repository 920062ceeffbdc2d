//! A run and its iterations, as the events tell them.

use serde::{Deserialize, Serialize};

use crate::id::{RunId, SessionId, SnapshotId, SubtaskId};
use crate::model::{
    AgentConfig, AgentResult, BuildError, Role, RunResult, StrategyAction, StrategyDecision, TokenUsage,
    VerificationReport,
};
use crate::time::Timestamp;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Made for a claim, not begun.
    Queued,
    /// Begun.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

impl RunStatus {
    /// The name used on every wire and screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// The right to report on a run until a point in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Session that holds it.
    pub session_id: SessionId,
    /// Token every report must carry.
    pub fencing_token: u64,
    /// When it ends unless renewed.
    pub expires_at: Timestamp,
}

/// One iteration: agent, then verification, then decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// Number, from 1.
    pub number: u32,
    /// What the iteration before taught.
    pub feedback: Option<String>,
    /// What the agent came to.
    pub agent_result: Option<AgentResult>,
    /// Why the agent failed.
    pub agent_error: Option<BuildError>,
    /// What verification came to.
    pub verification: Option<VerificationReport>,
    /// What followed.
    pub decision: Option<StrategyDecision>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
}

/// One agent working on one task or subtask in one role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Its role.
    pub role: Role,
    /// Subtask, for work on one chunk.
    pub subtask_id: Option<SubtaskId>,
    /// Where it stands.
    pub status: RunStatus,
    /// 1 for the first try.
    pub attempt: u32,
    /// The lease, while it is live.
    pub lease: Option<Lease>,
    /// Iterations it may take.
    pub max_iterations: u32,
    /// How its agent is started.
    pub harness_config: Option<AgentConfig>,
    /// Its iterations.
    pub iterations: Vec<Iteration>,
    /// Its workspace, while it has one.
    pub workspace_path: Option<String>,
    /// Branch it works on.
    pub branch: Option<String>,
    /// Commit it started from.
    pub base_commit: Option<String>,
    /// Last snapshot.
    pub snapshot: Option<(SnapshotId, String)>,
    /// Branch it merged into, and the commit.
    pub merged: Option<(String, String)>,
    /// Whether it asked for changes (a review).
    pub changes_requested: bool,
    /// Pull request, where one was opened.
    pub pr_url: Option<String>,
    /// Why it failed.
    pub error: Option<BuildError>,
    /// Tokens of all iterations; none when unknown.
    pub tokens: Option<TokenUsage>,
    /// US dollars of all iterations; none when unknown.
    pub cost_usd: Option<f64>,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

impl Run {
    /// A run that was just queued.
    pub(super) fn queued(id: RunId, role: Role, subtask_id: Option<SubtaskId>, attempt: u32, at: Timestamp) -> Self {
        Self {
            id,
            role,
            subtask_id,
            status: RunStatus::Queued,
            attempt,
            lease: None,
            max_iterations: 0,
            harness_config: None,
            iterations: Vec::new(),
            workspace_path: None,
            branch: None,
            base_commit: None,
            snapshot: None,
            merged: None,
            changes_requested: false,
            pr_url: None,
            error: None,
            tokens: None,
            cost_usd: None,
            queued_at: at,
            ended_at: None,
        }
    }

    /// Whether it has not ended.
    pub fn is_live(&self) -> bool {
        matches!(self.status, RunStatus::Queued | RunStatus::Running)
    }

    /// The newest verification report.
    pub fn last_verification(&self) -> Option<&VerificationReport> {
        self.iterations.iter().rev().find_map(|iteration| iteration.verification.as_ref())
    }

    /// The newest decision.
    pub fn last_decision(&self) -> Option<StrategyAction> {
        self.iterations.iter().rev().find_map(|iteration| iteration.decision.as_ref()).map(|decision| decision.action)
    }

    /// The iteration of that number; made when an event names one that was not announced.
    pub(super) fn iteration(&mut self, number: u32) -> &mut Iteration {
        let index = self.iterations.iter().position(|iteration| iteration.number == number).unwrap_or_else(|| {
            // Iterations are large and few: room for one, not for four.
            self.iterations.reserve_exact(1);
            self.iterations.push(Iteration {
                number,
                feedback: None,
                agent_result: None,
                agent_error: None,
                verification: None,
                decision: None,
                duration_ms: None,
            });
            self.iterations.len() - 1
        });
        &mut self.iterations[index]
    }

    /// Marks its end.
    pub(super) fn end(&mut self, result: RunResult, error: Option<BuildError>, at: Timestamp) {
        self.status = match result {
            RunResult::Succeeded => RunStatus::Succeeded,
            RunResult::Failed => RunStatus::Failed,
        };
        self.error = error;
        self.ended_at = Some(at);
    }
}
