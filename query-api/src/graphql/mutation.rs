//! Mutations: each is one command, passed on to the command service in the caller's name. Nothing is decided here.

use async_graphql::{Context, ID, Object, SimpleObject};
use muster_client::api::CommandRequest;
use muster_domain::command::{
    AddArtifact, AddMember, AnswerQuestion, ApprovePlan, CancelTask, ChangeSettings, Command, CreateProject,
    CreateTask, DispatchTask, InjectPrompt, MoveTask, RejectPlan, RemoveMember, RequestRetry, UpdateTask,
};
use muster_domain::decide::Outcome;
use muster_domain::id::ProjectId;

use super::context::{caller, id, maybe_id, services};
use super::inputs::{
    AddArtifactInput, AddMemberInput, AnswerQuestionInput, ApprovePlanInput, CancelTaskInput, ChangeSettingsInput,
    CreateProjectInput, CreateTaskInput, DispatchTaskInput, InjectPromptInput, MoveTaskInput, RejectPlanInput,
    RemoveMemberInput, RequestRetryInput, UpdateTaskInput, settings,
};
use super::records::IntoId;
use crate::fault::{Fault, Result};

/// Mutations. `idempotencyKey` is a UUID: the same key with the same command gives the same answer, however often it is
/// sent. `expectedSequence` is the task's sequence the caller has seen (the project's position, where no task is
/// concerned): the command is refused when it has moved on.
pub struct Mutation;

/// What an accepted command came to.
#[derive(SimpleObject)]
pub struct CommandPayload {
    /// Position of the project after it. Give it as `minPosition` to read what it did.
    position: u64,
    /// Sequence of the task after it.
    sequence: Option<u64>,
    task_id: Option<ID>,
    project_id: ID,
    /// The command: the idempotency key.
    command_id: ID,
}

impl From<Outcome> for CommandPayload {
    fn from(outcome: Outcome) -> Self {
        Self {
            position: outcome.position,
            sequence: outcome.sequence,
            task_id: outcome.task_id.map(IntoId::into_id),
            project_id: outcome.project_id.into_id(),
            command_id: outcome.command_id.into_id(),
        }
    }
}

/// What every mutation takes beside its input.
struct Around {
    project_id: Option<ProjectId>,
    key: Option<ID>,
    expected_sequence: Option<u64>,
}

impl Around {
    /// About a task; the command service knows its project.
    const fn task(key: Option<ID>, expected_sequence: Option<u64>) -> Self {
        Self { project_id: None, key, expected_sequence }
    }

    const fn project(project_id: ProjectId, key: Option<ID>, expected_sequence: Option<u64>) -> Self {
        Self { project_id: Some(project_id), key, expected_sequence }
    }
}

async fn send(ctx: &Context<'_>, around: Around, command: impl Into<Command>) -> Result<CommandPayload> {
    let key = maybe_id("idempotencyKey", around.key.as_ref())?;
    let request = CommandRequest {
        project_id: around.project_id,
        expected_sequence: around.expected_sequence,
        ..CommandRequest::of(command)
    };
    Ok(services(ctx)?.commands.execute(caller(ctx)?, request, key).await?.into())
}

#[Object]
impl Mutation {
    /// Puts a repository under Muster's care; the caller becomes its owner.
    async fn create_project(
        &self,
        ctx: &Context<'_>,
        input: CreateProjectInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let command = CreateProject {
            name: input.name,
            repository_path: input.repository_path,
            default_branch: input.default_branch,
            settings: input.settings.map(settings).transpose()?.unwrap_or_default(),
        };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }

    /// Replaces a project's settings.
    async fn change_settings(
        &self,
        ctx: &Context<'_>,
        input: ChangeSettingsInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let around = Around::project(id("projectId", &input.project_id)?, idempotency_key, expected_sequence);
        send(ctx, around, ChangeSettings { settings: settings(input.settings)? }).await
    }

    /// Adds a member or changes a member's role.
    async fn add_member(
        &self,
        ctx: &Context<'_>,
        input: AddMemberInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let around = Around::project(id("projectId", &input.project_id)?, idempotency_key, expected_sequence);
        send(ctx, around, AddMember { user: input.user, role: input.role.into() }).await
    }

    /// Removes a member.
    async fn remove_member(
        &self,
        ctx: &Context<'_>,
        input: RemoveMemberInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let around = Around::project(id("projectId", &input.project_id)?, idempotency_key, expected_sequence);
        send(ctx, around, RemoveMember { user: input.user }).await
    }

    /// Puts a card on the board.
    async fn create_task(
        &self,
        ctx: &Context<'_>,
        input: CreateTaskInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let around = Around::project(id("projectId", &input.project_id)?, idempotency_key, expected_sequence);
        send(ctx, around, CreateTask::try_from(input)?).await
    }

    /// Edits a card.
    async fn update_task(
        &self,
        ctx: &Context<'_>,
        input: UpdateTaskInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        send(ctx, Around::task(idempotency_key, expected_sequence), UpdateTask::try_from(input)?).await
    }

    /// Releases a card to the agents: the one named, or the most urgent one of a project.
    async fn dispatch_task(
        &self,
        ctx: &Context<'_>,
        input: DispatchTaskInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let task_id = maybe_id("taskId", input.task_id.as_ref())?;
        let project_id = maybe_id("projectId", input.project_id.as_ref())?;
        if task_id.is_none() && project_id.is_none() {
            return Err(Fault::invalid("taskId", "give taskId or projectId"));
        }
        let around = Around { project_id, key: idempotency_key, expected_sequence };
        send(ctx, around, DispatchTask { task_id }).await
    }

    /// Moves a card to another column.
    async fn move_task(
        &self,
        ctx: &Context<'_>,
        input: MoveTaskInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let command = MoveTask { task_id: id("taskId", &input.task_id)?, status: input.status.into() };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }

    /// Approves the plan that waits.
    async fn approve_plan(
        &self,
        ctx: &Context<'_>,
        input: ApprovePlanInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let command = ApprovePlan { task_id: id("taskId", &input.task_id)?, digest: input.digest };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }

    /// Rejects the plan that waits; the planner tries again with the reason.
    async fn reject_plan(
        &self,
        ctx: &Context<'_>,
        input: RejectPlanInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let task_id = id("taskId", &input.task_id)?;
        let command = RejectPlan { task_id, digest: input.digest, reason: input.reason };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }

    /// Answers an agent's question.
    async fn answer_question(
        &self,
        ctx: &Context<'_>,
        input: AnswerQuestionInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let command = AnswerQuestion {
            task_id: id("taskId", &input.task_id)?,
            question_id: id("questionId", &input.question_id)?,
            answer: input.answer,
        };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }

    /// Tries a failed or blocked card again.
    async fn request_retry(
        &self,
        ctx: &Context<'_>,
        input: RequestRetryInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let command = RequestRetry { task_id: id("taskId", &input.task_id)?, reason: input.reason };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }

    /// Adds context for the next iteration.
    async fn inject_prompt(
        &self,
        ctx: &Context<'_>,
        input: InjectPromptInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let command = InjectPrompt { task_id: id("taskId", &input.task_id)?, message: input.message };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }

    /// Cancels a card.
    async fn cancel_task(
        &self,
        ctx: &Context<'_>,
        input: CancelTaskInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let command = CancelTask { task_id: id("taskId", &input.task_id)?, reason: input.reason };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }

    /// Adds an artifact.
    async fn add_artifact(
        &self,
        ctx: &Context<'_>,
        input: AddArtifactInput,
        idempotency_key: Option<ID>,
        expected_sequence: Option<u64>,
    ) -> Result<CommandPayload> {
        let command = AddArtifact {
            task_id: id("taskId", &input.task_id)?,
            kind: input.kind.into(),
            path: input.path,
            description: input.description,
        };
        send(ctx, Around::task(idempotency_key, expected_sequence), command).await
    }
}
