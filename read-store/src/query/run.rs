//! Runs and their iterations.

use chrono::{DateTime, Utc};
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::model::{AgentResult, BuildError, ReleaseReason, Role, StrategyDecision, VerificationReport};
use muster_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::in_project::columns;
use super::{InProject, Page, Slice, Text};
use crate::error::{Doing, Error};
use crate::store::ReadStore;

/// One agent working one task or subtask in one role.
#[derive(Debug, Clone, FromRow)]
pub struct Run {
    pub run_id: Uuid,
    pub project_id: Uuid,
    pub task_id: Uuid,
    pub subtask_id: Option<Uuid>,
    pub role: Text<Role>,
    /// `queued`, `running`, `succeeded` or `failed`.
    pub status: String,
    pub session_id: Option<Uuid>,
    pub fencing_token: Option<i64>,
    pub attempt: i32,
    pub lease_live: bool,
    pub lease_expires_at: Option<DateTime<Utc>>,
    pub release_reason: Option<Text<ReleaseReason>>,
    /// The last one that started; 0 before the first.
    pub iteration: i32,
    pub max_iterations: Option<i32>,
    pub harness_config: Option<serde_json::Value>,
    pub branch: Option<String>,
    pub workspace_path: Option<String>,
    pub workspace_live: bool,
    pub base_commit: Option<String>,
    pub pid: Option<i64>,
    pub progress_message: Option<String>,
    pub progress_percent: Option<i16>,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub total_tokens: Option<i64>,
    pub cost_usd: Option<f64>,
    pub duration_ms: Option<i64>,
    pub pr_url: Option<String>,
    #[sqlx(json(nullable))]
    pub error: Option<BuildError>,
    pub will_retry: Option<bool>,
    pub queued_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
}

/// Agent, then verification, then decision.
#[derive(Debug, Clone, FromRow)]
pub struct Iteration {
    pub run_id: Uuid,
    pub project_id: Uuid,
    /// From 1.
    pub iteration: i32,
    pub feedback: Option<String>,
    pub started_at: DateTime<Utc>,
    pub agent_started_at: Option<DateTime<Utc>>,
    pub agent_command: Option<String>,
    pub agent_success: Option<bool>,
    #[sqlx(json(nullable))]
    pub agent_result: Option<AgentResult>,
    #[sqlx(json(nullable))]
    pub agent_error: Option<BuildError>,
    pub result_file: Option<String>,
    pub verification_started_at: Option<DateTime<Utc>>,
    pub verification_passed: Option<bool>,
    #[sqlx(json(nullable))]
    pub verification_report: Option<VerificationReport>,
    pub report_file: Option<String>,
    #[sqlx(json(nullable))]
    pub decision: Option<StrategyDecision>,
    pub duration_ms: Option<i64>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// Whose runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsOf {
    /// A project's.
    Project(ProjectId),
    /// A task's.
    Task(ProjectId, TaskId),
}

/// A run's place among runs, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunKey {
    /// When it was queued.
    pub queued_at: Timestamp,
    /// Its id.
    pub run_id: RunId,
}

impl RunKey {
    /// Where `run` stands.
    pub fn of(run: &Run) -> Self {
        Self { queued_at: run.queued_at.into(), run_id: RunId(run.run_id) }
    }
}

impl ReadStore {
    /// One page of runs, newest first; only those that have not ended, or only those that have, when `active` says.
    pub async fn run_list(&self, of: RunsOf, active: Option<bool>, page: &Page<RunKey>) -> Result<Slice<Run>, Error> {
        let mut query = QueryBuilder::new("select * from runs where ");
        match of {
            RunsOf::Project(id) => query.push("project_id = ").push_bind(id.0),
            RunsOf::Task(project_id, task_id) => {
                query.push("task_id = ").push_bind(task_id.0).push(" and project_id = ").push_bind(project_id.0)
            }
        };
        match active {
            Some(true) => query.push(" and status in ('queued', 'running')"),
            Some(false) => query.push(" and status not in ('queued', 'running')"),
            None => &mut query,
        };
        for (key, than) in [(&page.after, "<"), (&page.before, ">")] {
            if let Some(key) = key {
                query.push(format_args!(" and (queued_at, run_id) {than} (")).push_bind(key.queued_at.to_datetime());
                query.push(", ").push_bind(key.run_id.0).push(")");
            }
        }
        query.push(if page.from_end { " order by queued_at, run_id" } else { " order by queued_at desc, run_id desc" });
        query.push(" limit ").push_bind(page.probe());
        let rows = query.build_query_as().fetch_all(self.pool()).await.doing("runs")?;
        Ok(Slice::of(rows, page))
    }

    /// The runs of these tasks, oldest first.
    pub async fn runs_of(&self, tasks: &[InProject]) -> Result<Vec<Run>, Error> {
        let (projects, ids) = columns(tasks);
        sqlx::query_as(
            "select * from runs where task_id = any($2)
                 and (project_id, task_id) in (select * from unnest($1::uuid[], $2::uuid[]))
             order by task_id, queued_at, run_id",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("runs")
    }

    /// The runs of these projects that have not ended, oldest first.
    pub async fn active_runs_of(&self, projects: &[Uuid]) -> Result<Vec<Run>, Error> {
        sqlx::query_as(
            "select * from runs where project_id = any($1) and status in ('queued', 'running')
             order by project_id, queued_at, run_id",
        )
        .bind(projects)
        .fetch_all(self.pool())
        .await
        .doing("runs")
    }

    /// The run of that id that `user` may see: of a project they are a member of, or of any when there is no user. The
    /// oldest, where several projects have one of that id.
    pub async fn run_seen_by(&self, user: Option<&str>, run_id: RunId) -> Result<Option<Run>, Error> {
        sqlx::query_as(
            "select * from runs r where run_id = $1 and ($2::text is null
                 or exists (select 1 from project_members m where m.project_id = r.project_id and m.user_id = $2))
             order by queued_at, project_id limit 1",
        )
        .bind(run_id.0)
        .bind(user)
        .fetch_optional(self.pool())
        .await
        .doing("runs")
    }

    /// These runs; one that is not there has no row.
    pub async fn runs_in(&self, runs: &[InProject]) -> Result<Vec<Run>, Error> {
        let (projects, ids) = columns(runs);
        sqlx::query_as(
            "select * from runs where run_id = any($2)
                 and (project_id, run_id) in (select * from unnest($1::uuid[], $2::uuid[]))",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("runs")
    }

    /// The iterations of these runs, in order.
    pub async fn iterations_of(&self, runs: &[InProject]) -> Result<Vec<Iteration>, Error> {
        let (projects, ids) = columns(runs);
        sqlx::query_as(
            "select * from iterations where run_id = any($2)
                 and (project_id, run_id) in (select * from unnest($1::uuid[], $2::uuid[]))
             order by run_id, iteration",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("iterations")
    }
}
