//! `dispatch_task`: releases a card to the agents.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::task_of;
use crate::decide::{Context, Draft};
use crate::event::TaskDispatched;
use crate::id::TaskId;
use crate::model::MemberRole;
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Releases a card to the agents. Without a card, the most urgent one that was not released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatchTask {
    /// The card.
    #[serde(default)]
    pub task_id: Option<TaskId>,
}

impl Decide for DispatchTask {
    fn task_id(&self) -> Option<TaskId> {
        self.task_id
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = match self.task_id {
            Some(id) => Some(task_of(state, id)?),
            None => state.tasks.next_to_dispatch(),
        };
        let Some(task) = task else { return Ok(Vec::new()) };
        if task.is_terminal() {
            return Err(Rejection::InvalidTransition { status: task.status, action: "be dispatched".to_owned() });
        }
        if task.dispatched {
            return Ok(Vec::new());
        }
        Ok(vec![Draft { task_id: Some(task.id), data: TaskDispatched {}.into() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CreateTask;
    use crate::model::Priority;
    use crate::testing::{given_manual_project, task, task_id};

    #[test]
    fn the_most_urgent_goes_first_and_only_once() {
        let state = given_manual_project()
            .when(task(1))
            .ok()
            .when(CreateTask { priority: Priority::High, ..task(2) })
            .ok()
            .when(DispatchTask { task_id: None })
            .then_events(&["task.dispatched"])
            .when(DispatchTask { task_id: Some(task_id(2)) })
            .then_events(&[])
            .state;
        assert!(state.tasks[&task_id(2)].dispatched);
        assert!(!state.tasks[&task_id(1)].dispatched);
    }

    #[test]
    fn an_unknown_card_is_refused() {
        given_manual_project().when(DispatchTask { task_id: Some(task_id(7)) }).then_rejected("task_not_found");
    }
}
