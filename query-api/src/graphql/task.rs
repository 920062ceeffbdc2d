//! Tasks and what belongs to them.

use async_graphql::{ComplexObject, Context, ID, InputObject, SimpleObject};
use chrono::{DateTime, Utc};
use muster_read_store::query::{self, InProject};
use uuid::Uuid;

use super::context::loaders;
use super::enums::{ArtifactKind, Complexity, PlanState, Priority, SubtaskStatus, TaskStatus};
use super::loaders::{
    ArtifactsOf, BlockedBy, BlockersOf, ProjectOf, QuestionsOf, RunOf, RunsOfTask, SessionOf, SubtasksOf, TaskOf,
};
use super::project::{Project, Session};
use super::records::{AcceptanceCriterion, BuildError, Evidence, IntoId, PlanChunk, Usage, ids};
use super::run::Run;
use crate::fault::Result;

/// Which tasks are wanted. What is left out matches every task.
#[derive(Debug, Default, InputObject)]
pub struct TaskFilter {
    /// In one of these statuses.
    status: Option<Vec<TaskStatus>>,
    /// Of one of these priorities.
    priority: Option<Vec<Priority>>,
    /// With this text in title or description, whatever its case.
    text: Option<String>,
    /// Whether a session works on it.
    assigned: Option<bool>,
    /// Asked for by this user.
    created_by: Option<String>,
}

impl From<TaskFilter> for query::TaskFilter {
    fn from(filter: TaskFilter) -> Self {
        Self {
            status: filter.status.map(|status| status.into_iter().map(Into::into).collect()),
            priority: filter.priority.map(|priority| priority.into_iter().map(Into::into).collect()),
            text: filter.text,
            assigned: filter.assigned,
            created_by: filter.created_by,
        }
    }
}

/// A plan and what was decided about it.
#[derive(SimpleObject)]
pub struct Plan {
    /// The plan, as Markdown.
    text: String,
    /// Its chunks, in order.
    chunks: Vec<PlanChunk>,
    /// SHA-256 of plan and chunks in hexadecimal. Approve with it, so that what is approved is what was shown.
    digest: String,
    state: PlanState,
    /// Run that wrote it.
    run_id: Option<ID>,
    /// Who decided.
    decided_by: Option<String>,
    /// Why it was rejected.
    reject_reason: Option<String>,
    /// What it may cost in US dollars; null when unknown.
    estimated_cost_usd: Option<f64>,
}

/// A card.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Task {
    #[graphql(skip)]
    key: InProject,
    #[graphql(skip)]
    run: Option<Uuid>,
    #[graphql(skip)]
    session: Option<Uuid>,
    id: ID,
    project_id: ID,
    title: String,
    description: String,
    /// What must be shown before it is done.
    acceptance_criteria: Vec<AcceptanceCriterion>,
    priority: Priority,
    complexity: Complexity,
    status: TaskStatus,
    /// Why it is where it is, when an event said so.
    status_reason: Option<String>,
    status_changed_at: DateTime<Utc>,
    /// Who asked for it.
    created_by: String,
    /// Whether a person answers questions on it.
    interactive: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    dispatched_at: Option<DateTime<Utc>>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// Sequence of its last event. Give it as `expectedSequence` to change only what was seen.
    sequence: i64,
    /// Position of its last event.
    position: i64,
    /// Whether it was released to the agents.
    dispatched: bool,
    /// The newest plan.
    plan: Option<Plan>,
    current_run_id: Option<ID>,
    assigned_session_id: Option<ID>,
    /// Subtasks of its plan.
    subtask_count: i32,
    /// Reviews that asked for changes since the last retry.
    review_rounds: i32,
    /// Retries people asked for.
    retry_count: i32,
    progress_message: Option<String>,
    /// 0 to 100.
    progress_percent: Option<i16>,
    /// What shows that it is done.
    evidence: Vec<Evidence>,
    /// Why it failed.
    error: Option<BuildError>,
    /// Branch that was merged.
    branch: Option<String>,
    /// Commit it is merged in.
    merge_commit: Option<String>,
    /// Pull request, where one was opened.
    pr_url: Option<String>,
    /// What all its runs used.
    usage: Usage,
}

impl From<query::Task> for Task {
    fn from(row: query::Task) -> Self {
        let chunks = row.plan_chunks;
        let plan = row.plan.zip(row.plan_digest).map(|(text, digest)| Plan {
            text,
            chunks: chunks.into_iter().map(Into::into).collect(),
            digest,
            state: PlanState::from_name(row.plan_state.as_deref().unwrap_or_default()),
            run_id: row.plan_run_id.map(IntoId::into_id),
            decided_by: row.plan_decided_by,
            reject_reason: row.plan_reject_reason,
            estimated_cost_usd: row.estimated_cost_usd,
        });
        Self {
            key: InProject { project_id: row.project_id, id: row.task_id },
            run: row.current_run_id,
            session: row.assigned_session_id,
            id: row.task_id.into_id(),
            project_id: row.project_id.into_id(),
            title: row.title,
            description: row.description,
            acceptance_criteria: row.acceptance_criteria.into_iter().map(Into::into).collect(),
            priority: row.priority.0.into(),
            complexity: row.complexity.0.into(),
            status: row.status.0.into(),
            status_reason: row.status_reason,
            status_changed_at: row.status_changed_at,
            created_by: row.created_by,
            interactive: row.interactive,
            created_at: row.created_at,
            updated_at: row.updated_at,
            dispatched_at: row.dispatched_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            sequence: row.sequence,
            position: row.position,
            dispatched: row.dispatched,
            plan,
            current_run_id: row.current_run_id.map(IntoId::into_id),
            assigned_session_id: row.assigned_session_id.map(IntoId::into_id),
            subtask_count: row.subtask_count,
            review_rounds: row.review_rounds,
            retry_count: row.retry_count,
            progress_message: row.progress_message,
            progress_percent: row.progress_percent,
            evidence: row.evidence.into_iter().map(Into::into).collect(),
            error: row.error.map(Into::into),
            branch: row.branch,
            merge_commit: row.merge_commit,
            pr_url: row.pr_url,
            usage: Usage {
                input_tokens: row.input_tokens,
                output_tokens: row.output_tokens,
                total_tokens: row.total_tokens,
                cost_usd: row.cost_usd,
            },
        }
    }
}

#[ComplexObject]
impl Task {
    /// Its project.
    async fn project(&self, ctx: &Context<'_>) -> Result<Option<Project>> {
        Ok(loaders(ctx)?.load_one(ProjectOf(self.key.project_id)).await?.map(Into::into))
    }

    /// Its subtasks, in plan order.
    #[graphql(complexity = "5 * child_complexity")]
    async fn subtasks(&self, ctx: &Context<'_>) -> Result<Vec<Subtask>> {
        let rows = loaders(ctx)?.load_one(SubtasksOf(self.key)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }

    /// Its runs, oldest first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn runs(&self, ctx: &Context<'_>) -> Result<Vec<Run>> {
        let rows = loaders(ctx)?.load_one(RunsOfTask(self.key)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }

    /// The run that was claimed last, while its lease lives.
    async fn current_run(&self, ctx: &Context<'_>) -> Result<Option<Run>> {
        let Some(id) = self.run else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(RunOf(InProject { id, ..self.key })).await?.map(Into::into))
    }

    /// The session that works on it.
    async fn assigned_session(&self, ctx: &Context<'_>) -> Result<Option<Session>> {
        let Some(id) = self.session else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(SessionOf(InProject { id, ..self.key })).await?.map(Into::into))
    }

    /// Tasks that must be done first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn blocked_by(&self, ctx: &Context<'_>) -> Result<Vec<Task>> {
        let rows = loaders(ctx)?.load_one(BlockersOf(self.key)).await?;
        others(ctx, self.key, rows.into_iter().flatten().map(|row| row.blocked_by)).await
    }

    /// Tasks that wait for this one.
    #[graphql(complexity = "5 * child_complexity")]
    async fn blocks(&self, ctx: &Context<'_>) -> Result<Vec<Task>> {
        let rows = loaders(ctx)?.load_one(BlockedBy(self.key)).await?;
        others(ctx, self.key, rows.into_iter().flatten().map(|row| row.task_id)).await
    }

    /// What its runs and people left behind, oldest first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn artifacts(&self, ctx: &Context<'_>) -> Result<Vec<Artifact>> {
        let rows = loaders(ctx)?.load_one(ArtifactsOf(self.key)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }

    /// What its agents asked, oldest first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn questions(&self, ctx: &Context<'_>) -> Result<Vec<Question>> {
        let rows = loaders(ctx)?.load_one(QuestionsOf(self.key)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }
}

/// Other tasks of a task's project.
async fn others(ctx: &Context<'_>, of: InProject, wanted: impl Iterator<Item = Uuid>) -> Result<Vec<Task>> {
    let wanted: Vec<_> = wanted.map(|id| TaskOf(InProject { id, ..of })).collect();
    let mut found = loaders(ctx)?.load_many(wanted.iter().copied()).await?;
    Ok(wanted.iter().filter_map(|key| found.remove(key)).map(Into::into).collect())
}

/// A chunk of an approved plan.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Subtask {
    #[graphql(skip)]
    run: Option<InProject>,
    id: ID,
    task_id: ID,
    /// Place in its task, from 0.
    ordinal: i32,
    title: String,
    description: String,
    /// Subtasks that must be merged first.
    depends_on: Vec<ID>,
    status: SubtaskStatus,
    run_id: Option<ID>,
    /// Commit that holds its work.
    commit: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<query::Subtask> for Subtask {
    fn from(row: query::Subtask) -> Self {
        Self {
            run: row.run_id.map(|id| InProject { project_id: row.project_id, id }),
            id: row.subtask_id.into_id(),
            task_id: row.task_id.into_id(),
            ordinal: row.ordinal,
            title: row.title,
            description: row.description,
            depends_on: ids(row.depends_on),
            status: row.status.0.into(),
            run_id: row.run_id.map(IntoId::into_id),
            commit: row.commit,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[ComplexObject]
impl Subtask {
    /// The last run that worked on it.
    async fn run(&self, ctx: &Context<'_>) -> Result<Option<Run>> {
        let Some(id) = self.run else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(RunOf(id)).await?.map(Into::into))
    }
}

/// Something a run or a person left behind.
#[derive(SimpleObject)]
pub struct Artifact {
    id: ID,
    task_id: ID,
    run_id: Option<ID>,
    kind: ArtifactKind,
    /// Path or URL.
    path: String,
    description: String,
    /// Its size in bytes, where it is a file.
    size_bytes: Option<i64>,
    /// SHA-256 of its content in hexadecimal, where it is a file.
    sha256: Option<String>,
    added_at: DateTime<Utc>,
}

impl From<query::Artifact> for Artifact {
    fn from(row: query::Artifact) -> Self {
        Self {
            id: row.artifact_id.into_id(),
            task_id: row.task_id.into_id(),
            run_id: row.run_id.map(IntoId::into_id),
            kind: row.kind.0.into(),
            path: row.path,
            description: row.description,
            size_bytes: row.size_bytes,
            sha256: row.sha256,
            added_at: row.added_at,
        }
    }
}

/// What an agent asked, and the answer.
#[derive(SimpleObject)]
pub struct Question {
    id: ID,
    task_id: ID,
    run_id: Option<ID>,
    #[graphql(name = "question")]
    text: String,
    /// Answers it offers.
    options: Vec<String>,
    asked_at: DateTime<Utc>,
    answer: Option<String>,
    answered_by: Option<String>,
    answered_at: Option<DateTime<Utc>>,
}

impl From<query::Question> for Question {
    fn from(row: query::Question) -> Self {
        Self {
            id: row.question_id.into_id(),
            task_id: row.task_id.into_id(),
            run_id: row.run_id.map(IntoId::into_id),
            text: row.question,
            options: row.options,
            asked_at: row.asked_at,
            answer: row.answer,
            answered_by: row.answered_by,
            answered_at: row.answered_at,
        }
    }
}
