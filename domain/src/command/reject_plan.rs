//! `reject_plan`: rejects the plan that waits; the planner tries again with the reason.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::approve_plan::waiting_plan;
use super::task_of;
use crate::decide::{Context, Draft, Drafts};
use crate::event::{PlanRejected, UserRejectedPlan};
use crate::id::TaskId;
use crate::model::{MemberRole, TaskStatus};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Rejects the plan that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectPlan {
    /// The card.
    pub task_id: TaskId,
    /// Digest of the plan that was shown. Left out, the plan that waits is meant.
    #[serde(default)]
    pub digest: Option<String>,
    /// Why; the planner reads it.
    pub reason: String,
}

impl Decide for RejectPlan {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        let digest = waiting_plan(task, self.digest.as_deref(), "have its plan rejected")?.digest.clone();
        ctx.limits.text("reason", &self.reason)?;
        if self.reason.trim().is_empty() {
            return Err(Rejection::invalid("reason", "must not be empty: the planner works from it"));
        }
        let user = ctx.actor.user.clone();
        let mut drafts = Drafts::new(task.clone(), ctx.now);
        drafts.push(UserRejectedPlan { user_id: user.clone(), digest: digest.clone(), reason: self.reason.clone() });
        drafts.push(PlanRejected { digest, rejected_by: user, reason: self.reason.clone() });
        drafts.move_to(TaskStatus::Planning, Some("the plan was rejected"));
        Ok(drafts.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::next_work;
    use crate::model::Role;
    use crate::testing::{given_plan, task_id};

    #[test]
    fn the_planner_gets_another_try_with_the_reason() {
        let state = given_plan()
            .when(RejectPlan { task_id: task_id(1), digest: None, reason: "too big".to_owned() })
            .then_events(&["user.rejected_plan", "plan.rejected", "task.status_changed"])
            .state;
        assert_eq!(state.tasks[&task_id(1)].feedback, ["too big"]);
        assert!(next_work(&state, &[Role::Planner]).is_some());
    }

    #[test]
    fn a_reason_is_needed() {
        given_plan()
            .when(RejectPlan { task_id: task_id(1), digest: None, reason: " ".to_owned() })
            .then_rejected("invalid_argument");
    }
}
