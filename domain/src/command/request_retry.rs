//! `request_retry`: tries a failed, cancelled or escalated card again, from where it stood.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::task_of;
use crate::decide::{Context, Draft, Drafts};
use crate::event::{SubtaskStatusChanged, TaskDispatched, UserRequestedRetry};
use crate::id::TaskId;
use crate::model::{MemberRole, SubtaskStatus, TaskStatus};
use crate::rejection::Rejection;
use crate::state::{PlanVerdict, ProjectState, Task};

/// Tries a card again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestRetry {
    /// The card.
    pub task_id: TaskId,
    /// Why; the agents read it.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Decide for RequestRetry {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        let waits = task.blocked_by.iter().any(|id| state.status_of(*id) != Some(TaskStatus::Done));
        let retryable = matches!(task.status, TaskStatus::Failed | TaskStatus::Cancelled)
            || (task.status == TaskStatus::Blocked && !waits);
        if !retryable {
            return Err(Rejection::InvalidTransition { status: task.status, action: "be retried".to_owned() });
        }
        if let Some(reason) = &self.reason {
            ctx.limits.text("reason", reason)?;
        }
        let mut drafts = Drafts::new(task.clone(), ctx.now);
        drafts.push(UserRequestedRetry { user_id: ctx.actor.user.clone(), reason: self.reason.clone() });
        if !task.dispatched {
            drafts.push(TaskDispatched {});
        }
        let stuck: Vec<_> = task
            .subtasks
            .iter()
            .filter(|subtask| matches!(subtask.status, SubtaskStatus::Failed | SubtaskStatus::InProgress))
            .map(|subtask| (subtask.id, subtask.status))
            .collect();
        for (subtask_id, old_status) in stuck {
            let old_status = Some(old_status);
            drafts.push(SubtaskStatusChanged { subtask_id, old_status, new_status: SubtaskStatus::Ready });
        }
        let status = if waits { TaskStatus::Blocked } else { resume_at(&drafts.task) };
        drafts.move_to(status, Some("retried"));
        Ok(drafts.finish())
    }
}

/// The column a card goes on from.
fn resume_at(task: &Task) -> TaskStatus {
    match task.plan.as_ref().map(|plan| &plan.verdict) {
        Some(Some(PlanVerdict::Approved { .. })) if task.all_subtasks_merged() => TaskStatus::Review,
        Some(Some(PlanVerdict::Approved { .. })) => TaskStatus::Ready,
        Some(Some(PlanVerdict::Rejected { .. })) => TaskStatus::Planning,
        Some(None) => TaskStatus::PlanReview,
        None => TaskStatus::Inbox,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CancelTask;
    use crate::testing::{given_plan, given_project, task, task_id};

    fn retry() -> RequestRetry {
        RequestRetry { task_id: task_id(1), reason: None }
    }

    #[test]
    fn a_cancelled_card_returns_to_where_it_stood() {
        let cancel = CancelTask { task_id: task_id(1), reason: None };
        let state = given_plan().when(cancel).ok().when(retry()).ok().state;
        assert_eq!(state.tasks[&task_id(1)].status, TaskStatus::PlanReview);
        assert_eq!(state.tasks[&task_id(1)].retry_count, 1);
    }

    #[test]
    fn a_card_on_its_way_is_not_retried() {
        given_project().when(task(1)).ok().when(retry()).then_rejected("invalid_transition");
    }
}
