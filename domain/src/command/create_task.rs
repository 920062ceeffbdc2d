//! `create_task`: puts a card on the board.

use serde::{Deserialize, Serialize};

use super::Decide;
use crate::decide::{Context, Draft, Drafts};
use crate::event::{TaskCreated, TaskDispatched};
use crate::id::TaskId;
use crate::model::{AcceptanceCriterion, Complexity, MemberRole, Priority, TaskStatus};
use crate::rejection::Rejection;
use crate::state::{ProjectState, fold_new_task};

/// An acceptance criterion as callers write it: a sentence, or a sentence with the check that shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Criterion {
    /// A sentence.
    Text(String),
    /// With its check.
    Full(AcceptanceCriterion),
}

impl From<Criterion> for AcceptanceCriterion {
    fn from(criterion: Criterion) -> Self {
        match criterion {
            Criterion::Text(text) => Self { text, check: None },
            Criterion::Full(full) => full,
        }
    }
}

/// Puts a card on the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateTask {
    /// Its id; chosen by the service when left out.
    #[serde(default)]
    pub task_id: Option<TaskId>,
    /// Title.
    pub title: String,
    /// What is wanted.
    #[serde(default)]
    pub description: String,
    /// What must be shown before it is done.
    #[serde(default)]
    pub acceptance_criteria: Vec<Criterion>,
    /// How urgent.
    #[serde(default = "medium")]
    pub priority: Priority,
    /// How large.
    #[serde(default = "middle")]
    pub complexity: Complexity,
    /// Tasks that must be done first.
    #[serde(default)]
    pub blocked_by: Vec<TaskId>,
    /// Whether a person answers questions on it.
    #[serde(default)]
    pub interactive: bool,
}

const fn medium() -> Priority {
    Priority::Medium
}

const fn middle() -> Complexity {
    Complexity::M
}

impl Decide for CreateTask {
    fn task_id(&self) -> Option<TaskId> {
        self.task_id
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        let project = ctx.project(state, MemberRole::Operator)?;
        ctx.limits.title("title", &self.title)?;
        ctx.limits.text("description", &self.description)?;
        let criteria: Vec<AcceptanceCriterion> = self.acceptance_criteria.iter().cloned().map(Into::into).collect();
        check_criteria(&criteria, &project.settings, ctx)?;
        ctx.limits.list("blocked_by", self.blocked_by.len())?;
        let id = self.task_id.unwrap_or_else(|| TaskId(ctx.ids.next_id()));
        if state.status_of(id).is_some() {
            return Err(Rejection::TaskExists { task_id: id });
        }
        let mut blockers = Vec::new();
        for blocker in &self.blocked_by {
            let status = state.status_of(*blocker).ok_or(Rejection::UnknownDependency { task_id: *blocker })?;
            if !blockers.contains(blocker) {
                blockers.push(*blocker);
            }
            if status == TaskStatus::Cancelled {
                return Err(Rejection::invalid("blocked_by", format!("{blocker} is cancelled and will never be done")));
            }
        }
        let waits = blockers.iter().any(|id| state.status_of(*id) != Some(TaskStatus::Done));
        let mut drafts = Drafts::new(fold_new_task(id, project.id), ctx.now);
        drafts.push(TaskCreated {
            title: self.title.trim().to_owned(),
            description: self.description.clone(),
            acceptance_criteria: criteria,
            priority: self.priority,
            complexity: self.complexity,
            blocked_by: blockers,
            created_by: ctx.actor.user.clone(),
            interactive: self.interactive,
        });
        if project.settings.auto_dispatch {
            drafts.push(TaskDispatched {});
        }
        if waits {
            drafts.move_to(TaskStatus::Blocked, Some("waits for other tasks"));
        }
        Ok(drafts.finish())
    }
}

/// Refuses criteria that could never be shown.
pub(super) fn check_criteria(
    criteria: &[AcceptanceCriterion],
    settings: &crate::model::ProjectSettings,
    ctx: &Context<'_>,
) -> Result<(), Rejection> {
    ctx.limits.list("acceptance_criteria", criteria.len())?;
    for criterion in criteria {
        if criterion.text.trim().is_empty() {
            return Err(Rejection::invalid("acceptance_criteria", "a criterion must not be empty"));
        }
        ctx.limits.text("acceptance_criteria", &criterion.text)?;
        if let Some(check) = &criterion.check
            && !settings.verification.iter().any(|command| &command.name == check)
        {
            return Err(Rejection::invalid(
                "acceptance_criteria.check",
                format!("the project has no verification command {check:?}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given_project, task, task_id};

    #[test]
    fn it_is_created_and_dispatched() {
        let state = given_project().when(task(1)).then_events(&["task.created", "task.dispatched"]).state;
        let task = &state.tasks[&task_id(1)];
        assert_eq!((task.sequence, task.status, task.dispatched), (2, TaskStatus::Inbox, true));
    }

    #[test]
    fn it_waits_for_its_blockers() {
        let state = given_project()
            .when(task(1))
            .ok()
            .when(CreateTask { blocked_by: vec![task_id(1), task_id(1)], ..task(2) })
            .then_events(&["task.created", "task.dispatched", "task.status_changed"])
            .state;
        assert_eq!(state.tasks[&task_id(2)].status, TaskStatus::Blocked);
        assert_eq!(state.tasks[&task_id(2)].blocked_by.len(), 1);
    }

    #[test]
    fn bad_fields_are_refused() {
        let long = "x".repeat(501);
        given_project().when(CreateTask { title: long, ..task(1) }).then_rejected("too_long");
        given_project().when(CreateTask { title: "  ".to_owned(), ..task(1) }).then_rejected("invalid_argument");
        given_project()
            .when(CreateTask { blocked_by: vec![task_id(9)], ..task(1) })
            .then_rejected("unknown_dependency");
        let criterion = AcceptanceCriterion { text: "It works".to_owned(), check: Some("nope".to_owned()) };
        given_project()
            .when(CreateTask { acceptance_criteria: vec![Criterion::Full(criterion)], ..task(1) })
            .then_rejected("invalid_argument");
        given_project().when(task(1)).ok().when(task(1)).then_rejected("task_exists");
    }
}
