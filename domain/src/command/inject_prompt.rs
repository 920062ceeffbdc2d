//! `inject_prompt`: adds context for the next iteration.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::task_of;
use crate::decide::{Context, Draft};
use crate::event::UserInjectedPrompt;
use crate::id::TaskId;
use crate::model::MemberRole;
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Adds context that the next iteration is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectPrompt {
    /// The card.
    pub task_id: TaskId,
    /// What the agents should know.
    pub message: String,
}

impl Decide for InjectPrompt {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        if task.is_terminal() {
            return Err(Rejection::InvalidTransition { status: task.status, action: "take a prompt".to_owned() });
        }
        ctx.limits.text("message", &self.message)?;
        if self.message.trim().is_empty() {
            return Err(Rejection::invalid("message", "must not be empty"));
        }
        let data = UserInjectedPrompt { user_id: ctx.actor.user.clone(), message: self.message.clone() };
        Ok(vec![Draft { task_id: Some(self.task_id), data: data.into() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given_project, task, task_id};

    #[test]
    fn prompts_are_kept_in_order() {
        let say = |text: &str| InjectPrompt { task_id: task_id(1), message: text.to_owned() };
        let state = given_project().when(task(1)).ok().when(say("a")).ok().when(say("b")).ok().state;
        assert_eq!(state.tasks[&task_id(1)].prompts, ["a", "b"]);
    }
}
