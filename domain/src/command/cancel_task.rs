//! `cancel_task`: cancels a card; what works on it loses its lease.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::failure::move_subtask;
use super::task_of;
use crate::decide::{Context, Draft, Drafts, leave_lease};
use crate::event::{RunFailed, UserCancelledTask};
use crate::id::TaskId;
use crate::model::{BuildError, BuildErrorKind, MemberRole, ReleaseReason, SessionStatus, SubtaskStatus, TaskStatus};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Cancels a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelTask {
    /// The card.
    pub task_id: TaskId,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Decide for CancelTask {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        if task.status == TaskStatus::Cancelled {
            let what = "cancelling".to_owned();
            return Err(Rejection::AlreadyDecided { what, decision: "the task is cancelled".to_owned() });
        }
        if task.is_terminal() {
            return Err(Rejection::InvalidTransition { status: task.status, action: "be cancelled".to_owned() });
        }
        if let Some(reason) = &self.reason {
            ctx.limits.text("reason", reason)?;
        }
        let mut drafts = Drafts::new(task.clone(), ctx.now);
        drafts.push(UserCancelledTask { user_id: ctx.actor.user.clone(), reason: self.reason.clone() });
        let live: Vec<_> = task.live_runs().map(|run| (run.id, run.subtask_id)).collect();
        for (run_id, subtask_id) in live {
            let error = BuildError {
                kind: BuildErrorKind::Cancelled,
                message: format!("cancelled by {}", ctx.actor.user),
                exit_code: None,
                log_excerpt: None,
            };
            drafts.push(RunFailed { run_id, error, will_retry: false });
            leave_lease(&mut drafts, state, run_id, ReleaseReason::Cancelled, SessionStatus::Failed);
            move_subtask(&mut drafts, subtask_id, SubtaskStatus::Ready);
        }
        drafts.move_to(TaskStatus::Cancelled, self.reason.as_deref());
        Ok(drafts.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Report;
    use crate::testing::{approved_claim, given_claimed, given_project, report, task, task_id};

    fn cancel() -> CancelTask {
        CancelTask { task_id: task_id(1), reason: Some("changed my mind".to_owned()) }
    }

    #[test]
    fn it_is_cancelled_once() {
        given_project()
            .when(task(1))
            .ok()
            .when(cancel())
            .then_events(&["user.cancelled_task", "task.status_changed"])
            .when(cancel())
            .then_rejected("already_decided");
    }

    #[test]
    fn a_chunk_under_way_is_ready_again() {
        let (scenario, _) = approved_claim();
        let state = scenario.when(cancel()).ok().state;
        assert_eq!(state.tasks[&task_id(1)].subtasks[0].status, SubtaskStatus::Ready);
    }

    #[test]
    fn its_agent_can_report_no_more() {
        let (scenario, claim) = given_claimed();
        let progress = Report::Progress { message: "half".to_owned(), percent: Some(50) };
        scenario
            .when(cancel())
            .then_events(&[
                "user.cancelled_task",
                "run.failed",
                "work.released",
                "agent.status_changed",
                "task.status_changed",
            ])
            .when(report(&claim, progress))
            .then_rejected("stale_fencing_token");
    }
}
