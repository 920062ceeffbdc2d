//! I9: the audit chain verifies, recomputed from the rows by the rule as documented: SHA-256 of the hash before, the
//! envelope as JSON with its fields in alphabetical order, a line feed, the data as JSON with sorted keys.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Finding;
use super::fold::Row;
use super::read_model::{Tables, column, micros};

pub(super) fn check(tables: &Tables) -> Finding {
    let mut finding = Finding::new("I9", "audit-chain");
    let mut projects: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in tables.rows("event_history") {
        projects.entry(column(&row, "project_id").to_owned()).or_default().push(row);
    }
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    for (project_id, mut rows) in projects {
        rows.sort_by_key(position);
        let mut before = vec![0; 32];
        for row in &rows {
            finding.examined();
            let stored = bytes(column(row, "audit_hash"));
            if stored != hash(&before, row) {
                finding.violated(format!(
                    "the chain of project {project_id} breaks at position {} (event {})",
                    position(row),
                    column(row, "event_id")
                ));
            }
            before = stored;
        }
        ends.insert(project_id, hex::encode(before));
    }
    for row in tables.rows("project_positions") {
        let project_id = column(&row, "project_id");
        let end = hex::encode(bytes(column(&row, "audit_hash")));
        if ends.get(project_id) != Some(&end) {
            finding.violated(format!("the chain of project {project_id} does not end in {end}, as its position says"));
        }
    }
    finding
}

fn position(row: &Row) -> u64 {
    row.get("position").and_then(Value::as_u64).unwrap_or(0)
}

/// Postgres writes bytes as \x and hexadecimal.
fn bytes(text: &str) -> Vec<u8> {
    text.strip_prefix("\\x").and_then(|text| hex::decode(text).ok()).unwrap_or_default()
}

fn hash(before: &[u8], row: &Row) -> Vec<u8> {
    let field = |name: &str| row.get(name).cloned().unwrap_or_default();
    let at = micros(column(row, "event_at")).and_then(DateTime::<Utc>::from_timestamp_micros).unwrap_or_default();
    let envelope = json!({
        "actor": field("actor"), "causation_id": field("causation_id"), "command_digest": field("command_digest"),
        "command_id": field("command_id"), "correlation_id": field("correlation_id"), "id": field("event_id"),
        "position": field("position"), "project_id": field("project_id"), "sequence": field("sequence"),
        "source": field("source"), "task_id": field("task_id"),
        "timestamp": at.to_rfc3339_opts(SecondsFormat::Micros, true), "type": field("event_type"),
    });
    let mut hasher = Sha256::new();
    hasher.update(before);
    hasher.update(sorted(&envelope).to_string());
    hasher.update("\n");
    hasher.update(sorted(&field("data")).to_string());
    hasher.finalize().to_vec()
}

/// The same value, its keys in order whatever the JSON library's own order is; a zero has no sign.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<&String, Value> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(ordered.into_iter().map(|(key, value)| (key.clone(), value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Number(number) if number.is_f64() && number.as_f64() == Some(0.0) => 0.0.into(),
        other => other.clone(),
    }
}
