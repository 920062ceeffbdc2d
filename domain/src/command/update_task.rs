//! `update_task`: edits a card.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::create_task::{Criterion, check_criteria};
use super::task_of;
use crate::decide::{Context, Draft};
use crate::event::TaskUpdated;
use crate::id::TaskId;
use crate::model::{Complexity, MemberRole, Priority};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Edits a card. What is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateTask {
    /// The card.
    pub task_id: TaskId,
    /// New title.
    #[serde(default)]
    pub title: Option<String>,
    /// New description.
    #[serde(default)]
    pub description: Option<String>,
    /// New priority.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// New complexity.
    #[serde(default)]
    pub complexity: Option<Complexity>,
    /// New criteria, all of them.
    #[serde(default)]
    pub acceptance_criteria: Option<Vec<Criterion>>,
}

impl Decide for UpdateTask {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        let project = ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        if task.is_terminal() {
            return Err(Rejection::InvalidTransition { status: task.status, action: "be edited".to_owned() });
        }
        if let Some(title) = &self.title {
            ctx.limits.title("title", title)?;
        }
        if let Some(description) = &self.description {
            ctx.limits.text("description", description)?;
        }
        let acceptance_criteria = match &self.acceptance_criteria {
            Some(criteria) => {
                let criteria: Vec<_> = criteria.iter().cloned().map(Into::into).collect();
                check_criteria(&criteria, &project.settings, ctx)?;
                Some(criteria)
            }
            None => None,
        };
        let data = TaskUpdated {
            title: self.title.as_ref().map(|title| title.trim().to_owned()),
            description: self.description.clone(),
            priority: self.priority,
            complexity: self.complexity,
            acceptance_criteria,
        };
        let nothing =
            TaskUpdated { title: None, description: None, priority: None, complexity: None, acceptance_criteria: None };
        if data == nothing {
            return Ok(Vec::new());
        }
        Ok(vec![Draft { task_id: Some(self.task_id), data: data.into() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CancelTask;
    use crate::testing::{given_project, task, task_id};

    fn urgent() -> UpdateTask {
        UpdateTask {
            task_id: task_id(1),
            title: None,
            description: None,
            priority: Some(Priority::Urgent),
            complexity: None,
            acceptance_criteria: None,
        }
    }

    #[test]
    fn only_named_fields_change() {
        let state = given_project().when(task(1)).ok().when(urgent()).then_events(&["task.updated"]).state;
        assert_eq!(state.tasks[&task_id(1)].priority, Priority::Urgent);
        assert_eq!(state.tasks[&task_id(1)].title, "Task 1");
    }

    #[test]
    fn a_cancelled_card_stays_as_it_is() {
        given_project()
            .when(task(1))
            .ok()
            .when(CancelTask { task_id: task_id(1), reason: None })
            .ok()
            .when(urgent())
            .then_rejected("invalid_transition");
    }
}
