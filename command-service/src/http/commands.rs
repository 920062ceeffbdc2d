//! `POST /api/commands` and `/api/commands/batch`: every command, as it is.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use muster_schemas::api::{BatchItem, BatchResult, CommandRequest};
use muster_service_kit::{Problem, ProblemBytes, codes};

use super::openapi::shapes;
use super::request::Asked;
use crate::service::{CommandService, Error, Submitted};

pub(super) async fn execute(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemBytes(body): ProblemBytes,
) -> Result<Submitted, Error> {
    let request: CommandRequest = shapes().one("CommandRequest").parse(&body)?;
    service.execute(&who, key, request).await
}

/// Each command is answered on its own. Those of one project are carried out in the order they are given. Where some are
/// to be sent again, `Retry-After` says when.
pub(super) async fn batch(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemBytes(body): ProblemBytes,
) -> Result<Response, Problem> {
    let items: Vec<BatchItem> = shapes().list("BatchItem").parse(&body)?;
    let max = service.settings().bulk_max_commands;
    if items.len() > max {
        return Err(Problem::new(codes::LIMIT_EXCEEDED)
            .detail(format!("{} commands at once; {max} are allowed.", items.len()))
            .with("limit", "commands per batch")
            .with("limit_value", max));
    }
    let results = service.execute_all(&who, key, items).await;
    let is_later = |result: &BatchResult| result.problem.as_ref().is_some_and(|told| matches!(told.status, 429 | 503));
    let later = results.iter().any(is_later);
    let mut response = Json(results).into_response();
    if later {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    Ok(response)
}
