//! The bridge: tasks and events over plain HTTP, for phones, scripts and `curl`.

use axum::Json;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use futures::StreamExt;
use futures::stream;
use http::{HeaderMap, StatusCode};
use muster_client::api::{CommandRequest, IDEMPOTENCY_KEY_HEADER};
use muster_domain::command::{
    AnswerQuestion, ApprovePlan, CancelTask, Command, InjectPrompt, RejectPlan, RequestRetry,
};
use muster_domain::decide::Outcome;
use muster_domain::id::{CommandId, ProjectId, QuestionId, TaskId};
use muster_read_store::query::{HistoryOf, Task};
use muster_service_kit::problem::ProblemQuery;
use muster_service_kit::{Caller, Problem, ProblemJson, ProblemPath, codes};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sse;
use super::{Service, token};
use crate::fault::{Fault, Result};
use crate::follow::Follow;

/// The routes.
pub fn routes() -> Router<Service> {
    Router::new()
        .route("/tasks", get(tasks))
        .route("/tasks/{task_id}/state", get(state))
        .route("/events", axum::routing::post(publish))
        .route("/events/{task_id}", get(events))
        .route("/events/{task_id}/stream", get(follow))
}

#[derive(Deserialize)]
struct TasksQuery {
    project_id: Option<ProjectId>,
    limit: Option<u32>,
}

/// Open tasks of the caller's projects, most urgent first.
async fn tasks(
    State(service): State<Service>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    ProblemQuery(wanted): ProblemQuery<TasksQuery>,
) -> Result<Json<Value>> {
    let caller = token::caller(&service, &headers, query.as_deref())?;
    let limit = service.limit(wanted.limit);
    let user = (!caller.principal.admin).then(|| caller.user());
    let tasks = service.store.open_tasks(user, wanted.project_id, limit).await?;
    Ok(Json(json!({ "tasks": tasks.iter().map(card).collect::<Vec<_>>() })))
}

fn card(task: &Task) -> Value {
    json!({
        "task_id": task.task_id,
        "project_id": task.project_id,
        "title": task.title,
        "status": task.status.0,
        "priority": task.priority.0,
        "complexity": task.complexity.0,
        "created_by": task.created_by,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "sequence": task.sequence,
        "position": task.position,
        "current_run_id": task.current_run_id,
        "assigned_session_id": task.assigned_session_id,
        "plan_digest": task.plan_digest,
        "plan_state": task.plan_state,
        "progress_message": task.progress_message,
        "progress_percent": task.progress_percent,
    })
}

#[derive(Deserialize)]
struct StateQuery {
    sequence: Option<u64>,
}

/// A task's computed state, now or right after one of its events.
async fn state(
    State(service): State<Service>,
    headers: HeaderMap,
    ProblemPath(task_id): ProblemPath<TaskId>,
    RawQuery(query): RawQuery,
    ProblemQuery(wanted): ProblemQuery<StateQuery>,
) -> Result<Json<Value>> {
    let caller = token::caller(&service, &headers, query.as_deref())?;
    let row = service.access.require_task(&caller, task_id, None).await?;
    let sequence = wanted.sequence.unwrap_or_else(|| u64::try_from(row.sequence).unwrap_or(0));
    let task = service.store.task_at(ProjectId(row.project_id), task_id, sequence).await?.ok_or_else(|| {
        Fault::new(codes::INVALID_ARGUMENT, format!("The task has no event with sequence {sequence}."))
    })?;
    Ok(Json(serde_json::to_value(task).map_err(Problem::internal)?))
}

#[derive(Deserialize)]
struct EventsQuery {
    after: Option<u64>,
    limit: Option<u32>,
}

/// A task's events behind sequence `after`.
async fn events(
    State(service): State<Service>,
    headers: HeaderMap,
    ProblemPath(task_id): ProblemPath<TaskId>,
    RawQuery(query): RawQuery,
    ProblemQuery(wanted): ProblemQuery<EventsQuery>,
) -> Result<Json<Value>> {
    let caller = token::caller(&service, &headers, query.as_deref())?;
    let task = service.access.require_task(&caller, task_id, None).await?;
    let project_id = ProjectId(task.project_id);
    let after = wanted.after.unwrap_or(0);
    service.access.reach_sequence(project_id, task_id, after).await?;
    let of = HistoryOf::Task { project_id, task_id, after };
    let slice = service.store.history(of, service.limit(wanted.limit)).await?;
    let events: Vec<_> = slice.rows.iter().map(muster_read_store::query::Event::to_json).collect();
    Ok(Json(json!({ "events": events, "has_more": slice.has_more })))
}

/// A task's events as a stream: those behind the position to resume at, then live.
async fn follow(
    State(service): State<Service>,
    headers: HeaderMap,
    ProblemPath(task_id): ProblemPath<TaskId>,
    RawQuery(query): RawQuery,
    ProblemQuery(wanted): ProblemQuery<EventsQuery>,
) -> Result<Response> {
    let caller = token::caller(&service, &headers, query.as_deref())?;
    let task = service.access.require_task(&caller, task_id, None).await?;
    let held = service.connections.open(caller.user())?;
    let after = sse::resume_after(&headers, wanted.after)?.unwrap_or(0);
    let project_id = ProjectId(task.project_id);
    let follow = Follow::project(&service.access, &service.live, &caller, project_id, Some(after)).await?;
    let follow = follow.only(service.store.clone(), task_id).await?;
    let items = stream::unfold(follow, |mut follow| async move {
        let events = follow.next().await.map(|events| events.iter().map(|event| sse::event(event)).collect());
        Some((events, follow))
    });
    Ok(sse::respond(Vec::new(), items.boxed(), service.pace(), held))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    #[serde(rename = "type")]
    event_type: String,
    task_id: TaskId,
    #[serde(default)]
    data: PublishedData,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PublishedData {
    digest: Option<String>,
    reason: Option<String>,
    question_id: Option<QuestionId>,
    answer: Option<String>,
    message: Option<String>,
}

/// Takes what a person did and has it carried out as a command; answered once it is durable.
async fn publish(
    State(service): State<Service>,
    headers: HeaderMap,
    body: std::result::Result<ProblemJson<Published>, Problem>,
) -> Result<(StatusCode, Json<Outcome>)> {
    let mut caller = Caller::from_headers(&service.authenticator, &headers)?;
    let ProblemJson(published) = body?;
    caller.source.get_or_insert_with(|| "mobile".to_owned());
    let key = idempotency_key(&headers)?;
    let outcome = service.commands.execute(&caller, CommandRequest::of(command(published)?), key).await?;
    Ok((StatusCode::ACCEPTED, Json(outcome)))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<CommandId>> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Fault::invalid(IDEMPOTENCY_KEY_HEADER, "it is given more than once"));
    }
    let key = value.to_str().ok().and_then(|text| text.parse().ok());
    key.map(Some).ok_or_else(|| Fault::invalid(IDEMPOTENCY_KEY_HEADER, "a UUID is expected"))
}

fn command(published: Published) -> Result<Command> {
    let Published { event_type, task_id, data } = published;
    Ok(match event_type.as_str() {
        "user.approved_plan" => ApprovePlan { task_id, digest: data.digest }.into(),
        "user.rejected_plan" => {
            RejectPlan { task_id, digest: data.digest, reason: needed("data.reason", data.reason)? }.into()
        }
        "user.answered_question" => AnswerQuestion {
            task_id,
            question_id: needed("data.question_id", data.question_id)?,
            answer: needed("data.answer", data.answer)?,
        }
        .into(),
        "user.requested_retry" => RequestRetry { task_id, reason: data.reason }.into(),
        "user.injected_prompt" => InjectPrompt { task_id, message: needed("data.message", data.message)? }.into(),
        "user.cancelled_task" => CancelTask { task_id, reason: data.reason }.into(),
        other => return Err(Fault::invalid("type", format!("{other:?} is nothing a person can publish"))),
    })
}

fn needed<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| {
        Problem::new(codes::INVALID_BODY).detail(format!("{field} is missing.")).with("field", field).into()
    })
}
