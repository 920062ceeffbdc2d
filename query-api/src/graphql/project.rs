//! Projects, members and sessions.

use async_graphql::{ComplexObject, Context, ID, SimpleObject};
use chrono::{DateTime, Utc};
use muster_domain::id::ProjectId;
use muster_read_store::query::{self, InProject, RunKey, RunsOf, TaskKey};
use serde_json::Value;
use uuid::Uuid;

use super::connection::{PageArguments, Rows, connection, cost};
use super::context::{caller, loaders, services};
use super::enums::{MemberRole, SessionStatus, TaskOrder, TaskStatus};
use super::loaders::{ActiveRunsOf, MembersOf, OpenQuestionsOf, RunOf, TaskCountsOf, TaskOf};
use super::records::IntoId;
use super::run::Run;
use super::task::{Question, Task, TaskFilter};
use crate::fault::Result;

/// A repository, how it is worked on, and by whom.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Project {
    #[graphql(skip)]
    key: Uuid,
    id: ID,
    name: String,
    /// Path of its git repository on the runner's machine.
    repository_path: String,
    /// Branch that finished work is merged into.
    default_branch: String,
    /// User who made it.
    owner: String,
    /// How it works, with the fields of the event `project.settings_changed`.
    settings: Value,
    created_at: DateTime<Utc>,
    /// When its own fields last changed.
    updated_at: DateTime<Utc>,
    /// Position of its last applied event. Subscribe to `events` after it.
    position: i64,
}

impl From<query::Project> for Project {
    fn from(row: query::Project) -> Self {
        Self {
            key: row.project_id,
            id: row.project_id.into_id(),
            name: row.name,
            repository_path: row.repository_path,
            default_branch: row.default_branch,
            owner: row.owner,
            settings: row.settings,
            created_at: row.created_at,
            updated_at: row.updated_at,
            position: row.position,
        }
    }
}

#[ComplexObject]
impl Project {
    /// Its members, by name.
    #[graphql(complexity = "5 * child_complexity")]
    async fn members(&self, ctx: &Context<'_>) -> Result<Vec<Member>> {
        let rows = loaders(ctx)?.load_one(MembersOf(self.key)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }

    /// The caller's role; null for an admin who is no member.
    async fn viewer_role(&self, ctx: &Context<'_>) -> Result<Option<MemberRole>> {
        let user = caller(ctx)?.user();
        let rows = loaders(ctx)?.load_one(MembersOf(self.key)).await?;
        Ok(rows.into_iter().flatten().find(|member| member.user_id == user).map(|member| member.role.0.into()))
    }

    /// How many tasks are in each status; statuses without a task are left out.
    #[graphql(complexity = "5 * child_complexity")]
    async fn task_counts(&self, ctx: &Context<'_>) -> Result<Vec<TaskCount>> {
        let counts = loaders(ctx)?.load_one(TaskCountsOf(self.key)).await?;
        let counts = counts.into_iter().flatten();
        Ok(counts.map(|(status, count)| TaskCount { status: status.into(), count }).collect())
    }

    /// Its tasks.
    #[expect(clippy::too_many_arguments, reason = "the arguments of a connection, as GraphQL names them")]
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        filter: Option<TaskFilter>,
        #[graphql(default_with = "TaskOrder::Priority")] order_by: TaskOrder,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Rows<TaskKey, Task>> {
        let page = PageArguments { first, after, last, before };
        tasks(ctx, ProjectId(self.key), filter, order_by, &page).await
    }

    /// Its runs, newest first.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        active: Option<bool>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Result<Rows<RunKey, Run>> {
        let page = PageArguments { first, after, last, before };
        runs(ctx, RunsOf::Project(ProjectId(self.key)), active, &page).await
    }

    /// Its runs that have not ended, oldest first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn active_runs(&self, ctx: &Context<'_>) -> Result<Vec<Run>> {
        let rows = loaders(ctx)?.load_one(ActiveRunsOf(self.key)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }

    /// Questions of its agents that wait for an answer, oldest first.
    #[graphql(complexity = "5 * child_complexity")]
    async fn open_questions(&self, ctx: &Context<'_>) -> Result<Vec<Question>> {
        let rows = loaders(ctx)?.load_one(OpenQuestionsOf(self.key)).await?;
        Ok(rows.into_iter().flatten().map(Into::into).collect())
    }

    /// Its newest agent sessions, newest first.
    #[graphql(complexity = "cost(first, None, child_complexity)")]
    async fn sessions(&self, ctx: &Context<'_>, first: Option<i32>) -> Result<Vec<Session>> {
        let services = services(ctx)?;
        let limit = services.page.limit("first", first)?;
        let rows = services.store.sessions_of(ProjectId(self.key), limit).await?;
        Ok(rows.into_iter().map(Into::into).collect())
    }
}

/// One page of a project's tasks; who may see them was asked before.
pub(super) async fn tasks(
    ctx: &Context<'_>,
    project_id: ProjectId,
    filter: Option<TaskFilter>,
    order_by: TaskOrder,
    arguments: &PageArguments,
) -> Result<Rows<TaskKey, Task>> {
    let services = services(ctx)?;
    let order = query::TaskOrder::from(order_by);
    let page = arguments.page::<TaskKey>(services.page)?;
    for (argument, key) in [("after", page.after), ("before", page.before)] {
        if key.is_some_and(|key| key.order != order) {
            return Err(crate::fault::Fault::invalid(argument, "this cursor belongs to another order"));
        }
    }
    let filter = filter.unwrap_or_default().into();
    let slice = services.store.task_list(project_id, &filter, order, &page).await?;
    Ok(connection(&page, slice, |row| TaskKey::of(row, order)))
}

/// One page of runs; who may see them was asked before.
pub(super) async fn runs(
    ctx: &Context<'_>,
    of: RunsOf,
    active: Option<bool>,
    arguments: &PageArguments,
) -> Result<Rows<RunKey, Run>> {
    let services = services(ctx)?;
    let page = arguments.page::<RunKey>(services.page)?;
    let slice = services.store.run_list(of, active, &page).await?;
    Ok(connection::<_, _, Run>(&page, slice, RunKey::of))
}

/// How many tasks are in a status.
#[derive(SimpleObject)]
pub struct TaskCount {
    status: TaskStatus,
    count: u64,
}

/// A user's place in a project.
#[derive(SimpleObject)]
pub struct Member {
    user: String,
    role: MemberRole,
    added_at: DateTime<Utc>,
}

impl From<query::Member> for Member {
    fn from(row: query::Member) -> Self {
        Self { user: row.user_id, role: row.role.0.into(), added_at: row.added_at }
    }
}

/// An agent worker with its own workspace, data directory, lease and heartbeat.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Session {
    #[graphql(skip)]
    task: Option<InProject>,
    #[graphql(skip)]
    run: Option<InProject>,
    id: ID,
    project_id: ID,
    /// Name its runner gave it.
    #[graphql(name = "sessionKey")]
    name: String,
    status: SessionStatus,
    /// Its workspace on the runner's machine.
    workspace_dir: String,
    /// Its data directory on the runner's machine.
    data_dir: String,
    current_task_id: Option<ID>,
    current_run_id: Option<ID>,
    started_at: DateTime<Utc>,
    last_activity_at: DateTime<Utc>,
    tokens_used: i64,
}

impl From<query::Session> for Session {
    fn from(row: query::Session) -> Self {
        let beside = |id| InProject { project_id: row.project_id, id };
        Self {
            task: row.current_task_id.map(beside),
            run: row.current_run_id.map(beside),
            id: row.session_id.into_id(),
            project_id: row.project_id.into_id(),
            name: row.session_key,
            status: row.status.0.into(),
            workspace_dir: row.workspace_dir,
            data_dir: row.data_dir,
            current_task_id: row.current_task_id.map(IntoId::into_id),
            current_run_id: row.current_run_id.map(IntoId::into_id),
            started_at: row.started_at,
            last_activity_at: row.last_activity_at,
            tokens_used: row.tokens_used,
        }
    }
}

#[ComplexObject]
impl Session {
    /// What it works on.
    async fn current_task(&self, ctx: &Context<'_>) -> Result<Option<Task>> {
        let Some(id) = self.task else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(TaskOf(id)).await?.map(Into::into))
    }

    /// The run it has a lease on.
    async fn current_run(&self, ctx: &Context<'_>) -> Result<Option<Run>> {
        let Some(id) = self.run else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(RunOf(id)).await?.map(Into::into))
    }
}
