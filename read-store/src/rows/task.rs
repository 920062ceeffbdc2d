//! Rows of a task: its card, what it waits for, its subtasks, artifacts and questions.

use muster_domain::id::{ArtifactId, ProjectId, QuestionId, RunId, SessionId, SubtaskId, TaskId};
use muster_domain::model::{
    AcceptanceCriterion, ArtifactKind, BuildError, Complexity, Evidence, PlanChunk, Priority, SubtaskStatus, TaskStatus,
};
use muster_domain::time::Timestamp;

use crate::table::table;

table! {
    /// A card.
    "tasks", key TaskKey(task_id: TaskId, project_id: ProjectId),
    struct TaskRow {
        task_id: TaskId,
        project_id: ProjectId,
        title: String,
        description: String,
        acceptance_criteria: Vec<AcceptanceCriterion>,
        priority: Priority,
        priority_rank: u8,
        complexity: Complexity,
        status: TaskStatus,
        status_reason: Option<String>,
        status_changed_at: Timestamp,
        created_by: String,
        interactive: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
        dispatched_at: Option<Timestamp>,
        started_at: Option<Timestamp>,
        finished_at: Option<Timestamp>,
        sequence: u64,
        position: u64,
        dispatched: bool,
        plan: Option<String>,
        plan_chunks: Vec<PlanChunk>,
        plan_digest: Option<String>,
        plan_state: Option<String>,
        plan_run_id: Option<RunId>,
        plan_decided_by: Option<String>,
        plan_reject_reason: Option<String>,
        estimated_cost_usd: Option<f64>,
        current_run_id: Option<RunId>,
        assigned_session_id: Option<SessionId>,
        subtask_count: u32,
        review_rounds: u32,
        retry_count: u32,
        progress_message: Option<String>,
        progress_percent: Option<u32>,
        evidence: Vec<Evidence>,
        error: Option<BuildError>,
        branch: Option<String>,
        merge_commit: Option<String>,
        pr_url: Option<String>,
        input_tokens: Option<u64>,
        output_tokens: Option<u64>,
        total_tokens: Option<u64>,
        cost_usd: Option<f64>,
    }
}

table! {
    /// That one task waits for another.
    "task_dependencies", key DependencyKey(task_id: TaskId, project_id: ProjectId, blocked_by: TaskId),
    struct DependencyRow {
        task_id: TaskId,
        blocked_by: TaskId,
        project_id: ProjectId,
    }
}

table! {
    /// A chunk of an approved plan.
    "subtasks", key SubtaskKey(subtask_id: SubtaskId, project_id: ProjectId),
    struct SubtaskRow {
        subtask_id: SubtaskId,
        project_id: ProjectId,
        task_id: TaskId,
        ordinal: u32,
        title: String,
        description: String,
        depends_on: Vec<SubtaskId>,
        status: SubtaskStatus,
        run_id: Option<RunId>,
        commit: Option<String>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

table! {
    /// Something a run left behind.
    "artifacts", key ArtifactKey(artifact_id: ArtifactId, project_id: ProjectId, task_id: TaskId),
    struct ArtifactRow {
        artifact_id: ArtifactId,
        project_id: ProjectId,
        task_id: TaskId,
        run_id: Option<RunId>,
        kind: ArtifactKind,
        path: String,
        description: String,
        size_bytes: Option<u64>,
        sha256: Option<String>,
        added_at: Timestamp,
    }
}

table! {
    /// What an agent asked, and the answer.
    "questions", key QuestionKey(question_id: QuestionId, project_id: ProjectId, task_id: TaskId),
    struct QuestionRow {
        question_id: QuestionId,
        project_id: ProjectId,
        task_id: TaskId,
        run_id: Option<RunId>,
        question: String,
        options: Vec<String>,
        asked_at: Timestamp,
        answer: Option<String>,
        answered_by: Option<String>,
        answered_at: Option<Timestamp>,
    }
}
