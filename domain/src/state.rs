//! State: what the events of a project add up to, and the one pure [`fold`] that adds them.
//!
//! The write side, projections, terminals, replay and tests all use this fold. It must never wait, read a clock or draw
//! a random number, and it never refuses: events are facts. An event it does not know counts in sequence and position
//! and changes nothing else.

pub mod aside;
mod project;
mod run;
mod session;
mod subtask;
mod task;
mod task_fold;
mod tasks;

pub use project::{ENDED_SESSIONS_KEPT, Project, ProjectState};
pub use run::{Iteration, Lease, Run, RunStatus};
pub use session::Session;
pub use subtask::Subtask;
pub use task::{Plan, PlanVerdict, Question, Task};
pub(crate) use task_fold::run_of;
pub use tasks::Tasks;

use crate::event::Event;
use crate::id::{ProjectId, TaskId};

/// Adds one event to a project's state.
#[must_use]
pub fn fold(mut state: ProjectState, event: &Event) -> ProjectState {
    state.apply(event);
    state
}

/// Adds one event to a task's state; `None` until the task's first event.
#[must_use]
pub fn fold_task(task: Option<Task>, event: &Event) -> Option<Task> {
    let Some(id) = event.task_id else { return task };
    let mut task = task.unwrap_or_else(|| Task::new(id, event.project_id));
    task.apply(event);
    Some(task)
}

/// A task before its first event.
pub(crate) fn fold_new_task(id: TaskId, project_id: ProjectId) -> Task {
    Task::new(id, project_id)
}
