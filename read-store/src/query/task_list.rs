//! Lists of tasks: filtered, ordered, in pages.

use chrono::{DateTime, Utc};
use muster_domain::id::{ProjectId, TaskId};
use muster_domain::model::{Priority, TaskStatus};
use muster_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Page, Slice, Task};
use crate::error::{Doing, Error};
use crate::store::ReadStore;

/// Which tasks are wanted. Everything left out matches every task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// One of these.
    pub status: Option<Vec<TaskStatus>>,
    /// One of these.
    pub priority: Option<Vec<Priority>>,
    /// Title or description has this text, whatever its case.
    pub text: Option<String>,
    /// Whether a session works on it.
    pub assigned: Option<bool>,
    /// Who asked for it.
    pub created_by: Option<String>,
}

/// How tasks are ordered; ties go by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOrder {
    /// Most urgent first, then oldest first: the order in which work is claimed.
    Priority,
    /// By creation, oldest first.
    Oldest,
    /// By creation, newest first.
    Newest,
    /// By last change, newest first. A task that changes moves to the front.
    Updated,
}

/// A task's place in one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskKey {
    /// The order it is a place in.
    pub order: TaskOrder,
    /// Its priority's rank, in [`TaskOrder::Priority`].
    pub rank: i16,
    /// When it was created or last changed, as the order says.
    pub at: Timestamp,
    /// Its id.
    pub task_id: TaskId,
}

impl TaskKey {
    /// Where `task` stands in `order`.
    pub fn of(task: &Task, order: TaskOrder) -> Self {
        let at = if order == TaskOrder::Updated { task.updated_at } else { task.created_at };
        let rank = if order == TaskOrder::Priority { task.priority_rank } else { 0 };
        Self { order, rank, at: at.into(), task_id: TaskId(task.task_id) }
    }
}

impl ReadStore {
    /// One page of a project's tasks. Keys of another order are taken as places in this one: check them before.
    pub async fn task_list(
        &self,
        project_id: ProjectId,
        filter: &TaskFilter,
        order: TaskOrder,
        page: &Page<TaskKey>,
    ) -> Result<Slice<Task>, Error> {
        let mut query = QueryBuilder::new("select * from tasks where project_id = ");
        query.push_bind(project_id.0);
        push_filter(&mut query, filter);
        if let Some(key) = &page.after {
            push_side(&mut query, order, *key, Side::Behind);
        }
        if let Some(key) = &page.before {
            push_side(&mut query, order, *key, Side::Before);
        }
        query.push(order_by(order, page.from_end)).push(" limit ").push_bind(page.probe());
        let rows = query.build_query_as().fetch_all(self.pool()).await.doing("tasks")?;
        Ok(Slice::of(rows, page))
    }

    /// Tasks that have not come to an end, most urgent first: of the projects `user` is a member of, or of all when there
    /// is no user; only of `project_id` where it is given.
    pub async fn open_tasks(
        &self,
        user: Option<&str>,
        project_id: Option<ProjectId>,
        limit: u32,
    ) -> Result<Vec<Task>, Error> {
        sqlx::query_as(
            "select * from tasks t where status not in ('done', 'failed', 'cancelled') and ($1::text is null
                 or exists (select 1 from project_members m where m.project_id = t.project_id and m.user_id = $1))
             and ($2::uuid is null or project_id = $2)
             order by priority_rank desc, created_at, task_id limit $3",
        )
        .bind(user)
        .bind(project_id.map(|id| id.0))
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await
        .doing("tasks")
    }

    /// How many tasks of these projects are in each status.
    pub async fn task_counts(&self, projects: &[Uuid]) -> Result<Vec<(Uuid, TaskStatus, u64)>, Error> {
        let rows: Vec<(Uuid, super::Text<TaskStatus>, i64)> = sqlx::query_as(
            "select project_id, status, count(*) from tasks where project_id = any($1) group by project_id, status",
        )
        .bind(projects)
        .fetch_all(self.pool())
        .await
        .doing("tasks")?;
        Ok(rows.into_iter().map(|(id, status, count)| (id, status.0, u64::try_from(count).unwrap_or(0))).collect())
    }
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &TaskFilter) {
    if let Some(status) = &filter.status {
        let names: Vec<_> = status.iter().map(|status| status.as_str().to_owned()).collect();
        query.push(" and status = any(").push_bind(names).push(")");
    }
    if let Some(priority) = &filter.priority {
        let ranks: Vec<_> = priority.iter().map(|priority| priority.as_str().to_owned()).collect();
        query.push(" and priority = any(").push_bind(ranks).push(")");
    }
    if let Some(text) = &filter.text {
        let pattern = format!("%{}%", escape_like(text));
        query.push(" and (title ilike ").push_bind(pattern.clone());
        query.push(" or description ilike ").push_bind(pattern).push(")");
    }
    if let Some(assigned) = filter.assigned {
        query.push(if assigned { " and assigned_session_id is not null" } else { " and assigned_session_id is null" });
    }
    if let Some(user) = &filter.created_by {
        query.push(" and created_by = ").push_bind(user.clone());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Behind,
    Before,
}

fn push_side(query: &mut QueryBuilder<Postgres>, order: TaskOrder, key: TaskKey, side: Side) {
    let at: DateTime<Utc> = key.at.to_datetime();
    let descending = matches!(order, TaskOrder::Newest | TaskOrder::Updated);
    let than = if (side == Side::Behind) == descending { "<" } else { ">" };
    match order {
        TaskOrder::Priority => {
            let rank_than = if side == Side::Behind { "<" } else { ">" };
            query.push(format_args!(" and (priority_rank {rank_than} ")).push_bind(key.rank);
            query.push(" or (priority_rank = ").push_bind(key.rank);
            query.push(format_args!(" and (created_at, task_id) {than} (")).push_bind(at);
            query.push(", ").push_bind(key.task_id.0).push(")))");
        }
        TaskOrder::Oldest | TaskOrder::Newest => push_pair(query, "created_at", than, at, key.task_id),
        TaskOrder::Updated => push_pair(query, "updated_at", than, at, key.task_id),
    }
}

fn push_pair(query: &mut QueryBuilder<Postgres>, column: &str, than: &str, at: DateTime<Utc>, task_id: TaskId) {
    query.push(format_args!(" and ({column}, task_id) {than} (")).push_bind(at);
    query.push(", ").push_bind(task_id.0).push(")");
}

const fn order_by(order: TaskOrder, from_end: bool) -> &'static str {
    match (order, from_end) {
        (TaskOrder::Priority, false) => " order by priority_rank desc, created_at, task_id",
        (TaskOrder::Priority, true) => " order by priority_rank, created_at desc, task_id desc",
        (TaskOrder::Oldest, false) | (TaskOrder::Newest, true) => " order by created_at, task_id",
        (TaskOrder::Oldest, true) | (TaskOrder::Newest, false) => " order by created_at desc, task_id desc",
        (TaskOrder::Updated, false) => " order by updated_at desc, task_id desc",
        (TaskOrder::Updated, true) => " order by updated_at, task_id",
    }
}

fn escape_like(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
