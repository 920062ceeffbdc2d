//! What each event does to the rows. Pure: rows in memory in, rows in memory out.
//!
//! Written from the catalogue and on purpose not from the domain's fold: that the two agree (I5) is then worth checking.
//! An event about something that has no row changes nothing but the history; one that names the id of another project's
//! row is about something of its own project all the same.

mod iteration;
mod keys;
mod plan;
mod project;
mod run;
mod task;

use std::collections::BTreeSet;

use muster_domain::event::Event;
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_domain::time::Timestamp;
use sqlx::PgConnection;

use crate::error::{Doing, Error};
use crate::rows::{
    ArtifactRow, DependencyRow, FileChangeRow, IterationRow, MemberRow, ProjectRow, QuestionRow, RunKey, RunRow,
    SessionKey, SessionRow, SnapshotRow, SubtaskRow, TaskKey, TaskRow,
};
use crate::table::Rows;

/// The largest number a column of 64 bits holds. Sums end there.
const COLUMN_MAX: u64 = i64::MAX.unsigned_abs();

/// The rows that a batch of events touches.
#[derive(Default)]
pub(crate) struct Tables {
    projects: Rows<ProjectRow>,
    members: Rows<MemberRow>,
    sessions: Rows<SessionRow>,
    tasks: Rows<TaskRow>,
    dependencies: Rows<DependencyRow>,
    subtasks: Rows<SubtaskRow>,
    artifacts: Rows<ArtifactRow>,
    questions: Rows<QuestionRow>,
    runs: Rows<RunRow>,
    iterations: Rows<IterationRow>,
    snapshots: Rows<SnapshotRow>,
    file_changes: Rows<FileChangeRow>,
    /// Tasks whose stored subtasks belong to an earlier plan.
    replanned: BTreeSet<(ProjectId, TaskId)>,
}

/// What an event of a task says about itself, beside its data.
#[derive(Clone, Copy)]
struct Context {
    project_id: ProjectId,
    task_id: TaskId,
    at: Timestamp,
}

impl Context {
    const fn task(self) -> TaskKey {
        TaskKey { task_id: self.task_id, project_id: self.project_id }
    }

    /// A run of the event's project, whoever else has one of that id.
    const fn run(self, run_id: RunId) -> RunKey {
        RunKey { run_id, project_id: self.project_id }
    }
}

impl Tables {
    /// Loads every row that `events` may change.
    pub(crate) async fn load<'e>(
        connection: &mut PgConnection,
        events: impl Iterator<Item = &'e Event>,
    ) -> Result<Self, Error> {
        let mut tables = Self::default();
        for event in events {
            tables.want(event);
        }
        tables.projects.load(connection).await?;
        tables.tasks.load(connection).await?;
        tables.subtasks.load(connection).await?;
        tables.questions.load(connection).await?;
        tables.runs.load(connection).await?;
        tables.iterations.load(connection).await?;
        tables.snapshots.load(connection).await?;
        // An agent's tokens count for the session its run belongs to, which the event does not name.
        for (project_id, session_id) in tables.runs.iter().filter_map(|run| Some((run.project_id, run.session_id?))) {
            tables.sessions.want(SessionKey { session_id, project_id });
        }
        tables.sessions.load(connection).await?;
        Ok(tables)
    }

    /// Changes the rows as `event` says.
    pub(crate) fn apply(&mut self, event: &Event) {
        project::apply(self, event);
        let Some(task_id) = event.task_id else { return };
        task::touch(self, task_id, event);
        let context = Context { project_id: event.project_id, task_id, at: event.timestamp };
        task::apply(self, context, &event.data);
        plan::apply(self, context, &event.data);
        run::apply(self, context, &event.data);
        iteration::apply(self, context, &event.data);
    }

    /// Writes every changed row. Returns how many.
    pub(crate) async fn store(&self, connection: &mut PgConnection) -> Result<usize, Error> {
        if !self.replanned.is_empty() {
            let (projects, tasks): (Vec<_>, Vec<_>) =
                self.replanned.iter().map(|(project, task)| (project.0, task.0)).unzip();
            sqlx::query(
                "delete from subtasks where task_id = any($2)
                     and (project_id, task_id) in (select * from unnest($1::uuid[], $2::uuid[]))",
            )
            .bind(projects)
            .bind(tasks)
            .execute(&mut *connection)
            .await
            .doing("subtasks")?;
        }
        Ok(self.projects.store(connection).await?
            + self.members.store(connection).await?
            + self.sessions.store(connection).await?
            + self.tasks.store(connection).await?
            + self.dependencies.store(connection).await?
            + self.subtasks.store(connection).await?
            + self.artifacts.store(connection).await?
            + self.questions.store(connection).await?
            + self.runs.store(connection).await?
            + self.iterations.store(connection).await?
            + self.snapshots.store(connection).await?
            + self.file_changes.store(connection).await?)
    }
}
