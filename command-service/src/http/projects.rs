//! Projects: their creation, settings, members, and the release of their most urgent card.

use axum::extract::State;
use muster_domain::id::ProjectId;
use muster_service_kit::ProblemPath;
use muster_service_kit::json::parse_json;

use super::fields::Fields;
use super::request::Asked;
use crate::service::{CommandService, Error, Submitted};

pub(super) async fn create(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    mut fields: Fields,
) -> Result<Submitted, Error> {
    let project_id: Option<ProjectId> = match fields.take("project_id") {
        Some(given) => {
            parse_json(given.to_string().as_bytes()).map_err(|problem| problem.with("path", "project_id"))?
        }
        None => None,
    };
    service.execute(&who, key, fields.command("create_project", project_id, [])?).await
}

pub(super) async fn change_settings(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath(project_id): ProblemPath<ProjectId>,
    fields: Fields,
) -> Result<Submitted, Error> {
    service.execute(&who, key, fields.command("change_settings", Some(project_id), [])?).await
}

pub(super) async fn add_member(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath((project_id, user)): ProblemPath<(ProjectId, String)>,
    fields: Fields,
) -> Result<Submitted, Error> {
    service.execute(&who, key, fields.command("add_member", Some(project_id), [("user", user)])?).await
}

pub(super) async fn remove_member(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath((project_id, user)): ProblemPath<(ProjectId, String)>,
    fields: Fields,
) -> Result<Submitted, Error> {
    service.execute(&who, key, fields.command("remove_member", Some(project_id), [("user", user)])?).await
}

/// Releases the most urgent card that was not released; the answer names none when there is none.
pub(super) async fn dispatch(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath(project_id): ProblemPath<ProjectId>,
    fields: Fields,
) -> Result<Submitted, Error> {
    service.execute(&who, key, fields.command("dispatch_task", Some(project_id), [])?).await
}
