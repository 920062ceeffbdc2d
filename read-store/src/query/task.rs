//! Tasks by id, and what they wait for.

use chrono::{DateTime, Utc};
use muster_domain::model::{AcceptanceCriterion, BuildError, Complexity, Evidence, PlanChunk, Priority, TaskStatus};
use sqlx::FromRow;
use uuid::Uuid;

use super::Text;
use crate::error::{Doing, Error};
use crate::store::ReadStore;

/// A card, as the board and its detail page show it.
#[derive(Debug, Clone, FromRow)]
pub struct Task {
    pub task_id: Uuid,
    pub project_id: Uuid,
    pub title: String,
    pub description: String,
    #[sqlx(json)]
    pub acceptance_criteria: Vec<AcceptanceCriterion>,
    pub priority: Text<Priority>,
    pub priority_rank: i16,
    pub complexity: Text<Complexity>,
    pub status: Text<TaskStatus>,
    pub status_reason: Option<String>,
    pub status_changed_at: DateTime<Utc>,
    pub created_by: String,
    pub interactive: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub dispatched_at: Option<DateTime<Utc>>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Of its last event.
    pub sequence: i64,
    /// Of its last event.
    pub position: i64,
    pub dispatched: bool,
    /// Markdown.
    pub plan: Option<String>,
    #[sqlx(json)]
    pub plan_chunks: Vec<PlanChunk>,
    pub plan_digest: Option<String>,
    /// `ready`, `approved` or `rejected`; none before the first plan.
    pub plan_state: Option<String>,
    pub plan_run_id: Option<Uuid>,
    pub plan_decided_by: Option<String>,
    pub plan_reject_reason: Option<String>,
    pub estimated_cost_usd: Option<f64>,
    pub current_run_id: Option<Uuid>,
    pub assigned_session_id: Option<Uuid>,
    pub subtask_count: i32,
    pub review_rounds: i32,
    pub retry_count: i32,
    pub progress_message: Option<String>,
    pub progress_percent: Option<i16>,
    #[sqlx(json)]
    pub evidence: Vec<Evidence>,
    #[sqlx(json(nullable))]
    pub error: Option<BuildError>,
    pub branch: Option<String>,
    pub merge_commit: Option<String>,
    pub pr_url: Option<String>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub total_tokens: Option<i64>,
    pub cost_usd: Option<f64>,
}

/// That one task waits for another.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Dependency {
    pub task_id: Uuid,
    pub blocked_by: Uuid,
}

impl ReadStore {
    /// The tasks of these ids; an id without a task has no row.
    pub async fn tasks_by_id(&self, ids: &[Uuid]) -> Result<Vec<Task>, Error> {
        sqlx::query_as("select * from tasks where task_id = any($1)")
            .bind(ids)
            .fetch_all(self.pool())
            .await
            .doing("tasks")
    }

    /// What these tasks wait for.
    pub async fn blockers_of(&self, tasks: &[Uuid]) -> Result<Vec<Dependency>, Error> {
        sqlx::query_as(
            "select task_id, blocked_by from task_dependencies where task_id = any($1) order by task_id, blocked_by",
        )
        .bind(tasks)
        .fetch_all(self.pool())
        .await
        .doing("task_dependencies")
    }

    /// What waits for these tasks.
    pub async fn blocked_by(&self, tasks: &[Uuid]) -> Result<Vec<Dependency>, Error> {
        sqlx::query_as(
            "select task_id, blocked_by from task_dependencies where blocked_by = any($1) order by blocked_by, task_id",
        )
        .bind(tasks)
        .fetch_all(self.pool())
        .await
        .doing("task_dependencies")
    }
}
