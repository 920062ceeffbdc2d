//! Following with permission: a place in a stream that ends when its reader may no longer see the project.

use std::sync::Arc;

use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_read_store::ReadStore;
use muster_read_store::query::{Event, HistoryOf, Line};
use muster_service_kit::Caller;

use crate::access::Access;
use crate::fault::{Fault, Result};
use crate::live::{EventCursor, Live, OutputCursor};

/// Events of a task read at once.
const PAGE: u32 = 500;

/// A caller's place in a project's events, or in those of one of its tasks.
#[derive(Debug)]
pub struct Follow {
    cursor: EventCursor,
    project_id: ProjectId,
    past: Option<TaskPast>,
    only: Option<TaskId>,
    access: Access,
    caller: Caller,
}

/// What of a task's history was not given out yet.
#[derive(Debug)]
struct TaskPast {
    store: ReadStore,
    project_id: ProjectId,
    task_id: TaskId,
    /// The task's events up to here are read by task; those behind it with the project's.
    until: u64,
}

impl Follow {
    /// Every event of the project behind `after`; from the present on without `after`. `sequence_from_future` when the
    /// project does not get to `after` in time. Who may enter was asked before.
    pub async fn project(
        access: &Access,
        live: &Live,
        caller: &Caller,
        project_id: ProjectId,
        after: Option<u64>,
    ) -> Result<Self> {
        if let Some(after) = after {
            access.reach(project_id, after).await?;
        }
        let cursor = live.events(project_id, after).await?;
        Ok(Self { cursor, project_id, past: None, only: None, access: access.clone(), caller: caller.clone() })
    }

    /// The same for one task. Its past is found by the task, however long the project's history is.
    pub async fn only(mut self, store: ReadStore, task_id: TaskId) -> Result<Self> {
        let until = store.project_position(self.project_id).await?;
        self.only = Some(task_id);
        self.past = Some(TaskPast { store, project_id: self.project_id, task_id, until });
        Ok(self)
    }

    /// Position of the last event that was given out or passed over.
    pub fn after(&self) -> u64 {
        self.cursor.after()
    }

    /// The next events, at least one. `forbidden` once the caller was removed from the project. Safe to cancel.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>> {
        loop {
            if let Some(past) = &self.past {
                let page = past.page(self.cursor.after()).await?;
                self.cursor.skip_to(page.last().map_or(past.until, |event| event.at()));
                if page.is_empty() {
                    self.past = None;
                    continue;
                }
                return Ok(page);
            }
            let mut events = self.cursor.peek().await?;
            self.check(&events).await?;
            // Nothing is waited for from here on: events that were taken are given out.
            self.cursor.skip_to(events.last().map_or(0, |event| event.at()));
            if let Some(only) = self.only {
                events.retain(|event| event.task_id == Some(only.0));
            }
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// That members go is an event too, so nobody else has to be asked.
    async fn check(&self, events: &[Arc<Event>]) -> Result<()> {
        let user = self.caller.user();
        let goes = |event: &Arc<Event>| {
            event.event_type == "project.member_removed" && event.data["user"].as_str() == Some(user)
        };
        if events.iter().any(goes) && !self.access.may_see(&self.caller, self.project_id).await? {
            return Err(Fault::forbidden());
        }
        Ok(())
    }
}

impl TaskPast {
    /// The task's next events behind `position`; none when all up to `until` were read.
    async fn page(&self, position: u64) -> Result<Vec<Arc<Event>>> {
        if position >= self.until {
            return Ok(Vec::new());
        }
        let of = HistoryOf::TaskBehind { project_id: self.project_id, task_id: self.task_id, position };
        let rows = self.store.history(of, PAGE).await?.rows;
        Ok(rows.into_iter().map(Arc::new).collect())
    }
}

/// A caller's place in a run's output. Who may enter was asked before.
#[derive(Debug)]
pub struct FollowOutput {
    cursor: OutputCursor,
    project_id: ProjectId,
    access: Access,
    caller: Caller,
}

impl FollowOutput {
    /// Every line of the run behind `after`.
    pub fn run(
        access: &Access,
        live: &Live,
        caller: &Caller,
        project_id: ProjectId,
        run_id: RunId,
        after: u64,
    ) -> Self {
        let cursor = live.output(project_id, run_id, after);
        Self { cursor, project_id, access: access.clone(), caller: caller.clone() }
    }

    /// Whether there may be lines to read.
    pub fn has_news(&self) -> bool {
        self.cursor.has_news()
    }

    /// Waits until there may be lines to read; asks nothing of the store.
    pub async fn news(&self) {
        self.cursor.news().await;
    }

    /// The next lines, none where there are none yet. `forbidden` once the caller was removed from the project. Safe to
    /// cancel.
    pub async fn look(&mut self) -> Result<Vec<Line>> {
        let lines = self.cursor.peek().await?;
        if !lines.is_empty() && !self.access.may_see(&self.caller, self.project_id).await? {
            return Err(Fault::forbidden());
        }
        // Nothing is waited for from here on: lines that were passed are given out.
        Ok(self.cursor.pass(lines))
    }

    /// The next lines, at least one; waits for them. Otherwise as [`FollowOutput::look`].
    pub async fn next(&mut self) -> Result<Vec<Line>> {
        loop {
            self.news().await;
            let lines = self.look().await?;
            if !lines.is_empty() {
                return Ok(lines);
            }
        }
    }
}
