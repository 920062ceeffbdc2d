//! What mutations take.

use async_graphql::{ID, InputObject};
use muster_domain::command::{CreateTask, Criterion, UpdateTask};
use muster_domain::model;
use serde_json::Value;

use super::context::{id, maybe_id};
use super::enums::{ArtifactKind, Complexity, MemberRole, Priority, TaskStatus};
use crate::fault::{Fault, Result};

#[derive(InputObject)]
pub struct CreateProjectInput {
    pub(super) name: String,
    /// Path of its git repository on the runner's machine.
    pub(super) repository_path: String,
    /// Branch that finished work is merged into.
    #[graphql(default_with = "\"main\".to_owned()")]
    pub(super) default_branch: String,
    /// As in the event `project.settings_changed`; what is left out has its default.
    pub(super) settings: Option<Value>,
}

#[derive(InputObject)]
pub struct ChangeSettingsInput {
    pub(super) project_id: ID,
    /// All settings, as in the event `project.settings_changed`; what is left out has its default.
    pub(super) settings: Value,
}

#[derive(InputObject)]
pub struct AddMemberInput {
    pub(super) project_id: ID,
    pub(super) user: String,
    pub(super) role: MemberRole,
}

#[derive(InputObject)]
pub struct RemoveMemberInput {
    pub(super) project_id: ID,
    pub(super) user: String,
}

/// One thing that must be shown before a task is done.
#[derive(InputObject)]
pub struct AcceptanceCriterionInput {
    /// What must be true.
    text: String,
    /// Name of the verification command that shows it; without one, every command must pass.
    check: Option<String>,
}

impl From<AcceptanceCriterionInput> for Criterion {
    fn from(input: AcceptanceCriterionInput) -> Self {
        Self::Full(model::AcceptanceCriterion { text: input.text, check: input.check })
    }
}

#[derive(InputObject)]
pub struct CreateTaskInput {
    pub(super) project_id: ID,
    /// Its id; chosen by the service when left out.
    task_id: Option<ID>,
    title: String,
    #[graphql(default)]
    description: String,
    #[graphql(default)]
    acceptance_criteria: Vec<AcceptanceCriterionInput>,
    #[graphql(default_with = "Priority::Medium")]
    priority: Priority,
    #[graphql(default_with = "Complexity::M")]
    complexity: Complexity,
    /// Tasks that must be done first.
    #[graphql(default)]
    blocked_by: Vec<ID>,
    /// Whether a person answers questions on it.
    #[graphql(default)]
    interactive: bool,
}

impl TryFrom<CreateTaskInput> for CreateTask {
    type Error = Fault;

    fn try_from(input: CreateTaskInput) -> Result<Self> {
        Ok(Self {
            task_id: maybe_id("taskId", input.task_id.as_ref())?,
            title: input.title,
            description: input.description,
            acceptance_criteria: input.acceptance_criteria.into_iter().map(Into::into).collect(),
            priority: input.priority.into(),
            complexity: input.complexity.into(),
            blocked_by: input.blocked_by.iter().map(|task_id| id("blockedBy", task_id)).collect::<Result<_>>()?,
            interactive: input.interactive,
        })
    }
}

/// What is left out stays as it is.
#[derive(InputObject)]
pub struct UpdateTaskInput {
    task_id: ID,
    title: Option<String>,
    description: Option<String>,
    priority: Option<Priority>,
    complexity: Option<Complexity>,
    /// All of them.
    acceptance_criteria: Option<Vec<AcceptanceCriterionInput>>,
}

impl TryFrom<UpdateTaskInput> for UpdateTask {
    type Error = Fault;

    fn try_from(input: UpdateTaskInput) -> Result<Self> {
        let criteria = input.acceptance_criteria;
        Ok(Self {
            task_id: id("taskId", &input.task_id)?,
            title: input.title,
            description: input.description,
            priority: input.priority.map(Into::into),
            complexity: input.complexity.map(Into::into),
            acceptance_criteria: criteria.map(|criteria| criteria.into_iter().map(Into::into).collect()),
        })
    }
}

/// Give `taskId`, or `projectId` for its most urgent card.
#[derive(InputObject)]
pub struct DispatchTaskInput {
    pub(super) task_id: Option<ID>,
    pub(super) project_id: Option<ID>,
}

#[derive(InputObject)]
pub struct MoveTaskInput {
    pub(super) task_id: ID,
    pub(super) status: TaskStatus,
}

#[derive(InputObject)]
pub struct ApprovePlanInput {
    pub(super) task_id: ID,
    /// Digest of the plan that was shown; refused when the plan is another by now.
    pub(super) digest: Option<String>,
}

#[derive(InputObject)]
pub struct RejectPlanInput {
    pub(super) task_id: ID,
    /// Digest of the plan that was shown; refused when the plan is another by now.
    pub(super) digest: Option<String>,
    /// Why; the planner is told.
    pub(super) reason: String,
}

#[derive(InputObject)]
pub struct AnswerQuestionInput {
    pub(super) task_id: ID,
    pub(super) question_id: ID,
    pub(super) answer: String,
}

#[derive(InputObject)]
pub struct RequestRetryInput {
    pub(super) task_id: ID,
    pub(super) reason: Option<String>,
}

#[derive(InputObject)]
pub struct InjectPromptInput {
    pub(super) task_id: ID,
    /// What the next iteration is told.
    pub(super) message: String,
}

#[derive(InputObject)]
pub struct CancelTaskInput {
    pub(super) task_id: ID,
    pub(super) reason: Option<String>,
}

#[derive(InputObject)]
pub struct AddArtifactInput {
    pub(super) task_id: ID,
    pub(super) kind: ArtifactKind,
    /// Path or URL.
    pub(super) path: String,
    #[graphql(default)]
    pub(super) description: String,
}

/// Reads settings.
pub(super) fn settings(json: Value) -> Result<model::ProjectSettings> {
    serde_json::from_value(json).map_err(|error| Fault::invalid("settings", error))
}
