//! Plain WebSockets: the work queue of a project, and the progress of a task. Each message is one JSON object with the
//! `position` to resume behind (`?after=`), but for log lines, which have their `line_number`.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use futures::future::BoxFuture;
use http::HeaderMap;
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_read_store::query::{Event, InProject, Line};
use muster_service_kit::ProblemPath;
use muster_service_kit::problem::ProblemQuery;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::connections::Connection;
use super::logs::Logs;
use super::{Service, token};
use crate::fault::{Fault, Result};
use crate::follow::Follow;

/// How long a client may take to take that it is closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The routes.
pub fn routes() -> Router<Service> {
    Router::new().route("/ws/projects/{project_id}", get(queue)).route("/ws/{task_id}", get(progress))
}

#[derive(Deserialize)]
struct Resume {
    after: Option<u64>,
}

/// What a socket is told.
trait Told: Send + 'static {
    /// The next messages. Safe to cancel.
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Value>>>;
}

/// The work queue: `work:…` and `agent:…` as they happen.
async fn queue(
    State(service): State<Service>,
    headers: HeaderMap,
    ProblemPath(project_id): ProblemPath<ProjectId>,
    RawQuery(query): RawQuery,
    ProblemQuery(resume): ProblemQuery<Resume>,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    let caller = token::caller(&service, &headers, query.as_deref())?;
    service.access.require(&caller, project_id, None).await?;
    let held = service.connections.open(caller.user())?;
    let events = Follow::project(&service.access, &service.live, &caller, project_id, resume.after).await?;
    let first = json!({ "event": "connected", "position": events.after() });
    Ok(serve(upgrade, &service, held, first, Queue(events)))
}

struct Queue(Follow);

impl Told for Queue {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Value>>> {
        Box::pin(async { Ok(self.0.next().await?.iter().filter_map(|event| work(event)).collect()) })
    }
}

/// The event under its name in the queue; `None` for what is not of the queue.
fn work(event: &Event) -> Option<Value> {
    let name = match event.event_type.as_str() {
        "task.created" => "work:added",
        "task.status_changed" => "work:status_changed",
        "work.assigned" => "work:assigned",
        "work.progress" => "work:progress",
        "task.completed" => "work:completed",
        "agent.spawned" => "agent:spawned",
        "agent.status_changed" => "agent:status_changed",
        _ => return None,
    };
    Some(json!({
        "event": name,
        "position": event.position,
        "task_id": event.task_id,
        "timestamp": event.event_at,
        "data": event.data,
    }))
}

/// The progress of a task: `agent_log`, `progress` and `task_complete`.
async fn progress(
    State(service): State<Service>,
    headers: HeaderMap,
    ProblemPath(task_id): ProblemPath<TaskId>,
    RawQuery(query): RawQuery,
    ProblemQuery(resume): ProblemQuery<Resume>,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    let caller = token::caller(&service, &headers, query.as_deref())?;
    let task = service.access.require_task(&caller, task_id, None).await?;
    let project_id = ProjectId(task.project_id);
    let held = service.connections.open(caller.user())?;
    let events = Follow::project(&service.access, &service.live, &caller, project_id, resume.after).await?;
    let events = events.only(service.store.clone(), task_id).await?;
    let first = json!({ "type": "connected", "task_id": task_id, "position": events.after() });
    let mut logs = Logs::new(service.clone(), caller, project_id);
    let runs = service.store.runs_of(&[InProject::of(project_id, task_id.0)]).await?;
    let roles = runs.iter().map(|run| (run.run_id, run.role.0.as_str().to_owned())).collect();
    let live: Vec<_> = runs.iter().filter(|run| run.ended_at.is_none()).map(|run| run.run_id).collect();
    logs.follow_from_now(&live).await?;
    Ok(serve(upgrade, &service, held, first, Progress { events, logs, roles }))
}

struct Progress {
    events: Follow,
    logs: Logs,
    /// Roles by run.
    roles: HashMap<Uuid, String>,
}

impl Told for Progress {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Value>>> {
        Box::pin(async {
            tokio::select! {
                events = self.events.next() => {
                    let events = events?;
                    Ok(events.iter().filter_map(|event| self.message(event)).collect())
                }
                lines = self.logs.next() => Ok(lines?.iter().map(|line| self.log(line)).collect()),
            }
        })
    }
}

impl Progress {
    fn message(&mut self, event: &Event) -> Option<Value> {
        let data = &event.data;
        let common = |kind: &str, mut message: Value| {
            message["type"] = json!(kind);
            message["task_id"] = json!(event.task_id);
            message["position"] = json!(event.position);
            message["timestamp"] = json!(event.event_at);
            Some(message)
        };
        match event.event_type.as_str() {
            "run.queued" => {
                let run_id: RunId = data["run_id"].as_str()?.parse().ok()?;
                let role = data["role"].as_str().unwrap_or_default();
                self.roles.insert(run_id.0, role.to_owned());
                self.logs.follow(run_id, 0);
                common("progress", json!({ "phase": role, "progress": null, "message": format!("{role} queued") }))
            }
            "work.progress" => {
                let role = data["run_id"].as_str().and_then(|id| self.roles.get(&id.parse().ok()?));
                let share = data["percent"].as_f64().map(|percent| percent / 100.0);
                common("progress", json!({ "phase": role, "progress": share, "message": data["message"] }))
            }
            "task.status_changed" => {
                let phase = &data["new_status"];
                let over = phase == "cancelled";
                let message = json!({ "phase": phase, "progress": null, "message": data["reason"] });
                if over {
                    common("task_complete", json!({ "status": "cancelled" }))
                } else {
                    common("progress", message)
                }
            }
            "task.completed" => {
                let artifacts = json!({ "branch": data["branch"], "merge_commit": data["merge_commit"] });
                common("task_complete", json!({ "status": "completed", "artifacts": artifacts }))
            }
            "task.failed" => common("task_complete", json!({ "status": "failed", "error": data["error"] })),
            _ => None,
        }
    }

    fn log(&self, line: &Line) -> Value {
        json!({
            "type": "agent_log",
            "task_id": line.task_id,
            "run_id": line.run_id,
            "line_number": line.line_number,
            "agent_name": self.roles.get(&line.run_id),
            "message": line.content,
            "level": if line.stream == "stderr" { "error" } else { "info" },
            "timestamp": line.written_at,
        })
    }
}

fn serve(upgrade: WebSocketUpgrade, service: &Service, held: Connection, first: Value, told: impl Told) -> Response {
    let (heartbeat, stop) = (Duration::from_secs(service.config.sse_heartbeat_s.max(1)), service.shutdown.token());
    upgrade.on_upgrade(move |mut socket| async move {
        let _held = held;
        // Also while a message waits for a client that does not read.
        let end = stop.run_until_cancelled(tell(&mut socket, first, told, heartbeat)).await;
        let end = end.unwrap_or_else(|| Some(closed(close_code::RESTART, "the service stops")));
        // Whoever is gone, or reads nothing, need not be told why.
        let _gone = tokio::time::timeout(CLOSE_WITHIN, socket.send(Message::Close(end))).await;
    })
}

/// Tells until the other side leaves or the caller may see no more. Returns how to close. Safe to cancel: what was begun
/// to be sent is sent before anything else.
async fn tell(socket: &mut WebSocket, first: Value, mut told: impl Told, heartbeat: Duration) -> Option<CloseFrame> {
    socket.send(Message::text(first.to_string())).await.ok()?;
    let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + heartbeat, heartbeat);
    loop {
        let messages = tokio::select! {
            received = socket.recv() => match received? {
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => continue,
            },
            _ = heartbeat.tick() => vec![Message::Ping(axum::body::Bytes::new())],
            messages = told.next() => match messages {
                Ok(messages) => messages.iter().map(|message| Message::text(message.to_string())).collect(),
                Err(fault) => return Some(refused(&fault)),
            },
        };
        for message in messages {
            socket.send(message).await.ok()?;
        }
    }
}

fn refused(fault: &Fault) -> CloseFrame {
    let code = if fault.code() == "forbidden" { close_code::POLICY } else { close_code::ERROR };
    closed(code, fault.code())
}

fn closed(code: u16, reason: &str) -> CloseFrame {
    CloseFrame { code, reason: reason.into() }
}
