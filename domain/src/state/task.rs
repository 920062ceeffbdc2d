//! A task: a card on the board, with its plan, subtasks, runs, questions and artifacts.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::run::Run;
use super::subtask::{Subtask, short};
use crate::id::{ProjectId, QuestionId, RunId, SubtaskId, TaskId};
use crate::model::{
    AcceptanceCriterion, Artifact, BuildError, Complexity, Evidence, PlanChunk, Priority, Role, SubtaskStatus,
    TaskStatus,
};
use crate::time::Timestamp;

/// What was decided about a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum PlanVerdict {
    /// Approved by a user.
    Approved {
        /// Who.
        by: String,
    },
    /// Rejected by a user.
    Rejected {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// A plan and what was decided about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Run that wrote it.
    pub run_id: RunId,
    /// The plan, as Markdown.
    pub plan: String,
    /// Its chunks.
    pub chunks: Vec<PlanChunk>,
    /// What it may cost, in US dollars.
    pub estimated_cost_usd: Option<f64>,
    /// SHA-256 of plan and chunks in hexadecimal.
    pub digest: String,
    /// What was decided; none while it waits.
    pub verdict: Option<PlanVerdict>,
}

/// A question an agent asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its id.
    pub id: QuestionId,
    /// Run that asked.
    pub run_id: Option<RunId>,
    /// What it asks.
    pub question: String,
    /// Answers it offers.
    pub options: Vec<String>,
    /// The answer, once given.
    pub answer: Option<String>,
}

/// A task. What is large and seldom changes is shared between its clones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Its project.
    pub project_id: ProjectId,
    /// Sequence of its last event.
    pub sequence: u64,
    /// Title.
    pub title: String,
    /// What is wanted.
    pub description: String,
    /// What must be shown before it is done.
    pub acceptance_criteria: Vec<AcceptanceCriterion>,
    /// How urgent.
    pub priority: Priority,
    /// How large.
    pub complexity: Complexity,
    /// Where it stands.
    pub status: TaskStatus,
    /// Why it is where it is, when an event said so.
    pub status_reason: Option<String>,
    /// Tasks that must be done first.
    pub blocked_by: BTreeSet<TaskId>,
    /// Who asked for it.
    pub created_by: String,
    /// Whether a person answers questions on it.
    pub interactive: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Whether it was released to the agents.
    pub dispatched: bool,
    /// Whether an agent ever took it up.
    pub started: bool,
    /// The newest plan.
    pub plan: Option<Arc<Plan>>,
    /// Subtasks, in plan order.
    pub subtasks: Vec<Subtask>,
    /// Runs, oldest first.
    pub runs: Vec<Arc<Run>>,
    /// Artifacts, oldest first.
    pub artifacts: Vec<Artifact>,
    /// Questions, oldest first.
    pub questions: Vec<Question>,
    /// Context people added, oldest first.
    pub prompts: Vec<String>,
    /// Feedback that the next planner or coder is given.
    pub feedback: Vec<String>,
    /// Task-level runs (planner, reviewer) that failed since the last retry.
    pub failed_attempts: u32,
    /// Reviews that asked for changes since the last retry.
    pub review_rounds: u32,
    /// Retries people asked for.
    pub retry_count: u32,
    /// What shows that it is done.
    pub evidence: Vec<Evidence>,
    /// Why it failed.
    pub error: Option<Box<BuildError>>,
    /// Branch that was merged.
    pub branch: Option<String>,
    /// Commit it is merged in.
    pub merge_commit: Option<String>,
    /// Tokens of all runs, as far as they are known.
    pub tokens_used: u64,
    /// US dollars of all runs, as far as they are known.
    pub cost_usd: f64,
}

impl Task {
    /// A task before its first event.
    pub(super) fn new(id: TaskId, project_id: ProjectId) -> Self {
        Self {
            id,
            project_id,
            sequence: 0,
            title: String::new(),
            description: String::new(),
            acceptance_criteria: Vec::new(),
            priority: Priority::Medium,
            complexity: Complexity::M,
            status: TaskStatus::Inbox,
            status_reason: None,
            blocked_by: BTreeSet::new(),
            created_by: String::new(),
            interactive: false,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            dispatched: false,
            started: false,
            plan: None,
            subtasks: Vec::new(),
            runs: Vec::new(),
            artifacts: Vec::new(),
            questions: Vec::new(),
            prompts: Vec::new(),
            feedback: Vec::new(),
            failed_attempts: 0,
            review_rounds: 0,
            retry_count: 0,
            evidence: Vec::new(),
            error: None,
            branch: None,
            merge_commit: None,
            tokens_used: 0,
            cost_usd: 0.0,
        }
    }

    /// Branch its subtasks are merged into.
    pub fn branch_name(&self) -> String {
        format!("muster/task-{}", short(self.id.0))
    }

    /// Whether nothing more happens to it unless a person asks.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status, TaskStatus::Done | TaskStatus::Failed | TaskStatus::Cancelled)
    }

    /// The run of that id.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.id == id).map(AsRef::as_ref)
    }

    /// The subtask of that id.
    pub fn subtask(&self, id: SubtaskId) -> Option<&Subtask> {
        self.subtasks.iter().find(|subtask| subtask.id == id)
    }

    /// Runs that have not ended.
    pub fn live_runs(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().map(AsRef::as_ref).filter(|run: &&Run| run.is_live())
    }

    /// Whether a live run plays `role` on `subtask_id`.
    pub fn is_worked_on(&self, role: Role, subtask_id: Option<SubtaskId>) -> bool {
        self.live_runs().any(|run| run.role == role && run.subtask_id == subtask_id)
    }

    /// The work there is to claim on it: the role it needs, and the first subtask in plan order for work on one chunk.
    pub fn ready_work(&self) -> Option<(Role, Option<SubtaskId>)> {
        let free = |role, subtask_id| (!self.is_worked_on(role, subtask_id)).then_some((role, subtask_id));
        match self.status {
            TaskStatus::Inbox if self.dispatched => free(Role::Planner, None),
            TaskStatus::Planning => free(Role::Planner, None),
            TaskStatus::Ready | TaskStatus::InFlight => self
                .subtasks
                .iter()
                .filter(|subtask| subtask.status == SubtaskStatus::Ready)
                .find_map(|subtask| free(Role::Coder, Some(subtask.id))),
            TaskStatus::Review => free(Role::Reviewer, None),
            _ => None,
        }
    }

    /// Whether every subtask is merged. False while there are none.
    pub fn all_subtasks_merged(&self) -> bool {
        !self.subtasks.is_empty() && self.subtasks.iter().all(|subtask| subtask.status == SubtaskStatus::Merged)
    }
}
