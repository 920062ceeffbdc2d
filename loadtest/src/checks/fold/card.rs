//! Rows of a card: its text, its column, its plan, its subtasks, what hangs on it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::event::Event;
use super::{Fold, Row, count, set};

/// What a new card has, beside what its event says.
fn new_card(event: &Event, task_id: Uuid) -> Value {
    let at = event.at_micros;
    let mut row = json!({
        "task_id": task_id, "project_id": event.project_id, "status": "inbox", "status_reason": null,
        "status_changed_at": at, "created_at": at, "updated_at": at, "dispatched_at": null, "started_at": null,
        "finished_at": null, "sequence": event.sequence, "position": event.position, "dispatched": false, "plan": null,
        "plan_chunks": [], "plan_digest": null, "plan_state": null, "plan_run_id": null, "plan_decided_by": null,
        "plan_reject_reason": null, "estimated_cost_usd": null, "current_run_id": null, "assigned_session_id": null,
        "subtask_count": 0, "review_rounds": 0, "retry_count": 0, "progress_message": null, "progress_percent": null,
        "evidence": [], "error": null, "branch": null, "merge_commit": null, "pr_url": null,
    });
    for column in ["input_tokens", "output_tokens", "total_tokens", "cost_usd"] {
        row[column] = Value::Null;
    }
    for column in ["title", "description", "acceptance_criteria", "priority", "complexity", "created_by", "interactive"]
    {
        row[column] = event.data[column].clone();
    }
    row["priority_rank"] = rank(&event.data["priority"]);
    row
}

fn rank(priority: &Value) -> Value {
    let order = ["low", "medium", "high", "urgent"];
    order.iter().position(|name| priority.as_str() == Some(name)).into()
}

impl Fold {
    pub(super) fn card(&mut self, event: &Event, task_id: Uuid) {
        let (at, data) = (event.at_micros, &event.data);
        match self.row("tasks", Some(task_id)) {
            Some(row) => {
                set(row, [("sequence", event.sequence.into()), ("position", event.position.into())]);
                set(row, [("updated_at", at.into())]);
                change(row, event);
            }
            None if event.event_type == "task.created" => {
                self.put("tasks", &task_id.to_string(), new_card(event, task_id));
            }
            None => {}
        }
        let (project_id, run_id) = (event.project_id, data.get("run_id").cloned().unwrap_or_default());
        match event.event_type.as_str() {
            "task.created" => {
                for blocker in data["blocked_by"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    let row = json!({ "task_id": task_id, "blocked_by": blocker, "project_id": project_id });
                    self.put("task_dependencies", &format!("{task_id} {blocker}"), row);
                }
            }
            "artifact.added" => {
                let mut row = json!({ "project_id": project_id, "task_id": task_id, "run_id": run_id, "added_at": at });
                for column in ["artifact_id", "kind", "path", "description", "size_bytes", "sha256"] {
                    row[column] = data["artifact"][column].clone();
                }
                let key = row["artifact_id"].as_str().unwrap_or_default().to_owned();
                self.put("artifacts", &key, row);
            }
            "question.asked" => {
                let mut row = json!({
                    "project_id": project_id, "task_id": task_id, "run_id": run_id, "asked_at": at, "answer": null,
                    "answered_by": null, "answered_at": null,
                });
                for column in ["question_id", "question", "options"] {
                    row[column] = data[column].clone();
                }
                self.put("questions", event.text("question_id").unwrap_or_default(), row);
            }
            "user.answered_question" => {
                if let Some(row) = self.row("questions", event.uuid("question_id")) {
                    set(row, [("answer", data["answer"].clone()), ("answered_by", data["user_id"].clone())]);
                    set(row, [("answered_at", at.into())]);
                }
            }
            _ => {}
        }
    }

    pub(super) fn plan(&mut self, event: &Event, task_id: Uuid) {
        let (at, data) = (event.at_micros, &event.data);
        let Some(task) = self.row("tasks", Some(task_id)) else { return };
        let has_plan = task.get("plan").is_some_and(|plan| !plan.is_null());
        let new = |ordinal: u64, id: &Value, title: Value, description: &Value, depends_on: &Value| {
            let waits = depends_on.as_array().is_some_and(|list| !list.is_empty());
            json!({
                "subtask_id": id, "project_id": event.project_id, "task_id": task_id, "ordinal": ordinal,
                "title": title, "description": description, "depends_on": depends_on,
                "status": if waits { "blocked" } else { "ready" }, "run_id": null, "commit": null, "created_at": at,
                "updated_at": at,
            })
        };
        match event.event_type.as_str() {
            "plan.approved" if has_plan => {
                let chunks = task.get("plan_chunks").and_then(Value::as_array).cloned().unwrap_or_default();
                set(task, [("subtask_count", chunks.len().into())]);
                self.forget_subtasks(task_id);
                for (ordinal, chunk) in (0..).zip(&chunks) {
                    let title = chunk["title"].clone();
                    let row = new(ordinal, &chunk["subtask_id"], title, &chunk["description"], &chunk["depends_on"]);
                    self.put("subtasks", chunk["subtask_id"].as_str().unwrap_or_default(), row);
                }
            }
            "review.changes_requested" => {
                let (rounds, ordinal) = (count(task, "review_rounds") + 1, count(task, "subtask_count"));
                set(task, [("review_rounds", rounds.into()), ("subtask_count", (ordinal + 1).into())]);
                let title = format!("Address review {rounds}").into();
                let row = new(ordinal, &data["subtask_id"], title, &data["feedback"], &json!([]));
                self.put("subtasks", event.text("subtask_id").unwrap_or_default(), row);
            }
            _ => {}
        }
        if let Some(row) = self.row("subtasks", event.uuid("subtask_id")) {
            let changed: &[(&str, &str)] = match event.event_type.as_str() {
                "chunk.started" | "work.assigned" => &[("run_id", "run_id")],
                "chunk.completed" => &[("run_id", "run_id"), ("commit", "commit")],
                "subtask.status_changed" => &[("status", "new_status")],
                _ => return,
            };
            set(row, changed.iter().map(|(column, field)| (*column, data[*field].clone())));
            set(row, [("updated_at", at.into())]);
        }
    }

    fn forget_subtasks(&mut self, task_id: Uuid) {
        let task_id = Value::from(task_id.to_string());
        if let Some(rows) = self.0.get_mut("subtasks") {
            rows.retain(|_, row| row.get("task_id") != Some(&task_id));
        }
    }
}

/// What an event changes in its card's own row.
fn change(row: &mut Row, event: &Event) {
    let (at, data) = (Value::from(event.at_micros), &event.data);
    let mut copy = |columns: &[(&str, &str)]| {
        set(row, columns.iter().map(|(column, field)| (*column, data[*field].clone())));
    };
    match event.event_type.as_str() {
        "task.updated" => {
            for column in ["title", "description", "priority", "complexity", "acceptance_criteria"] {
                if !data[column].is_null() {
                    copy(&[(column, column)]);
                }
            }
            if !data["priority"].is_null() {
                set(row, [("priority_rank", rank(&data["priority"]))]);
            }
        }
        "task.dispatched" => set(row, [("dispatched", true.into()), ("dispatched_at", at)]),
        "task.started" => set(row, [("started_at", at)]),
        "task.status_changed" => {
            copy(&[("status", "new_status"), ("status_reason", "reason")]);
            let over = ["done", "failed", "cancelled"].iter().any(|over| data["new_status"].as_str() == Some(over));
            set(row, [("finished_at", if over { at.clone() } else { Value::Null }), ("status_changed_at", at)]);
        }
        "task.completed" => copy(&[("evidence", "evidence"), ("branch", "branch"), ("merge_commit", "merge_commit")]),
        "task.failed" => copy(&[("error", "error")]),
        "user.requested_retry" => {
            let retries = count(row, "retry_count") + 1;
            set(row, [("retry_count", retries.into()), ("review_rounds", 0.into()), ("error", Value::Null)]);
        }
        "plan.ready" => {
            copy(&[("plan", "plan"), ("plan_chunks", "chunks"), ("plan_digest", "digest"), ("plan_run_id", "run_id")]);
            copy(&[("estimated_cost_usd", "estimated_cost_usd")]);
            set(row, [("plan_state", "ready".into()), ("plan_decided_by", Value::Null)]);
            set(row, [("plan_reject_reason", Value::Null)]);
        }
        "plan.approved" if !row["plan"].is_null() => {
            set(row, [("plan_state", "approved".into()), ("plan_decided_by", data["approved_by"].clone())]);
            set(row, [("plan_reject_reason", Value::Null)]);
        }
        "plan.rejected" if !row["plan"].is_null() => {
            set(row, [("plan_state", "rejected".into()), ("plan_decided_by", data["rejected_by"].clone())]);
            set(row, [("plan_reject_reason", data["reason"].clone())]);
        }
        _ => {}
    }
}
