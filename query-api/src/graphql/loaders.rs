//! Batching loaders: the children of every row of a list are read by one statement. They ask no permission: whoever
//! was given the parent may see the children, which are of the same project: it is part of every key, as an id alone may
//! stand in two projects.

use std::collections::HashMap;

use async_graphql::dataloader::Loader;
use muster_domain::model::TaskStatus;
use muster_read_store::ReadStore;
use muster_read_store::query::{
    Artifact, Dependency, InProject, Iteration, Member, Project, Question, Run, Session, Subtask, Task,
};
use uuid::Uuid;

use crate::fault::Fault;

/// Reads rows for many parents at once.
pub(super) struct Loaders {
    store: ReadStore,
}

impl Loaders {
    pub(super) const fn new(store: ReadStore) -> Self {
        Self { store }
    }
}

macro_rules! children {
    ($($(#[$meta:meta])* $key:ident($of:ty): $row:ident = $method:ident by |$it:ident| $parent:expr;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) struct $key(pub(super) $of);

        impl Loader<$key> for Loaders {
            type Value = Vec<$row>;
            type Error = Fault;

            async fn load(&self, keys: &[$key]) -> Result<HashMap<$key, Vec<$row>>, Fault> {
                let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
                let mut found: HashMap<$key, Vec<$row>> = HashMap::new();
                for $it in self.store.$method(&ids).await? {
                    found.entry($key($parent)).or_default().push($it);
                }
                Ok(found)
            }
        }
    )+};
}

children! {
    /// A project's members.
    MembersOf(Uuid): Member = members_of by |row| row.project_id;
    /// A project's runs that have not ended.
    ActiveRunsOf(Uuid): Run = active_runs_of by |row| row.project_id;
    /// A project's open questions.
    OpenQuestionsOf(Uuid): Question = open_questions_of by |row| row.project_id;
    /// A task's subtasks.
    SubtasksOf(InProject): Subtask = subtasks_of by |row| of(row.project_id, row.task_id);
    /// A task's runs.
    RunsOfTask(InProject): Run = runs_of by |row| of(row.project_id, row.task_id);
    /// A task's artifacts.
    ArtifactsOf(InProject): Artifact = artifacts_of by |row| of(row.project_id, row.task_id);
    /// A task's questions.
    QuestionsOf(InProject): Question = questions_of by |row| of(row.project_id, row.task_id);
    /// What a task waits for.
    BlockersOf(InProject): Dependency = blockers_of by |row| of(row.project_id, row.task_id);
    /// What waits for a task.
    BlockedBy(InProject): Dependency = blocked_by by |row| of(row.project_id, row.blocked_by);
    /// A run's iterations.
    IterationsOf(InProject): Iteration = iterations_of by |row| of(row.project_id, row.run_id);
}

const fn of(project_id: Uuid, id: Uuid) -> InProject {
    InProject { project_id, id }
}

macro_rules! singles {
    ($($(#[$meta:meta])* $key:ident: $row:ty = $method:ident by $id:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) struct $key(pub(super) InProject);

        impl Loader<$key> for Loaders {
            type Value = $row;
            type Error = Fault;

            async fn load(&self, keys: &[$key]) -> Result<HashMap<$key, $row>, Fault> {
                let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
                let rows = self.store.$method(&ids).await?;
                Ok(rows.into_iter().map(|row| ($key(of(row.project_id, row.$id)), row)).collect())
            }
        }
    )+};
}

singles! {
    /// A task.
    TaskOf: Task = tasks_in by task_id;
    /// A subtask.
    SubtaskOf: Subtask = subtasks_in by subtask_id;
    /// A run.
    RunOf: Run = runs_in by run_id;
    /// A session.
    SessionOf: Session = sessions_in by session_id;
}

/// A project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ProjectOf(pub(super) Uuid);

impl Loader<ProjectOf> for Loaders {
    type Value = Project;
    type Error = Fault;

    async fn load(&self, keys: &[ProjectOf]) -> Result<HashMap<ProjectOf, Project>, Fault> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let rows = self.store.projects_by_id(&ids).await?;
        Ok(rows.into_iter().map(|row| (ProjectOf(row.project_id), row)).collect())
    }
}

/// How many tasks of a project are in each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TaskCountsOf(pub(super) Uuid);

impl Loader<TaskCountsOf> for Loaders {
    type Value = Vec<(TaskStatus, u64)>;
    type Error = Fault;

    async fn load(&self, keys: &[TaskCountsOf]) -> Result<HashMap<TaskCountsOf, Self::Value>, Fault> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let mut found: HashMap<_, Self::Value> = HashMap::new();
        for (project, status, count) in self.store.task_counts(&ids).await? {
            found.entry(TaskCountsOf(project)).or_default().push((status, count));
        }
        Ok(found)
    }
}
