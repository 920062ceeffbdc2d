//! `POST /api/commands` and `/api/commands/batch`: every command, as it is.

use axum::Json;
use axum::extract::State;
use futures::future::join_all;
use muster_domain::id::CommandId;
use muster_schemas::api::{BatchItem, BatchResult, CommandRequest};
use muster_service_kit::{Problem, ProblemBytes, codes};
use uuid::Uuid;

use super::openapi::shapes;
use super::request::Asked;
use crate::service::{CommandService, Submitted};

pub(super) async fn execute(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemBytes(body): ProblemBytes,
) -> Result<Submitted, Problem> {
    let request: CommandRequest = shapes().one("CommandRequest").parse(&body)?;
    service.execute(&who, key, request).await
}

/// Each command is answered on its own. Those of one project are carried out in the order they are given.
pub(super) async fn batch(
    State(service): State<CommandService>,
    Asked { who, .. }: Asked,
    ProblemBytes(body): ProblemBytes,
) -> Result<Json<Vec<BatchResult>>, Problem> {
    let items: Vec<BatchItem> = shapes().list("BatchItem").parse(&body)?;
    let max = service.settings().bulk_max_commands;
    if items.len() > max {
        return Err(Problem::new(codes::LIMIT_EXCEEDED)
            .detail(format!("{} commands at once; {max} are allowed.", items.len()))
            .with("limit", "commands per batch")
            .with("limit_value", max));
    }
    let results = join_all(items.into_iter().map(|item| {
        let (key, request) = item.into_parts();
        let key = key.unwrap_or_else(|| CommandId(Uuid::now_v7()));
        let (service, who) = (&service, &who);
        async move { service.execute(who, key, request).await }
    }));
    Ok(Json(results.await.into_iter().map(of_result).collect()))
}

fn of_result(result: Result<Submitted, Problem>) -> BatchResult {
    match result {
        Ok(submitted) => BatchResult { outcome: Some(submitted.outcome), problem: None },
        Err(problem) => BatchResult { outcome: None, problem: Some(document(&problem)) },
    }
}

fn document(problem: &Problem) -> muster_schemas::api::Problem {
    let document = problem.document();
    muster_schemas::api::Problem {
        kind: document.kind,
        title: document.title,
        status: document.status,
        detail: document.detail,
        code: document.code,
        extensions: document.extensions,
    }
}
