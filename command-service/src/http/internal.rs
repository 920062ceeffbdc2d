//! What instances ask each other, as the user whose request they carry out, whose rights count. None of it may be passed on
//! again, and nobody else may ask it.

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode};
use muster_domain::id::{RunId, TaskId};
use muster_schemas::api::ClaimRequest;
use muster_service_kit::{ProblemJson, ProblemPath, ProblemQuery};
use serde::Deserialize;
use uuid::Uuid;

use super::request::Asked;
use crate::problem::not_an_instance;
use crate::service::{
    CommandService, Error, FORWARDED_HEADER, NOT_OWNER_HEADER, NOT_OWNER_STRANGER, Offers, TaskAnswer, TaskInQuestion,
};

/// Middleware: nobody but an instance passes. A user who did would be told what instances tell each other, and could claim
/// twice with one key.
pub(super) async fn only_instances(State(service): State<CommandService>, request: Request, next: Next) -> Response {
    if service.is_instance(request.headers()) { next.run(request).await } else { refused() }
}

/// What is answered to whoever asks, or says that a request was passed on, and is no instance.
pub(super) fn refused() -> Response {
    let mut response = not_an_instance().into_response();
    // For an instance that was given another secret: nothing was done here.
    response.headers_mut().insert(NOT_OWNER_HEADER, HeaderValue::from_static(NOT_OWNER_STRANGER));
    response
}

/// Which of several tasks of one id is meant.
#[derive(Deserialize)]
pub(super) struct OfRun {
    run_id: Option<RunId>,
}

/// The project of a task, if a partition of this instance has it and the caller may know.
pub(super) async fn task(
    State(service): State<CommandService>,
    Asked { who, .. }: Asked,
    ProblemPath(task_id): ProblemPath<TaskId>,
    ProblemQuery(OfRun { run_id }): ProblemQuery<OfRun>,
) -> Json<TaskAnswer> {
    Json(service.task_here(&who, TaskInQuestion { task_id, run_id }).await)
}

/// What this instance has to offer for a claim, and whether it has answered that claim before.
pub(super) async fn offers(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    headers: HeaderMap,
    ProblemJson(request): ProblemJson<ClaimRequest>,
) -> Json<Offers> {
    let asker = headers.get(FORWARDED_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Json(service.offers_here(&who, key, asker, &request).await)
}

/// Whether there is work here for a claim that waits at another instance; answered when there is some, or after a while.
pub(super) async fn work(
    State(service): State<CommandService>,
    Asked { who, .. }: Asked,
    ProblemJson(request): ProblemJson<ClaimRequest>,
) -> Json<bool> {
    Json(service.has_work(&who, &request).await)
}

/// What a claim is passed on with.
#[derive(Debug, Deserialize)]
pub(super) struct Ticket {
    /// As told with the offers.
    ticket: Uuid,
}

/// A claim in partitions of this instance alone, at once.
pub(super) async fn claim(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemQuery(Ticket { ticket }): ProblemQuery<Ticket>,
    ProblemJson(request): ProblemJson<ClaimRequest>,
) -> Result<Response, Error> {
    Ok(match service.claim_here(&who, key, ticket, request).await? {
        Some(order) => Json(order).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}
