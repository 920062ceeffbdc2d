//! What runners ask: claims, reports, heartbeats, output.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use muster_domain::command::ReportRun;
use muster_domain::id::RunId;
use muster_schemas::api::{
    ClaimRequest, CommandRequest, HeartbeatRequest, HeartbeatResponse, OutputRequest, OutputResponse, ReportsRequest,
};
use muster_service_kit::{Problem, ProblemBytes, ProblemPath, codes};

use super::openapi::shapes;
use super::request::Asked;
use crate::service::{CommandService, Error, Submitted};

/// Largest number of what is called `large` in the contract: every client reads it as it is.
const NUMBER_MAX: u64 = (1 << 53) - 1;

/// A work order, or 204.
pub(super) async fn claim(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemBytes(body): ProblemBytes,
) -> Result<Response, Error> {
    let request: ClaimRequest = shapes().one("ClaimRequest").parse(&body)?;
    let order = service.claim(&who, key, &request).await?;
    #[cfg(feature = "mutants")]
    let order = crate::mutants::given_before(order);
    Ok(match order {
        Some(order) => Json(order).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

pub(super) async fn report(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath(run_id): ProblemPath<RunId>,
    ProblemBytes(body): ProblemBytes,
) -> Result<Submitted, Error> {
    let ReportsRequest { task_id, fencing_token, reports } = shapes().one("ReportsRequest").any_text().parse(&body)?;
    let command = ReportRun { task_id, run_id, fencing_token, reports };
    service.execute(&who, key, CommandRequest::of(command)).await
}

pub(super) async fn heartbeat(
    State(service): State<CommandService>,
    Asked { who, key }: Asked,
    ProblemPath(run_id): ProblemPath<RunId>,
    ProblemBytes(body): ProblemBytes,
) -> Result<Json<HeartbeatResponse>, Error> {
    let request: HeartbeatRequest = shapes().one("HeartbeatRequest").parse(&body)?;
    service.heartbeat(&who, key, run_id, request).await.map(Json)
}

pub(super) async fn output(
    State(service): State<CommandService>,
    Asked { who, .. }: Asked,
    ProblemPath(run_id): ProblemPath<RunId>,
    ProblemBytes(body): ProblemBytes,
) -> Result<Json<OutputResponse>, Error> {
    let request: OutputRequest = shapes().one("OutputRequest").any_text().parse(&body)?;
    let next = request.first_line_number.saturating_add(request.lines.len() as u64);
    if next > NUMBER_MAX {
        let problem = Problem::new(codes::INVALID_ARGUMENT)
            .detail(format!("first_line_number: the line after these would be {next}, beyond {NUMBER_MAX}."))
            .with("field", "first_line_number");
        return Err(problem.into());
    }
    service.append_output(&who, run_id, request).await.map(Json)
}
