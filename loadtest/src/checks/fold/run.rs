//! Rows of a run: its claim and lease, its life, what it used.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::event::Event;
use super::{Fold, Row, add, count, set};

fn new_run(event: &Event, task_id: Uuid) -> Value {
    let at = event.at_micros;
    let mut row = json!({
        "project_id": event.project_id, "task_id": task_id, "status": "queued", "lease_live": false, "iteration": 0,
        "workspace_live": false, "queued_at": at, "updated_at": at,
    });
    for column in ["run_id", "subtask_id", "role", "attempt"] {
        row[column] = event.data[column].clone();
    }
    let unknown = [
        "session_id",
        "fencing_token",
        "lease_expires_at",
        "release_reason",
        "max_iterations",
        "harness_config",
        "branch",
        "workspace_path",
        "base_commit",
        "pid",
        "progress_message",
        "progress_percent",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cost_usd",
        "duration_ms",
        "pr_url",
        "error",
        "will_retry",
        "started_at",
        "ended_at",
    ];
    for column in unknown {
        row[column] = Value::Null;
    }
    row
}

impl Fold {
    pub(super) fn run(&mut self, event: &Event, task_id: Uuid) {
        let (run_id, data) = (event.uuid("run_id"), &event.data);
        if event.event_type == "run.queued" {
            self.put("runs", &run_id.unwrap_or_default().to_string(), new_run(event, task_id));
            return;
        }
        let Some(run) = self.row("runs", run_id) else { return };
        let session_id = run.get("session_id").and_then(Value::as_str).and_then(|id| id.parse().ok());
        if changed(run, event) {
            set(run, [("updated_at", event.at_micros.into())]);
        }
        if let Some(task) = self.row("tasks", Some(task_id)) {
            of_the_card(task, event);
        }
        if event.event_type == "agent.complete"
            && let Some(session) = self.row("sessions", session_id)
            && session.get("current_run_id") == data.get("run_id")
        {
            let more = data["result"]["tokens"]["total_tokens"].as_u64().unwrap_or(0);
            let sum = count(session, "tokens_used") + more;
            set(session, [("tokens_used", sum.into()), ("last_activity_at", event.at_micros.into())]);
        }
    }
}

/// What an event changes in its run's own row. Whether it does at all.
fn changed(run: &mut Row, event: &Event) -> bool {
    let (at, data) = (Value::from(event.at_micros), &event.data);
    let lease_end = |data: &Row| {
        let duration_ms = data.get("lease_duration_ms").and_then(Value::as_i64).unwrap_or(0);
        Value::from(event.at_micros + duration_ms * 1000)
    };
    let mut copy = |columns: &[&str]| set(run, columns.iter().map(|column| (*column, data[*column].clone())));
    match event.event_type.as_str() {
        "work.assigned" => {
            copy(&["session_id", "fencing_token"]);
            set(run, [("lease_live", true.into()), ("lease_expires_at", lease_end(data))]);
            set(run, [("release_reason", Value::Null)]);
        }
        "lease.renewed" => {
            if run["lease_live"] == true {
                set(run, [("lease_expires_at", lease_end(data))]);
            }
        }
        "work.released" => set(run, [("lease_live", false.into()), ("release_reason", data["reason"].clone())]),
        "work.progress" => {
            set(run, [("progress_message", data["message"].clone()), ("progress_percent", data["percent"].clone())]);
        }
        "run.started" => {
            copy(&["max_iterations", "harness_config"]);
            set(run, [("status", "running".into()), ("started_at", at)]);
            reach(run, data);
        }
        "run.complete" => {
            copy(&["error", "duration_ms"]);
            set(run, [("status", data["result"].clone()), ("ended_at", at)]);
            pull_request(run, data);
        }
        "run.failed" => {
            copy(&["error", "will_retry"]);
            set(run, [("status", "failed".into()), ("ended_at", at)]);
        }
        "iteration.started" => reach(run, data),
        "agent.started" => copy(&["pid"]),
        "agent.complete" => {
            used(run, data);
            pull_request(run, data);
        }
        "workspace.acquired" => {
            copy(&["branch", "base_commit"]);
            set(run, [("workspace_path", data["path"].clone()), ("workspace_live", true.into())]);
        }
        "workspace.released" => set(run, [("workspace_live", false.into())]),
        "pr.created" | "pr.merged" => copy(&["pr_url"]),
        _ => return false,
    }
    true
}

/// What an event of a run changes in its card's row.
fn of_the_card(task: &mut Row, event: &Event) {
    let data = &event.data;
    match event.event_type.as_str() {
        "work.assigned" => {
            let session = data["session_id"].clone();
            set(task, [("current_run_id", data["run_id"].clone()), ("assigned_session_id", session)]);
        }
        "work.released" if task["current_run_id"] == data["run_id"] => {
            set(task, [("current_run_id", Value::Null), ("assigned_session_id", Value::Null)]);
        }
        "work.progress" => {
            set(task, [("progress_message", data["message"].clone()), ("progress_percent", data["percent"].clone())]);
        }
        "agent.complete" => used(task, data),
        "pr.created" | "pr.merged" => set(task, [("pr_url", data["pr_url"].clone())]),
        _ => {}
    }
}

/// Tokens and dollars: unknown until one agent reports some.
fn used(row: &mut Row, data: &Row) {
    let result = &data["result"];
    for column in ["input_tokens", "output_tokens", "total_tokens"] {
        add(row, column, &result["tokens"][column]);
    }
    add(row, "cost_usd", &result["cost_usd"]);
}

fn pull_request(run: &mut Row, data: &Row) {
    if !data["pr_url"].is_null() {
        set(run, [("pr_url", data["pr_url"].clone())]);
    }
}

fn reach(run: &mut Row, data: &Row) {
    let iteration = data.get("iteration").and_then(Value::as_u64).unwrap_or(0).max(count(run, "iteration"));
    set(run, [("iteration", iteration.into())]);
}
