//! Events: what happens to a card: its life, its plan, its questions, its artifacts.

use serde::{Deserialize, Serialize};

use crate::id::{QuestionId, RunId, SubtaskId, TaskId};
use crate::model::{AcceptanceCriterion, Artifact, BuildError, Complexity, Evidence, PlanChunk, Priority, TaskStatus};

/// `task.created`: A card was put on the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCreated {
    /// Title.
    pub title: String,
    /// What is wanted.
    pub description: String,
    /// What must be shown before it is done.
    #[serde(default)]
    pub acceptance_criteria: Vec<AcceptanceCriterion>,
    /// How urgent.
    pub priority: Priority,
    /// How large.
    pub complexity: Complexity,
    /// Tasks that must be done first.
    #[serde(default)]
    pub blocked_by: Vec<TaskId>,
    /// User who asked for it.
    pub created_by: String,
    /// Whether a person answers questions on it.
    pub interactive: bool,
}

/// `task.updated`: A card's text or rank was edited. A field that is null was left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskUpdated {
    /// New title.
    #[serde(default)]
    pub title: Option<String>,
    /// New description.
    #[serde(default)]
    pub description: Option<String>,
    /// New priority.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// New complexity.
    #[serde(default)]
    pub complexity: Option<Complexity>,
    /// New criteria, all of them.
    #[serde(default)]
    pub acceptance_criteria: Option<Vec<AcceptanceCriterion>>,
}

/// `task.dispatched`: A card was released to the agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDispatched {}

/// `task.started`: The first agent took a task up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// Its run.
    pub run_id: RunId,
}

/// `task.status_changed`: A card moved to another column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatusChanged {
    /// Column it left.
    #[serde(default)]
    pub old_status: Option<TaskStatus>,
    /// Column it is in.
    pub new_status: TaskStatus,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// `task.unblocked`: The last task a card waited for is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskUnblocked {
    /// The task that was done last.
    pub unblocked_by: TaskId,
}

/// `task.completed`: A task is done, and each acceptance criterion has its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCompleted {
    /// What shows each criterion.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
    /// Branch that was merged.
    #[serde(default)]
    pub branch: Option<String>,
    /// Commit it is merged in.
    #[serde(default)]
    pub merge_commit: Option<String>,
}

/// `task.failed`: A task was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailed {
    /// Why.
    pub error: BuildError,
}

/// `plan.ready`: A plan waits for a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanReady {
    /// Run that wrote it.
    pub run_id: RunId,
    /// The plan, as Markdown.
    pub plan: String,
    /// Its chunks.
    #[serde(default)]
    pub chunks: Vec<PlanChunk>,
    /// What it may cost in US dollars; null when unknown.
    #[serde(default)]
    pub estimated_cost_usd: Option<f64>,
    /// SHA-256 of plan and chunks in hexadecimal; approvals name it.
    pub digest: String,
}

/// `plan.approved`: A plan was approved and became subtasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanApproved {
    /// Digest of what was approved.
    pub digest: String,
    /// Who decided.
    pub approved_by: String,
}

/// `plan.rejected`: A plan was turned down; the planner tries again with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRejected {
    /// Digest of what was rejected.
    pub digest: String,
    /// Who decided.
    pub rejected_by: String,
    /// Why.
    pub reason: String,
}

/// `review.changes_requested`: A reviewer wants changes; a subtask is added for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewChangesRequested {
    /// The review.
    pub run_id: RunId,
    /// What to change.
    pub feedback: String,
    /// Subtask that does it.
    pub subtask_id: SubtaskId,
}

/// `artifact.added`: A run left something behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactAdded {
    /// The run.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// What.
    pub artifact: Artifact,
}

/// `question.asked`: An agent needs an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuestionAsked {
    /// The run.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// The question.
    pub question_id: QuestionId,
    /// What it asks.
    pub question: String,
    /// Answers it offers.
    #[serde(default)]
    pub options: Vec<String>,
}
