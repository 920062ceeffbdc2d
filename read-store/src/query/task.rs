//! Tasks by id, and what they wait for.

use chrono::{DateTime, Utc};
use muster_domain::id::TaskId;
use muster_domain::model::{AcceptanceCriterion, BuildError, Complexity, Evidence, PlanChunk, Priority, TaskStatus};
use sqlx::FromRow;
use uuid::Uuid;

use super::in_project::columns;
use super::{InProject, Text};
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

/// That one task waits for another of its project.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Dependency {
    pub task_id: Uuid,
    pub project_id: Uuid,
    pub blocked_by: Uuid,
}

impl ReadStore {
    /// The task of that id that `user` may see: of a project they are a member of, or of any when there is no user. The
    /// oldest, where several projects have one of that id.
    pub async fn task_seen_by(&self, user: Option<&str>, task_id: TaskId) -> Result<Option<Task>, Error> {
        sqlx::query_as(
            "select * from tasks t where task_id = $1 and ($2::text is null
                 or exists (select 1 from project_members m where m.project_id = t.project_id and m.user_id = $2))
             order by created_at, project_id limit 1",
        )
        .bind(task_id.0)
        .bind(user)
        .fetch_optional(self.pool())
        .await
        .doing("tasks")
    }

    /// These tasks; one that is not there has no row.
    pub async fn tasks_in(&self, tasks: &[InProject]) -> Result<Vec<Task>, Error> {
        let (projects, ids) = columns(tasks);
        sqlx::query_as(
            "select * from tasks where task_id = any($2)
                 and (project_id, task_id) in (select * from unnest($1::uuid[], $2::uuid[]))",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("tasks")
    }

    /// What these tasks wait for.
    pub async fn blockers_of(&self, tasks: &[InProject]) -> Result<Vec<Dependency>, Error> {
        let (projects, ids) = columns(tasks);
        sqlx::query_as(
            "select * from task_dependencies where task_id = any($2)
                 and (project_id, task_id) in (select * from unnest($1::uuid[], $2::uuid[]))
             order by task_id, blocked_by",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("task_dependencies")
    }

    /// What waits for these tasks.
    pub async fn blocked_by(&self, tasks: &[InProject]) -> Result<Vec<Dependency>, Error> {
        let (projects, ids) = columns(tasks);
        sqlx::query_as(
            "select * from task_dependencies where blocked_by = any($2)
                 and (project_id, blocked_by) in (select * from unnest($1::uuid[], $2::uuid[]))
             order by blocked_by, task_id",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("task_dependencies")
    }
}
