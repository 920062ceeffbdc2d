//! REST: routes, and what each takes and gives. It must never decide anything.
//!
//! The routes stand under `/api`. Those of the query service (all `GET` but this service's own description) stand beside
//! them, so both can be served on one port.

mod commands;
mod elsewhere;
mod fields;
mod internal;
mod partitions;
mod projects;
mod request;
mod tasks;
mod work;

pub mod openapi;

use axum::extract::FromRef;
use axum::routing::{get, patch, post, put};
use axum::{Json, Router, middleware};
use muster_service_kit::Authenticator;
use muster_service_kit::auth::require_caller;

use crate::service::CommandService;

/// Every route of the service. The standard layers of a process are left to whoever serves it.
pub fn router(service: CommandService, authenticator: Authenticator) -> Router {
    // Each layer around a route costs every request to it something, so those of users have one less.
    let internal = Router::new()
        .route("/internal/tasks/{task_id}", get(internal::task))
        .route("/internal/offers", post(internal::offers))
        .route("/internal/claims", post(internal::claim))
        .route("/internal/work", post(internal::work))
        .layer(middleware::from_fn_with_state(service.clone(), internal::only_instances));
    let routes = Router::new()
        .route("/api/commands", post(commands::execute))
        .route("/api/commands/batch", post(commands::batch))
        .route("/api/projects", post(projects::create))
        .route("/api/projects/{project_id}/settings", put(projects::change_settings))
        .route("/api/projects/{project_id}/members/{user}", put(projects::add_member).delete(projects::remove_member))
        .route("/api/projects/{project_id}/dispatch", post(projects::dispatch))
        .route("/api/projects/{project_id}/tasks", post(tasks::create))
        .route("/api/projects/{project_id}/tasks/{task_id}", patch(tasks::update_in_project))
        .route("/api/projects/{project_id}/tasks/{task_id}/{action}", post(tasks::act_in_project))
        .route("/api/tasks/{task_id}", patch(tasks::update))
        .route("/api/tasks/{task_id}/{action}", post(tasks::act))
        .route("/api/claims", post(work::claim))
        .route("/api/runs/{run_id}/reports", post(work::report))
        .route("/api/runs/{run_id}/heartbeat", post(work::heartbeat))
        .route("/api/runs/{run_id}/output", post(work::output))
        .layer(middleware::from_fn_with_state(service.clone(), elsewhere::answer_here_or_pass_on))
        .route("/api/partitions", get(partitions::list))
        .merge(internal)
        .with_state(Api { service })
        .layer(middleware::from_fn_with_state(authenticator, require_caller));
    Router::new().route("/api/openapi.json", get(description)).merge(routes)
}

/// What handlers share.
#[derive(Clone)]
struct Api {
    service: CommandService,
}

impl FromRef<Api> for CommandService {
    fn from_ref(api: &Api) -> Self {
        api.service.clone()
    }
}

async fn description() -> Json<serde_json::Value> {
    Json(openapi::document())
}
