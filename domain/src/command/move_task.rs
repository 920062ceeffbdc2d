//! `move_task`: moves a card between the columns a person may move it between: inbox and blocked.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::task_of;
use crate::decide::{Context, Draft, Drafts};
use crate::id::TaskId;
use crate::model::{MemberRole, TaskStatus};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Moves a card that no agent works on: from the inbox to blocked (parks it) and back.
/// Every other move follows from what agents and people decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveTask {
    /// The card.
    pub task_id: TaskId,
    /// Column it should be in: `inbox` or `blocked`.
    pub status: TaskStatus,
}

impl Decide for MoveTask {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        let waits = task.blocked_by.iter().any(|id| state.status_of(*id) != Some(TaskStatus::Done));
        let allowed = match (task.status, self.status) {
            (from, to) if from == to => return Ok(Vec::new()),
            (TaskStatus::Inbox, TaskStatus::Blocked) => true,
            (TaskStatus::Blocked, TaskStatus::Inbox) => !waits && task.subtasks.is_empty(),
            _ => false,
        };
        if !allowed {
            let action = format!("be moved to {}", self.status);
            return Err(Rejection::InvalidTransition { status: task.status, action });
        }
        let mut drafts = Drafts::new(task.clone(), ctx.now);
        drafts.move_to(self.status, Some("moved by hand"));
        Ok(drafts.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CreateTask;
    use crate::testing::{given_project, task, task_id};

    fn to(n: u64, status: TaskStatus) -> MoveTask {
        MoveTask { task_id: task_id(n), status }
    }

    #[test]
    fn a_card_can_be_parked_and_taken_back() {
        given_project()
            .when(task(1))
            .ok()
            .when(to(1, TaskStatus::Blocked))
            .then_events(&["task.status_changed"])
            .when(to(1, TaskStatus::Inbox))
            .then_events(&["task.status_changed"]);
    }

    #[test]
    fn done_is_not_a_place_to_drag_to() {
        given_project().when(task(1)).ok().when(to(1, TaskStatus::Done)).then_rejected("invalid_transition");
    }

    #[test]
    fn a_waiting_card_stays_blocked() {
        given_project()
            .when(task(1))
            .ok()
            .when(CreateTask { blocked_by: vec![task_id(1)], ..task(2) })
            .ok()
            .when(to(2, TaskStatus::Inbox))
            .then_rejected("invalid_transition");
    }
}
