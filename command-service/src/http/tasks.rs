//! Tasks, with their project in the route or found by the task.

use axum::extract::State;
use muster_domain::id::{ProjectId, TaskId};
use muster_service_kit::{Problem, ProblemPath, codes};

use super::fields::Fields;
use super::request::Asked;
use crate::service::{CommandService, Error, Submitted};

/// What can be done with a task, and the command it is.
pub(super) const ACTIONS: [(&str, &str); 9] = [
    ("approve", "approve_plan"),
    ("reject", "reject_plan"),
    ("retry", "request_retry"),
    ("cancel", "cancel_task"),
    ("dispatch", "dispatch_task"),
    ("prompt", "inject_prompt"),
    ("answer", "answer_question"),
    ("move", "move_task"),
    ("artifacts", "add_artifact"),
];

pub(super) async fn create(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath(project_id): ProblemPath<ProjectId>,
    fields: Fields,
) -> Result<Submitted, Error> {
    service.execute(&who, key, fields.command("create_task", Some(project_id), [])?).await
}

pub(super) async fn update_in_project(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath((project_id, task_id)): ProblemPath<(ProjectId, TaskId)>,
    fields: Fields,
) -> Result<Submitted, Error> {
    let request = fields.command("update_task", Some(project_id), [("task_id", task_id.to_string())])?;
    service.execute(&who, key, request).await
}

pub(super) async fn act_in_project(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath((project_id, task_id, action)): ProblemPath<(ProjectId, TaskId, String)>,
    fields: Fields,
) -> Result<Submitted, Error> {
    let request = fields.command(command_of(&action)?, Some(project_id), [("task_id", task_id.to_string())])?;
    service.execute(&who, key, request).await
}

pub(super) async fn update(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath(task_id): ProblemPath<TaskId>,
    fields: Fields,
) -> Result<Submitted, Error> {
    let project_id = service.project_of(&who, task_id.into()).await?;
    let request = fields.command("update_task", Some(project_id), [("task_id", task_id.to_string())])?;
    service.execute(&who, key, request).await
}

pub(super) async fn act(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath((task_id, action)): ProblemPath<(TaskId, String)>,
    fields: Fields,
) -> Result<Submitted, Error> {
    let command = command_of(&action)?;
    let project_id = service.project_of(&who, task_id.into()).await?;
    service.execute(&who, key, fields.command(command, Some(project_id), [("task_id", task_id.to_string())])?).await
}

fn command_of(action: &str) -> Result<&'static str, Problem> {
    ACTIONS.iter().find(|(name, _)| *name == action).map(|(_, command)| *command).ok_or_else(|| {
        let known: Vec<_> = ACTIONS.iter().map(|(name, _)| *name).collect();
        Problem::new(codes::ROUTE_NOT_FOUND)
            .detail(format!("Nothing can be done with a task by that name; known are {}.", known.join(", ")))
    })
}
