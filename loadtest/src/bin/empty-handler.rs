//! The limit of commands over HTTP: the same server, layers, authentication and body as the command service, and a
//! handler that does nothing. It must never become part of the product.

use std::time::Duration;

use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use muster_client::api::CommandRequest;
use muster_client::domain::decide::Outcome;
use muster_client::domain::id::{CommandId, EventId, ProjectId, TaskId};
use muster_service_kit::auth::require_caller;
use muster_service_kit::config::Loader;
use muster_service_kit::{Authenticator, Caller, ProblemJson, Shutdown, limits, serve, telemetry};
use uuid::Uuid;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Loader::standard().load()?;
    telemetry::init(&config.telemetry)?;
    let shutdown = Shutdown::on_signals()?;
    let router = Router::new()
        .route("/api/commands", post(nothing))
        .layer(middleware::from_fn_with_state(Authenticator::from_config(&config.auth)?, require_caller))
        .route("/readyz", get(|| async { "ready" }));
    let listener = serve::listen(&config.http).await?;
    serve::serve(limits::standard_layers(router, &config), listener, &shutdown, Duration::from_secs(1)).await?;
    Ok(())
}

/// An answer of the size the command service gives.
async fn nothing(_caller: Caller, ProblemJson(request): ProblemJson<CommandRequest>) -> Json<Outcome> {
    let id = Uuid::now_v7();
    Json(Outcome {
        command_id: CommandId(id),
        project_id: request.project_id.unwrap_or(ProjectId(id)),
        task_id: request.command.task_id().or(Some(TaskId(id))),
        sequence: Some(1_000),
        position: 1_000,
        event_ids: vec![EventId(id)],
        claim: None,
        lease_expires_at: None,
    })
}
