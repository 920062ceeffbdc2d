//! Who may see what: members see their projects, admins see all. To everyone else a project that exists looks exactly
//! like one that does not, also in how long an answer takes to come.

use std::time::Duration;

use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_read_store::ReadStore;
use muster_read_store::query::{Run, Task};
use muster_service_kit::{Caller, Problem, codes, mutant};
use tokio::time::{Instant, timeout_at};

use crate::fault::{Fault, Result};
use crate::live::Live;

/// Finds out what a caller may see, and waits until it is there.
#[derive(Debug, Clone)]
pub struct Access {
    store: ReadStore,
    live: Live,
    position_timeout: Duration,
}

impl Access {
    /// Waits for positions at most `position_timeout`.
    pub const fn new(store: ReadStore, live: Live, position_timeout: Duration) -> Self {
        Self { store, live, position_timeout }
    }

    /// Whether `caller` may see the project now.
    pub async fn may_see(&self, caller: &Caller, project_id: ProjectId) -> Result<bool> {
        let may_see = caller.principal.admin || mutant::is("leak_to_strangers");
        Ok(may_see || self.store.member_role(project_id, caller.user()).await?.is_some())
    }

    /// Lets `caller` into the project, once it is at `min_position`: `false` when they may not see it.
    pub async fn enter(&self, caller: &Caller, project_id: ProjectId, min_position: Option<u64>) -> Result<bool> {
        let Some(wanted) = min_position else { return self.may_see(caller, project_id).await };
        let deadline = Instant::now() + self.position_timeout;
        let mark = self.live.position(project_id);
        loop {
            let position = self.store.project_position(project_id).await?;
            mark.raise(position);
            if position >= wanted && self.may_see(caller, project_id).await? {
                return Ok(true);
            }
            // A caller who may not see it waits like everyone: it could be about to be created for them.
            if timeout_at(deadline, mark.above(position)).await.is_err() {
                return Err(self.not_reached(wanted));
            }
        }
    }

    /// As [`Access::enter`], refusing who may not see the project.
    pub async fn require(&self, caller: &Caller, project_id: ProjectId, min_position: Option<u64>) -> Result<()> {
        if self.enter(caller, project_id, min_position).await? { Ok(()) } else { Err(Fault::forbidden()) }
    }

    /// A task the caller may see, once its project is at `min_position`.
    pub async fn task(&self, caller: &Caller, task_id: TaskId, min_position: Option<u64>) -> Result<Option<Task>> {
        let deadline = Instant::now() + self.position_timeout;
        loop {
            let heard = self.live.heard().current();
            let task = self.store.tasks_by_id(&[task_id.0]).await?.pop();
            let project_id = task.as_ref().map(|task| ProjectId(task.project_id));
            let seen = self.settled(caller, project_id, min_position).await?;
            if seen == Some(true) {
                return Ok(task);
            }
            if seen == Some(false) {
                return Ok(None);
            }
            if timeout_at(deadline, self.live.heard().above(heard)).await.is_err() {
                return Err(self.not_reached(min_position.unwrap_or(0)));
            }
        }
    }

    /// A task the caller may see, or `task_not_found`.
    pub async fn require_task(&self, caller: &Caller, task_id: TaskId, min_position: Option<u64>) -> Result<Task> {
        self.task(caller, task_id, min_position).await?.ok_or_else(|| {
            Fault::new(codes::TASK_NOT_FOUND, "There is no such task, or you are not a member of its project.")
        })
    }

    /// A run the caller may see, or `run_not_found`.
    pub async fn require_run(&self, caller: &Caller, run_id: RunId, min_position: Option<u64>) -> Result<Run> {
        let deadline = Instant::now() + self.position_timeout;
        loop {
            let heard = self.live.heard().current();
            let run = self.store.runs_by_id(&[run_id.0]).await?.pop();
            let project_id = run.as_ref().map(|run| ProjectId(run.project_id));
            let seen = self.settled(caller, project_id, min_position).await?;
            match (seen, run) {
                (Some(true), Some(run)) => return Ok(run),
                (Some(_), _) => {
                    let detail = "There is no such run, or you are not a member of its project.";
                    return Err(Fault::new(codes::RUN_NOT_FOUND, detail));
                }
                (None, _) => {}
            }
            if timeout_at(deadline, self.live.heard().above(heard)).await.is_err() {
                return Err(self.not_reached(min_position.unwrap_or(0)));
            }
        }
    }

    /// Whether something of `project_id` may be shown; `None` while that is worth waiting for.
    async fn settled(
        &self,
        caller: &Caller,
        project_id: Option<ProjectId>,
        min_position: Option<u64>,
    ) -> Result<Option<bool>> {
        let seen = match project_id {
            Some(project_id) => self.may_see(caller, project_id).await?,
            None => false,
        };
        let Some(wanted) = min_position else { return Ok(Some(seen)) };
        let (true, Some(project_id)) = (seen, project_id) else { return Ok(None) };
        let reached = self.store.project_position(project_id).await? >= wanted;
        Ok(reached.then_some(true))
    }

    /// Waits until the project is at `position`: a command's answer can be ahead of the rows. Refuses with
    /// `sequence_from_future` what does not come in time. Who may enter was asked before.
    pub async fn reach(&self, project_id: ProjectId, position: u64) -> Result<()> {
        let deadline = Instant::now() + self.position_timeout;
        let mark = self.live.position(project_id);
        loop {
            let current = self.store.project_position(project_id).await?;
            mark.raise(current);
            if current >= position {
                return Ok(());
            }
            if timeout_at(deadline, mark.above(current)).await.is_err() {
                let detail = format!("There is no position {position}: the project is at {current}.");
                let problem = Problem::new(codes::SEQUENCE_FROM_FUTURE).detail(detail);
                return Err(problem.with("after", position).with("current_position", current).into());
            }
        }
    }

    /// As [`Access::reach`], for the sequence of a task the caller may see.
    pub async fn reach_sequence(&self, task_id: TaskId, sequence: u64) -> Result<()> {
        let deadline = Instant::now() + self.position_timeout;
        loop {
            let heard = self.live.heard().current();
            let task = self.store.tasks_by_id(&[task_id.0]).await?.pop();
            let current = task.map_or(0, |task| u64::try_from(task.sequence).unwrap_or(0));
            if current >= sequence {
                return Ok(());
            }
            if timeout_at(deadline, self.live.heard().above(heard)).await.is_err() {
                let detail = format!("There is no sequence {sequence}: the task is at {current}.");
                let problem = Problem::new(codes::SEQUENCE_FROM_FUTURE).detail(detail);
                return Err(problem.with("after", sequence).with("current_sequence", current).into());
            }
        }
    }

    /// As [`Access::reach`], for the lines of a run the caller may see.
    pub async fn reach_line(&self, run_id: RunId, line_number: u64) -> Result<()> {
        let deadline = Instant::now() + self.position_timeout;
        let mark = self.live.lines(run_id);
        loop {
            let current = self.store.output_ends(&[run_id.0]).await?.pop().map_or(0, |(_, end)| end);
            if current >= line_number {
                return Ok(());
            }
            if timeout_at(deadline, mark.above(current)).await.is_err() {
                let detail = format!("There is no line {line_number}: the run's output is at {current}.");
                let problem = Problem::new(codes::SEQUENCE_FROM_FUTURE).detail(detail);
                return Err(problem.with("after", line_number).with("current_line_number", current).into());
            }
        }
    }

    fn not_reached(&self, wanted: u64) -> Fault {
        let timeout_ms = u64::try_from(self.position_timeout.as_millis()).unwrap_or(u64::MAX);
        Problem::new(codes::POSITION_NOT_REACHED)
            .detail(format!("Position {wanted} was not reached within {timeout_ms} ms. Ask again."))
            .with("min_position", wanted)
            .with("timeout_ms", timeout_ms)
            .retry_after_s(1)
            .into()
    }
}
