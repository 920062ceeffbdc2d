//! Who may see what: members see their projects, admins see all. To everyone else a project that exists looks exactly
//! like one that does not, also in how long an answer takes to come.

use std::time::Duration;

use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_read_store::ReadStore;
use muster_read_store::query::{InProject, Run, Task};
use muster_service_kit::{Caller, Code, Problem, codes, mutant};
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
        let Some(user) = viewer(caller) else { return Ok(true) };
        Ok(self.store.member_role(project_id, user).await?.is_some())
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

    /// A task the caller may see, once its project is at `min_position`. Where several projects have one of that id, those
    /// the caller is no member of are as good as none.
    pub async fn task(&self, caller: &Caller, task_id: TaskId, min_position: Option<u64>) -> Result<Option<Task>> {
        let deadline = Instant::now() + self.position_timeout;
        loop {
            let heard = self.live.heard().current();
            let task = self.store.task_seen_by(viewer(caller), task_id).await?;
            let project_id = task.as_ref().map(|task| ProjectId(task.project_id));
            if self.is_settled(project_id, min_position).await? {
                return Ok(task);
            }
            if timeout_at(deadline, self.live.heard().above(heard)).await.is_err() {
                return Err(self.not_reached(min_position.unwrap_or(0)));
            }
        }
    }

    /// A task the caller may see, or `forbidden`; `task_not_found` for those who see all.
    pub async fn require_task(&self, caller: &Caller, task_id: TaskId, min_position: Option<u64>) -> Result<Task> {
        self.task(caller, task_id, min_position).await?.ok_or_else(|| absent(caller, codes::TASK_NOT_FOUND, "task"))
    }

    /// A run the caller may see, once its project is at `min_position`.
    pub async fn run(&self, caller: &Caller, run_id: RunId, min_position: Option<u64>) -> Result<Option<Run>> {
        let deadline = Instant::now() + self.position_timeout;
        loop {
            let heard = self.live.heard().current();
            let run = self.store.run_seen_by(viewer(caller), run_id).await?;
            let project_id = run.as_ref().map(|run| ProjectId(run.project_id));
            if self.is_settled(project_id, min_position).await? {
                return Ok(run);
            }
            if timeout_at(deadline, self.live.heard().above(heard)).await.is_err() {
                return Err(self.not_reached(min_position.unwrap_or(0)));
            }
        }
    }

    /// A run the caller may see, or `forbidden`; `run_not_found` for those who see all.
    pub async fn require_run(&self, caller: &Caller, run_id: RunId, min_position: Option<u64>) -> Result<Run> {
        self.run(caller, run_id, min_position).await?.ok_or_else(|| absent(caller, codes::RUN_NOT_FOUND, "run"))
    }

    /// Whether what was found, in a project the caller may see, can be answered with; otherwise it is worth waiting for.
    async fn is_settled(&self, project_id: Option<ProjectId>, min_position: Option<u64>) -> Result<bool> {
        let Some(wanted) = min_position else { return Ok(true) };
        let Some(project_id) = project_id else { return Ok(false) };
        Ok(self.store.project_position(project_id).await? >= wanted)
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
    pub async fn reach_sequence(&self, project_id: ProjectId, task_id: TaskId, sequence: u64) -> Result<()> {
        let deadline = Instant::now() + self.position_timeout;
        loop {
            let heard = self.live.heard().current();
            let task = self.store.tasks_in(&[InProject::of(project_id, task_id.0)]).await?.pop();
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
    pub async fn reach_line(&self, project_id: ProjectId, run_id: RunId, line_number: u64) -> Result<()> {
        let deadline = Instant::now() + self.position_timeout;
        let mark = self.live.lines(project_id, run_id);
        let run = [InProject::of(project_id, run_id.0)];
        loop {
            let current = self.store.output_ends(&run).await?.pop().map_or(0, |(_, end)| end);
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

/// The user whose memberships say what may be seen; none for those who see all.
fn viewer(caller: &Caller) -> Option<&str> {
    let sees_all = caller.principal.admin || mutant::is("leak_to_strangers");
    (!sees_all).then(|| caller.user())
}

/// What is told about something that is not there for the caller: as the write side does.
fn absent(caller: &Caller, code: Code, what: &str) -> Fault {
    match viewer(caller) {
        None => Fault::new(code, format!("There is no such {what}.")),
        Some(_) => Fault::new(codes::FORBIDDEN, format!("There is no such {what} in any of your projects.")),
    }
}
