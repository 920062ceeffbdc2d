//! `approve_plan`: approves the plan that waits. Bound to a digest, single-use: the first decision wins.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::task_of;
use crate::decide::{Context, Draft, Drafts};
use crate::event::{PlanApproved, SubtaskStatusChanged, UserApprovedPlan};
use crate::id::TaskId;
use crate::model::{MemberRole, TaskStatus};
use crate::rejection::Rejection;
use crate::state::{Plan, PlanVerdict, ProjectState, Task};

/// Approves the plan that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovePlan {
    /// The card.
    pub task_id: TaskId,
    /// Digest of the plan that was shown; another plan is not approved by it. Left out, the plan that waits is meant.
    #[serde(default)]
    pub digest: Option<String>,
}

impl Decide for ApprovePlan {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        let plan = waiting_plan(task, self.digest.as_deref(), "have its plan approved")?;
        let digest = plan.digest.clone();
        let mut drafts = Drafts::new(task.clone(), ctx.now);
        drafts.push(UserApprovedPlan { user_id: ctx.actor.user.clone(), digest });
        approve(&mut drafts, &ctx.actor.user);
        Ok(drafts.finish())
    }
}

/// The plan that waits for a decision, if it is the one that was shown.
pub(super) fn waiting_plan<'t>(task: &'t Task, digest: Option<&str>, action: &str) -> Result<&'t Plan, Rejection> {
    let Some(plan) = &task.plan else {
        return Err(Rejection::InvalidTransition { status: task.status, action: action.to_owned() });
    };
    if let Some(verdict) = &plan.verdict {
        let decision = match verdict {
            PlanVerdict::Approved { by } => format!("approved by {by}"),
            PlanVerdict::Rejected { by, .. } => format!("rejected by {by}"),
        };
        return Err(Rejection::AlreadyDecided { what: "the plan".to_owned(), decision });
    }
    // A plan can be decided on as soon as it is seen, which is before its planner has ended.
    if !matches!(task.status, TaskStatus::PlanReview | TaskStatus::Planning) {
        return Err(Rejection::InvalidTransition { status: task.status, action: action.to_owned() });
    }
    match digest {
        Some(digest) if digest != plan.digest => Err(Rejection::PlanDigestMismatch { current: plan.digest.clone() }),
        _ => Ok(plan),
    }
}

/// Turns the plan's chunks into subtasks and the card to ready.
pub(super) fn approve(drafts: &mut Drafts, by: &str) {
    let Some(digest) = drafts.task.plan.as_ref().map(|plan| plan.digest.clone()) else { return };
    drafts.push(PlanApproved { digest, approved_by: by.to_owned() });
    let subtasks: Vec<_> = drafts.task.subtasks.iter().map(|subtask| (subtask.id, subtask.status)).collect();
    for (subtask_id, new_status) in subtasks {
        drafts.push(SubtaskStatusChanged { subtask_id, old_status: None, new_status });
    }
    drafts.move_to(TaskStatus::Ready, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::RejectPlan;
    use crate::model::{RunResult, SubtaskStatus};
    use crate::testing::{
        complete, given_claimed, given_plan, given_project, plan, report, reports, started, task, task_id,
    };

    fn approve_1() -> ApprovePlan {
        ApprovePlan { task_id: task_id(1), digest: None }
    }

    #[test]
    fn chunks_become_subtasks() {
        let state = given_plan()
            .when(approve_1())
            .then_events(&[
                "user.approved_plan",
                "plan.approved",
                "subtask.status_changed",
                "subtask.status_changed",
                "task.status_changed",
            ])
            .state;
        let task = &state.tasks[&task_id(1)];
        assert_eq!(task.status, TaskStatus::Ready);
        let statuses: Vec<_> = task.subtasks.iter().map(|subtask| subtask.status).collect();
        assert_eq!(statuses, [SubtaskStatus::Ready, SubtaskStatus::Blocked]);
    }

    #[test]
    fn the_first_decision_wins() {
        given_plan().when(approve_1()).ok().when(approve_1()).then_rejected("already_decided");
        given_plan()
            .when(approve_1())
            .ok()
            .when(RejectPlan { task_id: task_id(1), digest: None, reason: "no".to_owned() })
            .then_rejected("already_decided");
    }

    #[test]
    fn a_plan_can_be_approved_as_soon_as_it_is_seen() {
        let (scenario, claim) = given_claimed();
        let scenario = scenario.when(reports(&claim, vec![started(), plan(&[("One", &[])])])).ok();
        let state = scenario
            .when(approve_1())
            .then_events(&["user.approved_plan", "plan.approved", "subtask.status_changed", "task.status_changed"])
            .when(report(&claim, complete(RunResult::Succeeded)))
            .then_events(&["run.complete", "work.released", "agent.status_changed"])
            .state;
        assert_eq!(state.tasks[&task_id(1)].status, TaskStatus::Ready);
    }

    #[test]
    fn another_plan_is_not_approved() {
        given_plan()
            .when(ApprovePlan { digest: Some("00".to_owned()), ..approve_1() })
            .then_rejected("plan_digest_mismatch");
    }

    #[test]
    fn without_a_plan_there_is_nothing_to_approve() {
        given_project().when(task(1)).ok().when(approve_1()).then_rejected("invalid_transition");
    }
}
