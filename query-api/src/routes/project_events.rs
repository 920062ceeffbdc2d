//! A project's live hub over server-sent events: what happens, which runs are active, and the logs of chosen runs.

use axum::Json;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::response::sse::Event as SseEvent;
use axum::routing::get;
use futures::StreamExt;
use futures::future::try_join_all;
use futures::stream;
use http::HeaderMap;
use muster_domain::id::{ProjectId, RunId};
use muster_read_store::query::{Event, InProject, Line, Run};
use muster_service_kit::problem::ProblemQuery;
use muster_service_kit::{ProblemPath, codes};
use serde::Deserialize;
use serde_json::{Value, json};

use super::logs::{LOGS_MAX, Logs};
use super::{Service, sse, token};
use crate::fault::{Fault, Result};
use crate::follow::Follow;

/// The routes.
pub fn routes() -> Router<Service> {
    Router::new()
        .route("/api/projects/{project_id}/events", get(follow))
        .route("/api/projects/{project_id}/active-runs", get(active_runs))
}

/// The project's runs that have not ended, oldest first.
async fn active_runs(
    State(service): State<Service>,
    headers: HeaderMap,
    ProblemPath(project_id): ProblemPath<ProjectId>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>> {
    let caller = token::caller(&service, &headers, query.as_deref())?;
    service.access.require(&caller, project_id, None).await?;
    let runs = service.store.active_runs_of(&[project_id.0]).await?;
    Ok(Json(json!({ "active_runs": runs.iter().map(active_run).collect::<Vec<_>>() })))
}

fn active_run(run: &Run) -> Value {
    json!({
        "run_id": run.run_id,
        "task_id": run.task_id,
        "subtask_id": run.subtask_id,
        "role": run.role.0,
        "status": run.status,
        "session_id": run.session_id,
        "attempt": run.attempt,
        "iteration": run.iteration,
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "progress_message": run.progress_message,
        "progress_percent": run.progress_percent,
    })
}

#[derive(Deserialize)]
struct FollowQuery {
    /// Run ids separated by commas, each with `:<line>` behind it to go on after that line; or `all`.
    subscribe_logs: Option<String>,
    after: Option<u64>,
}

/// First `connected` with the active runs, then each event under its type's name, log lines as `agent.log`.
async fn follow(
    State(service): State<Service>,
    headers: HeaderMap,
    ProblemPath(project_id): ProblemPath<ProjectId>,
    RawQuery(query): RawQuery,
    ProblemQuery(wanted): ProblemQuery<FollowQuery>,
) -> Result<Response> {
    let caller = token::caller(&service, &headers, query.as_deref())?;
    service.access.require(&caller, project_id, None).await?;
    let held = service.connections.open(caller.user())?;
    let after = sse::resume_after(&headers, wanted.after)?;
    // The place is taken before the runs are read, so that a run is in one or announced by the other.
    let events = Follow::project(&service.access, &service.live, &caller, project_id, after).await?;
    let runs = service.store.active_runs_of(&[project_id.0]).await?;
    let connected = sse::message(&json!({
        "project_id": project_id,
        "position": events.after(),
        "active_runs": runs.iter().map(active_run).collect::<Vec<_>>(),
    }));
    let connected = connected.event("connected").id(events.after().to_string());
    let logs = Logs::new(service.clone(), caller, project_id);
    let mut hub = Hub { service: service.clone(), project_id, events, logs, all: false };
    hub.subscribe_logs(wanted.subscribe_logs.as_deref(), &runs).await?;
    let items = stream::unfold(hub, |mut hub| async move { Some((hub.next().await, hub)) });
    Ok(sse::respond(vec![connected], items.boxed(), service.pace(), held))
}

/// One connection's place in the project's events and in the logs it follows.
struct Hub {
    service: Service,
    project_id: ProjectId,
    events: Follow,
    logs: Logs,
    /// Whether runs that start later are followed too.
    all: bool,
}

impl Hub {
    async fn subscribe_logs(&mut self, wanted: Option<&str>, active: &[Run]) -> Result<()> {
        match wanted.map(str::trim) {
            None | Some("") => Ok(()),
            Some("all") => {
                self.all = true;
                let active: Vec<_> = active.iter().map(|run| run.run_id).collect();
                self.logs.follow_from_now(&active).await
            }
            Some(list) => {
                let wanted = list.split(',').map(parse_log).collect::<Result<Vec<_>>>()?;
                if wanted.len() > LOGS_MAX {
                    return Err(Fault::invalid("subscribe_logs", format!("at most {LOGS_MAX} runs, or `all`")));
                }
                let places: Vec<_> =
                    wanted.iter().map(|(run_id, _)| InProject::of(self.project_id, run_id.0)).collect();
                let runs = self.service.store.runs_in(&places).await?;
                // What a run that has ended did not put out by now never comes.
                let has_ended = |id: RunId| runs.iter().any(|run| run.run_id == id.0 && run.ended_at.is_some());
                let over = wanted.iter().filter(|(run_id, after)| *after > 0 && has_ended(*run_id));
                let access = &self.service.access;
                try_join_all(over.map(|(run_id, after)| access.reach_line(self.project_id, *run_id, *after))).await?;
                for (run_id, after) in wanted {
                    if !runs.iter().any(|run| run.run_id == run_id.0) {
                        let detail = format!("The project has no run {run_id}.");
                        return Err(Fault::new(codes::RUN_NOT_FOUND, detail));
                    }
                    self.logs.follow(run_id, after);
                }
                Ok(())
            }
        }
    }

    async fn next(&mut self) -> Result<Vec<SseEvent>> {
        tokio::select! {
            events = self.events.next() => {
                let events = events?;
                for event in &events {
                    self.notice(event);
                }
                Ok(events.iter().map(|event| sse::event(event).event(&event.event_type)).collect())
            }
            lines = self.logs.next() => Ok(lines?.iter().map(log_line).collect()),
        }
    }

    /// Follows the log of a run that begins, where all are wanted.
    fn notice(&mut self, event: &Event) {
        if self.all
            && event.event_type == "run.queued"
            && let Some(run_id) = event.data["run_id"].as_str().and_then(|text| text.parse().ok())
        {
            self.logs.follow(run_id, 0);
        }
    }
}

fn parse_log(text: &str) -> Result<(RunId, u64)> {
    let (run_id, after) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
    let unusable = || Fault::invalid("subscribe_logs", format!("{text:?} is neither a run nor `all`"));
    Ok((run_id.parse().map_err(|_| unusable())?, after.parse().map_err(|_| unusable())?))
}

fn log_line(line: &Line) -> SseEvent {
    let data = json!({
        "run_id": line.run_id,
        "task_id": line.task_id,
        "line_number": line.line_number,
        "timestamp": line.written_at,
        "stream": line.stream,
        "content": line.content,
    });
    sse::message(&data).event("agent.log")
}
