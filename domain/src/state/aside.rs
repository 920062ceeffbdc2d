//! Finished tasks leave memory and return on demand.
//!
//! Of a task that is set aside the state keeps [`Aside`]: enough to decide whatever does not concern the task itself, so
//! that what waited for it, or is created to wait for it, needs nothing brought back. A command about the task itself is
//! refused with [`Rejection::TaskSetAside`](crate::rejection::Rejection::TaskSetAside) until it is put back. This module
//! must never know where tasks are kept meanwhile.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ProjectState, Task};
use crate::event::{Event, EventData};
use crate::id::TaskId;
use crate::model::TaskStatus;

/// What is known of a task that is not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aside {
    /// Sequence of its last event.
    pub sequence: u64,
    /// Where it stands.
    pub status: TaskStatus,
}

/// Why a task cannot be put back. All of them are mistakes of the caller; the state is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No task of that id is aside: it is in memory, or belongs to another project.
    #[error("{task_id} is not aside")]
    NotAside {
        /// The task.
        task_id: TaskId,
    },
    /// It is not what it was when it was set aside, or has since become: fold it from its events again.
    #[error("{task_id} is at sequence {given}, the one that is aside at {expected}")]
    Stale {
        /// The task.
        task_id: TaskId,
        /// Its sequence.
        given: u64,
        /// Sequence of the task that is aside.
        expected: u64,
    },
}

impl Aside {
    fn of(task: &Task) -> Self {
        Self { sequence: task.sequence, status: task.status }
    }

    /// Moves on with an event of the task, so that a task without the event is not taken back.
    pub(super) fn apply(&mut self, event: &Event) {
        self.sequence = event.sequence;
        if let EventData::TaskStatusChanged(changed) = &event.data {
            self.status = changed.new_status;
        }
    }
}

impl ProjectState {
    /// Takes a finished task out of memory. `None`, and nothing changes, unless the task is in memory, finished, and no
    /// run of it is live. The caller can bring it back: keeps it, or knows where its events are.
    pub fn set_aside(&mut self, task_id: TaskId) -> Option<Arc<Task>> {
        let task = self.task(task_id)?;
        let at_rest = |run: &Arc<super::Run>| !run.is_live() && run.lease.is_none();
        if !task.is_terminal() || !task.runs.iter().all(at_rest) {
            return None;
        }
        self.aside.insert(task_id, Aside::of(task));
        self.tasks.remove(task_id)
    }

    /// Takes a task that was set aside back into memory. The state is then what it would be had the task stayed.
    ///
    /// # Errors
    /// [`Error`]; nothing changes then.
    pub fn put_back(&mut self, task: Arc<Task>) -> Result<(), Error> {
        let task_id = task.id;
        let of_project = self.project.as_ref().is_none_or(|project| project.id == task.project_id);
        let aside = self.aside.get(&task_id).filter(|_| of_project).ok_or(Error::NotAside { task_id })?;
        if *aside != Aside::of(&task) {
            return Err(Error::Stale { task_id, given: task.sequence, expected: aside.sequence });
        }
        self.aside.remove(&task_id);
        self.tasks.insert(task);
        Ok(())
    }

    /// Whether a task is known but not in memory.
    pub fn is_aside(&self, task_id: TaskId) -> bool {
        self.aside.contains_key(&task_id)
    }

    /// Where a task stands, be it in memory or aside. `None` for a task that does not exist.
    pub fn status_of(&self, task_id: TaskId) -> Option<TaskStatus> {
        self.task(task_id).map(|task| task.status).or_else(|| Some(self.aside.get(&task_id)?.status))
    }

    /// Sequence of a task's last event, be it in memory or aside. 0 for a task that does not exist.
    pub fn sequence_of(&self, task_id: TaskId) -> u64 {
        let aside = || self.aside.get(&task_id).map(|aside| aside.sequence);
        self.task(task_id).map(|task| task.sequence).or_else(aside).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CancelTask, CreateTask, InjectPrompt, RequestRetry};
    use crate::testing::{Scenario, given_claimed, given_project, task, task_id};

    /// A project whose task 1 is cancelled, set aside, and handed out.
    fn given_aside() -> (Scenario, Arc<Task>) {
        let cancel = CancelTask { task_id: task_id(1), reason: None };
        let mut scenario = given_project().when(task(1)).ok().when(cancel).ok();
        let task = scenario.state.set_aside(task_id(1)).unwrap();
        (scenario, task)
    }

    #[test]
    fn only_what_is_finished_leaves() {
        let (mut scenario, _) = given_claimed();
        assert_eq!(scenario.state.set_aside(task_id(1)), None);
        assert_eq!(scenario.state.set_aside(task_id(7)), None);
    }

    #[test]
    fn it_returns_as_it_left() {
        let (mut scenario, task) = given_aside();
        let without = scenario.state.clone();
        assert_eq!((without.task(task_id(1)), without.is_aside(task_id(1))), (None, true));
        assert_eq!(without.status_of(task_id(1)), Some(TaskStatus::Cancelled));
        assert_eq!(without.sequence_of(task_id(1)), task.sequence);
        scenario.state.put_back(task.clone()).unwrap();
        assert!(!scenario.state.is_aside(task_id(1)));
        assert_eq!(scenario.state.clone().put_back(task), Err(Error::NotAside { task_id: task_id(1) }));
        scenario.when(RequestRetry { task_id: task_id(1), reason: None }).ok();
    }

    #[test]
    fn a_stale_or_foreign_task_is_not_taken() {
        let (mut scenario, task) = given_aside();
        let before = scenario.state.clone();
        let stale = Arc::new(Task { sequence: task.sequence - 1, ..task.as_ref().clone() });
        let foreign = Arc::new(Task { project_id: uuid::Uuid::from_u128(9).into(), ..task.as_ref().clone() });
        let expected = Error::Stale { task_id: task.id, given: stale.sequence, expected: task.sequence };
        assert_eq!(scenario.state.put_back(stale), Err(expected));
        assert_eq!(scenario.state.put_back(foreign), Err(Error::NotAside { task_id: task.id }));
        assert_eq!(scenario.state, before);
    }

    #[test]
    fn nothing_is_decided_about_it_and_it_is_not_denied() {
        let (scenario, _) = given_aside();
        let prompt = InjectPrompt { task_id: task_id(1), message: "hint".to_owned() };
        let scenario = scenario.when(prompt).then_rejected("unavailable");
        let waits_for_it = CreateTask { blocked_by: vec![task_id(1)], ..task(2) };
        let scenario = scenario.when(waits_for_it).then_rejected("invalid_argument");
        scenario.when(task(1)).then_rejected("task_exists");
    }

    #[test]
    fn an_event_it_misses_keeps_it_from_returning() {
        let (scenario, task) = given_aside();
        let mut aside = Aside::of(&task);
        let last = scenario.events.iter().rfind(|event| event.task_id == Some(task.id)).unwrap();
        aside.apply(&Event { sequence: last.sequence + 1, ..last.clone() });
        assert_eq!(aside.sequence, task.sequence + 1);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "was put back")]
    fn applying_its_events_before_it_is_back_is_a_mistake() {
        let (mut scenario, task) = given_aside();
        let event = scenario.events.iter().rfind(|event| event.task_id == Some(task.id)).unwrap().clone();
        scenario.state.apply(&Event { sequence: event.sequence + 1, position: event.position + 1, ..event });
    }
}
