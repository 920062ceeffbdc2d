//! The checkers' own fold: from the log's events to the rows that the read model should have.
//!
//! Written from the meaning of the events and the columns, on plain JSON. It must never share code with the projection.
//! Iterations, workspace snapshots and file changes are left to the comparison with a rebuild.

mod card;
mod run;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::event::Event;

/// A row by column. Times are microseconds since 1970.
pub(super) type Row = Map<String, Value>;

/// The columns that tell one row of a table from another.
pub(super) const KEYS: &[(&str, &[&str])] = &[
    ("project_positions", &["project_id"]),
    ("projects", &["project_id"]),
    ("project_members", &["project_id", "user_id"]),
    ("tasks", &["task_id"]),
    ("task_dependencies", &["task_id", "blocked_by"]),
    ("subtasks", &["subtask_id"]),
    ("runs", &["run_id"]),
    ("sessions", &["session_id"]),
    ("artifacts", &["artifact_id"]),
    ("questions", &["question_id"]),
];

/// The rows of every table, by their key's text.
#[derive(Debug, Default)]
pub(super) struct Fold(BTreeMap<&'static str, BTreeMap<String, Row>>);

impl Fold {
    pub(super) fn of<'e>(events: impl IntoIterator<Item = &'e Event>) -> Self {
        let mut fold = Self::default();
        for event in events {
            fold.apply(event);
        }
        fold
    }

    /// The rows of a table.
    pub(super) fn rows(&self, table: &str) -> impl Iterator<Item = (&String, &Row)> {
        self.0.get(table).into_iter().flatten()
    }

    pub(super) fn get(&self, table: &str, key: &str) -> Option<&Row> {
        self.0.get(table)?.get(key)
    }

    fn put(&mut self, table: &'static str, key: &str, row: Value) {
        if let Value::Object(row) = row {
            self.0.entry(table).or_default().insert(key.to_owned(), row);
        }
    }

    fn remove(&mut self, table: &str, key: &str) {
        if let Some(rows) = self.0.get_mut(table) {
            rows.remove(key);
        }
    }

    fn row(&mut self, table: &str, key: Option<Uuid>) -> Option<&mut Row> {
        self.0.get_mut(table)?.get_mut(&key?.to_string())
    }

    fn apply(&mut self, event: &Event) {
        let (project_id, at) = (event.project_id.to_string(), event.at_micros);
        let position = json!({ "project_id": project_id, "position": event.position, "event_at": at });
        self.put("project_positions", &project_id, position);
        self.project(event);
        self.session(event);
        if let Some(task_id) = event.task_id {
            self.card(event, task_id);
            self.plan(event, task_id);
            self.run(event, task_id);
        }
    }

    fn project(&mut self, event: &Event) {
        let (project_id, at, data) = (event.project_id.to_string(), event.at_micros, &event.data);
        let member = |user: &str| format!("{project_id} {user}");
        match event.event_type.as_str() {
            "project.created" => {
                let owner = event.text("owner").unwrap_or_default();
                let mut row = json!({ "project_id": project_id, "created_at": at, "updated_at": at });
                for column in ["name", "repository_path", "default_branch", "owner", "settings"] {
                    row[column] = data[column].clone();
                }
                self.put("projects", &project_id, row);
                let row = json!({ "project_id": project_id, "user_id": owner, "role": "owner", "added_at": at });
                self.put("project_members", &member(owner), row);
            }
            "project.settings_changed" => {
                if let Some(row) = self.row("projects", Some(event.project_id)) {
                    set(row, [("settings", data["settings"].clone()), ("updated_at", at.into())]);
                }
            }
            "project.member_added" => {
                let user = event.text("user").unwrap_or_default();
                let row = json!({ "project_id": project_id, "user_id": user, "role": data["role"], "added_at": at });
                self.put("project_members", &member(user), row);
            }
            "project.member_removed" => {
                self.remove("project_members", &member(event.text("user").unwrap_or_default()));
            }
            _ => {}
        }
    }

    fn session(&mut self, event: &Event) {
        let (at, data) = (event.at_micros, &event.data);
        let session_id = event.uuid("session_id");
        let mut change = |columns: &[(&str, Value)]| {
            if let Some(row) = self.row("sessions", session_id) {
                set(row, columns.iter().cloned());
                set(row, [("last_activity_at", at.into())]);
            }
        };
        match event.event_type.as_str() {
            "agent.spawned" => {
                let mut row = json!({
                    "session_id": session_id, "project_id": event.project_id, "status": "idle", "current_task_id": null,
                    "current_run_id": null, "started_at": at, "last_activity_at": at, "tokens_used": 0,
                });
                for column in ["session_key", "workspace_dir", "data_dir"] {
                    row[column] = data[column].clone();
                }
                self.put("sessions", &session_id.unwrap_or_default().to_string(), row);
            }
            "agent.status_changed" => change(&[("status", data["new_status"].clone())]),
            "work.assigned" => {
                change(&[("current_task_id", id_or_null(event.task_id)), ("current_run_id", data["run_id"].clone())]);
            }
            "lease.renewed" => change(&[]),
            "work.released" => change(&[("current_task_id", Value::Null), ("current_run_id", Value::Null)]),
            _ => {}
        }
    }
}

fn set<'a>(row: &mut Row, columns: impl IntoIterator<Item = (&'a str, Value)>) {
    for (column, value) in columns {
        row.insert(column.to_owned(), value);
    }
}

fn id_or_null(id: Option<Uuid>) -> Value {
    id.map_or(Value::Null, |id| id.to_string().into())
}

/// Adds to a column that is null while nothing is known.
fn add(row: &mut Row, column: &str, more: &Value) {
    let before = row.get(column).cloned().unwrap_or_default();
    let sum = match (before.as_u64(), more.as_u64()) {
        (_, None) if more.is_null() => return,
        (Some(before), Some(more)) => Value::from(before.saturating_add(more)),
        (None, Some(_)) if before.is_null() => more.clone(),
        _ => Value::from(before.as_f64().unwrap_or(0.0) + more.as_f64().unwrap_or(0.0)),
    };
    row.insert(column.to_owned(), sum);
}

fn count(row: &mut Row, column: &str) -> u64 {
    row.get(column).and_then(Value::as_u64).unwrap_or(0)
}
