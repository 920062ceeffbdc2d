//! What can be asked. Every query takes `minPosition`, so that a client reads its own writes.

use async_graphql::{Context, ID, Object, SimpleObject};
use muster_domain::id::{ProjectId, TaskId};
use muster_read_store::query::{HistoryOf, InProject, RunKey, RunsOf, TaskKey};

use super::connection::{PageArguments, Rows, cost};
use super::context::{caller, id, loaders, maybe_id, services};
use super::enums::TaskOrder;
use super::event::EventPage;
use super::loaders::{ArtifactsOf, ProjectOf};
use super::project::{Project, Session, runs, tasks};
use super::run::{OutputPage, Run};
use super::task::{Artifact, Task, TaskFilter};
use super::time_travel::{Difference, TaskSnapshot, differences};
use crate::fault::{Fault, Result};

/// Queries. A project the caller is no member of looks like one that does not exist. Every error has `extensions.code`,
/// the code that REST answers with in upper case, and `extensions.status`.
pub struct Query;

/// Who asks.
#[derive(SimpleObject)]
pub struct Viewer {
    user: String,
    /// Whether they see every project.
    admin: bool,
}

#[Object]
impl Query {
    /// Who asks.
    #[expect(clippy::unused_async, reason = "every resolver is async")]
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        let caller = caller(ctx)?;
        Ok(Viewer { user: caller.user().to_owned(), admin: caller.principal.admin })
    }

    /// The caller's projects, oldest first; all of them for an admin.
    #[graphql(complexity = "5 * child_complexity")]
    async fn projects(&self, ctx: &Context<'_>) -> Result<Vec<Project>> {
        let caller = caller(ctx)?;
        let user = (!caller.principal.admin).then(|| caller.user());
        Ok(services(ctx)?.store.projects(user).await?.into_iter().map(Into::into).collect())
    }

    /// A project; null when there is none that the caller may see.
    async fn project(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "id")] project_id: ID,
        #[graphql(desc = "Wait, for a limited time, until the project is at this position.")] min_position: Option<u64>,
    ) -> Result<Option<Project>> {
        let project_id: ProjectId = id("id", &project_id)?;
        if !services(ctx)?.access.enter(caller(ctx)?, project_id, min_position).await? {
            return Ok(None);
        }
        Ok(loaders(ctx)?.load_one(ProjectOf(project_id.0)).await?.map(Into::into))
    }

    /// A task; null when there is none that the caller may see.
    async fn task(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "id")] task_id: ID,
        min_position: Option<u64>,
    ) -> Result<Option<Task>> {
        let task_id = id("id", &task_id)?;
        let task = services(ctx)?.access.task(caller(ctx)?, task_id, min_position).await?;
        Ok(task.map(Into::into))
    }

    /// A project's tasks.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection, as GraphQL names them")]
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        project_id: ID,
        filter: Option<TaskFilter>,
        #[graphql(default_with = "TaskOrder::Priority")] order_by: TaskOrder,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<u64>,
    ) -> Result<Rows<TaskKey, Task>> {
        let project_id = id("projectId", &project_id)?;
        services(ctx)?.access.require(caller(ctx)?, project_id, min_position).await?;
        tasks(ctx, project_id, filter, order_by, &PageArguments { first, after, last, before }).await
    }

    /// A run; null when there is none that the caller may see.
    async fn run(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "id")] run_id: ID,
        min_position: Option<u64>,
    ) -> Result<Option<Run>> {
        let run = services(ctx)?.access.run(caller(ctx)?, id("id", &run_id)?, min_position).await?;
        Ok(run.map(Into::into))
    }

    /// Runs of a task or of a project, newest first. Give one of `taskId` and `projectId`.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection, as GraphQL names them")]
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        task_id: Option<ID>,
        project_id: Option<ID>,
        #[graphql(desc = "Only those that have not ended, or only those that have.")] active: Option<bool>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        min_position: Option<u64>,
    ) -> Result<Rows<RunKey, Run>> {
        let of = match scope(ctx, project_id.as_ref(), task_id.as_ref(), min_position).await? {
            Scope::Project(project_id) => RunsOf::Project(project_id),
            Scope::Task(project_id, task_id) => RunsOf::Task(project_id, task_id),
        };
        runs(ctx, of, active, &PageArguments { first, after, last, before }).await
    }

    /// A project's newest agent sessions, newest first.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn sessions(
        &self,
        ctx: &Context<'_>,
        project_id: ID,
        first: Option<i32>,
        min_position: Option<u64>,
    ) -> Result<Vec<Session>> {
        let services = services(ctx)?;
        let project_id = id("projectId", &project_id)?;
        services.access.require(caller(ctx)?, project_id, min_position).await?;
        let rows = services.store.sessions_of(project_id, services.page.limit("first", first)?).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// What a task's runs and people left behind, oldest first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn artifacts(&self, ctx: &Context<'_>, task_id: ID, min_position: Option<u64>) -> Result<Vec<Artifact>> {
        let task_id: TaskId = id("taskId", &task_id)?;
        let task = services(ctx)?.access.require_task(caller(ctx)?, task_id, min_position).await?;
        let key = InProject { project_id: task.project_id, id: task.task_id };
        let rows = loaders(ctx)?.load_one(ArtifactsOf(key)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }

    /// Events in order. Give one of `projectId` and `taskId`; `after` is a position of the project or a sequence of the
    /// task, and 0 when left out.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn event_history(
        &self,
        ctx: &Context<'_>,
        project_id: Option<ID>,
        task_id: Option<ID>,
        after: Option<u64>,
        first: Option<i32>,
        min_position: Option<u64>,
    ) -> Result<EventPage> {
        let services = services(ctx)?;
        let limit = services.page.limit("first", first)?;
        let after = after.unwrap_or(0);
        let of = match scope(ctx, project_id.as_ref(), task_id.as_ref(), min_position).await? {
            Scope::Project(project_id) => HistoryOf::Project { project_id, after },
            Scope::Task(project_id, task_id) => HistoryOf::Task { project_id, task_id, after },
        };
        Ok(services.store.history(of, limit).await?.into())
    }

    /// A task as it was right after its event `sequence`; null when it has no such event.
    #[graphql(complexity = "20 + child_complexity")]
    async fn task_at(
        &self,
        ctx: &Context<'_>,
        task_id: ID,
        sequence: u64,
        min_position: Option<u64>,
    ) -> Result<Option<TaskSnapshot>> {
        let services = services(ctx)?;
        let task_id = id("taskId", &task_id)?;
        let task = services.access.require_task(caller(ctx)?, task_id, min_position).await?;
        let project_id = ProjectId(task.project_id);
        services.store.task_at(project_id, task_id, sequence).await?.as_ref().map(TaskSnapshot::of).transpose()
    }

    /// What changed in a task between two of its events; null when it has no such events.
    #[graphql(complexity = "40 + child_complexity")]
    async fn task_diff(
        &self,
        ctx: &Context<'_>,
        task_id: ID,
        from: u64,
        to: u64,
        min_position: Option<u64>,
    ) -> Result<Option<Vec<Difference>>> {
        let services = services(ctx)?;
        let task_id = id("taskId", &task_id)?;
        let task = services.access.require_task(caller(ctx)?, task_id, min_position).await?;
        let project_id = ProjectId(task.project_id);
        let before = services.store.task_at(project_id, task_id, from).await?;
        let after = services.store.task_at(project_id, task_id, to).await?;
        before.zip(after).map(|(before, after)| differences(&before, &after)).transpose()
    }

    /// Lines that a run's agent wrote, behind line `after` (0 when left out).
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn agent_output(
        &self,
        ctx: &Context<'_>,
        run_id: ID,
        after: Option<u64>,
        first: Option<i32>,
        min_position: Option<u64>,
    ) -> Result<OutputPage> {
        let services = services(ctx)?;
        let run_id = id("runId", &run_id)?;
        let limit = services.page.limit("first", first)?;
        let run = services.access.require_run(caller(ctx)?, run_id, min_position).await?;
        let slice = services.store.output(ProjectId(run.project_id), run_id, after.unwrap_or(0), limit).await?;
        Ok(OutputPage { nodes: slice.rows.into_iter().map(Into::into).collect(), has_next_page: slice.has_more })
    }
}

enum Scope {
    Project(ProjectId),
    Task(ProjectId, TaskId),
}

/// What is asked about, once it was made sure that the caller may see it.
async fn scope(
    ctx: &Context<'_>,
    project_id: Option<&ID>,
    task_id: Option<&ID>,
    min_position: Option<u64>,
) -> Result<Scope> {
    let access = &services(ctx)?.access;
    match (maybe_id("projectId", project_id)?, maybe_id("taskId", task_id)?) {
        (Some(project_id), None) => {
            access.require(caller(ctx)?, project_id, min_position).await?;
            Ok(Scope::Project(project_id))
        }
        (None, Some(task_id)) => {
            let task = access.require_task(caller(ctx)?, task_id, min_position).await?;
            Ok(Scope::Task(ProjectId(task.project_id), task_id))
        }
        _ => Err(Fault::invalid("taskId", "give one of taskId and projectId")),
    }
}
