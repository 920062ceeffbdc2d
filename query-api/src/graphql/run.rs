//! Runs, iterations and output.

use async_graphql::{ComplexObject, Context, ID, SimpleObject};
use chrono::{DateTime, Utc};
use muster_read_store::query::{self, InProject};
use serde_json::Value;
use uuid::Uuid;

use super::context::loaders;
use super::enums::{Role, RunStatus};
use super::loaders::{IterationsOf, SessionOf, SubtaskOf, TaskOf};
use super::project::Session;
use super::records::{AgentResult, BuildError, IntoId, StrategyDecision, Usage, VerificationReport};
use super::task::{Subtask, Task};
use crate::fault::Result;

/// One agent working one task or subtask in one role.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Run {
    #[graphql(skip)]
    row: Keys,
    id: ID,
    project_id: ID,
    task_id: ID,
    /// Subtask, for work on one chunk.
    subtask_id: Option<ID>,
    role: Role,
    status: RunStatus,
    session_id: Option<ID>,
    /// 1 for the first try.
    attempt: i32,
    /// Whether its lease is granted and not yet released.
    lease_live: bool,
    lease_expires_at: Option<DateTime<Utc>>,
    /// Why its lease ended, for example `lease_expired`.
    release_reason: Option<String>,
    /// The iteration that started last; 0 before the first.
    iteration: i32,
    max_iterations: Option<i32>,
    /// How its agent is started, with the fields of the event `run.started`.
    harness_config: Option<Value>,
    branch: Option<String>,
    workspace_path: Option<String>,
    base_commit: Option<String>,
    progress_message: Option<String>,
    /// 0 to 100.
    progress_percent: Option<i16>,
    usage: Usage,
    duration_ms: Option<i64>,
    pr_url: Option<String>,
    error: Option<BuildError>,
    /// Whether the work is handed out again after it failed.
    will_retry: Option<bool>,
    queued_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

struct Keys {
    run: InProject,
    task: Uuid,
    subtask: Option<Uuid>,
    session: Option<Uuid>,
}

impl From<query::Run> for Run {
    fn from(row: query::Run) -> Self {
        Self {
            row: Keys {
                run: InProject { project_id: row.project_id, id: row.run_id },
                task: row.task_id,
                subtask: row.subtask_id,
                session: row.session_id,
            },
            id: row.run_id.into_id(),
            project_id: row.project_id.into_id(),
            task_id: row.task_id.into_id(),
            subtask_id: row.subtask_id.map(IntoId::into_id),
            role: row.role.0.into(),
            status: RunStatus::from_name(&row.status),
            session_id: row.session_id.map(IntoId::into_id),
            attempt: row.attempt,
            lease_live: row.lease_live,
            lease_expires_at: row.lease_expires_at,
            release_reason: row.release_reason.map(|reason| reason.0.as_str().to_owned()),
            iteration: row.iteration,
            max_iterations: row.max_iterations,
            harness_config: row.harness_config,
            branch: row.branch,
            workspace_path: row.workspace_path,
            base_commit: row.base_commit,
            progress_message: row.progress_message,
            progress_percent: row.progress_percent,
            usage: Usage {
                input_tokens: row.input_tokens,
                output_tokens: row.output_tokens,
                total_tokens: row.total_tokens,
                cost_usd: row.cost_usd,
            },
            duration_ms: row.duration_ms,
            pr_url: row.pr_url,
            error: row.error.map(Into::into),
            will_retry: row.will_retry,
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            updated_at: row.updated_at,
        }
    }
}

impl Keys {
    /// Something else of the run's project.
    const fn beside(&self, id: Uuid) -> InProject {
        InProject { id, ..self.run }
    }
}

#[ComplexObject]
impl Run {
    /// Its iterations, in order.
    #[graphql(complexity = "5 * child_complexity")]
    async fn iterations(&self, ctx: &Context<'_>) -> Result<Vec<Iteration>> {
        let rows = loaders(ctx)?.load_one(IterationsOf(self.row.run)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }

    /// Its task.
    async fn task(&self, ctx: &Context<'_>) -> Result<Option<Task>> {
        Ok(loaders(ctx)?.load_one(TaskOf(self.row.beside(self.row.task))).await?.map(Into::into))
    }

    /// Its subtask.
    async fn subtask(&self, ctx: &Context<'_>) -> Result<Option<Subtask>> {
        let Some(id) = self.row.subtask else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(SubtaskOf(self.row.beside(id))).await?.map(Into::into))
    }

    /// The session that claimed it.
    async fn session(&self, ctx: &Context<'_>) -> Result<Option<Session>> {
        let Some(id) = self.row.session else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(SessionOf(self.row.beside(id))).await?.map(Into::into))
    }
}

/// Agent, then verification, then a decision.
#[derive(SimpleObject)]
pub struct Iteration {
    /// From 1.
    number: i32,
    /// What the iteration before taught.
    feedback: Option<String>,
    started_at: DateTime<Utc>,
    agent_started_at: Option<DateTime<Utc>>,
    /// The command line that started the agent.
    agent_command: Option<String>,
    agent_success: Option<bool>,
    agent_result: Option<AgentResult>,
    agent_error: Option<BuildError>,
    /// Where the agent's whole result is kept.
    result_file: Option<String>,
    verification_started_at: Option<DateTime<Utc>>,
    /// Null when verification did not run.
    verification_passed: Option<bool>,
    verification_report: Option<VerificationReport>,
    /// Where the whole report is kept.
    report_file: Option<String>,
    decision: Option<StrategyDecision>,
    duration_ms: Option<i64>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<query::Iteration> for Iteration {
    fn from(row: query::Iteration) -> Self {
        Self {
            number: row.iteration,
            feedback: row.feedback,
            started_at: row.started_at,
            agent_started_at: row.agent_started_at,
            agent_command: row.agent_command,
            agent_success: row.agent_success,
            agent_result: row.agent_result.map(Into::into),
            agent_error: row.agent_error.map(Into::into),
            result_file: row.result_file,
            verification_started_at: row.verification_started_at,
            verification_passed: row.verification_passed,
            verification_report: row.verification_report.map(Into::into),
            report_file: row.report_file,
            decision: row.decision.map(Into::into),
            duration_ms: row.duration_ms,
            ended_at: row.ended_at,
        }
    }
}

/// One line of agent output.
#[derive(SimpleObject)]
pub struct OutputLine {
    run_id: ID,
    task_id: ID,
    /// From 1, gapless within the run.
    line_number: i64,
    written_at: DateTime<Utc>,
    /// `stdout`, `stderr`, `agent` or `system`.
    stream: String,
    /// The line without its end.
    content: String,
}

impl From<query::Line> for OutputLine {
    fn from(row: query::Line) -> Self {
        Self {
            run_id: row.run_id.into_id(),
            task_id: row.task_id.into_id(),
            line_number: row.line_number,
            written_at: row.written_at,
            stream: row.stream,
            content: row.content,
        }
    }
}

/// Part of a run's output.
#[derive(SimpleObject)]
pub struct OutputPage {
    /// The lines, in order.
    pub(super) nodes: Vec<OutputLine>,
    /// Whether there are more behind the last one now.
    pub(super) has_next_page: bool,
}
