//! The table of all events: each row is its event, field by field. Part of I5.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Finding;
use super::event::Event;
use super::fold::Row;
use super::read_model::{Tables, column, plain, same};

pub(super) fn compare(applied: &[&Event], tables: &Tables, finding: &mut Finding) {
    let events: HashMap<(Uuid, u64), &Event> =
        applied.iter().map(|event| ((event.project_id, event.position), *event)).collect();
    for row in tables.rows("event_history") {
        finding.examined();
        let Some(event) = place(&row).and_then(|place| events.get(&place)) else { continue };
        for (name, expected) in &columns(event) {
            let found = row.get(name).map_or(Value::Null, |value| plain(name, value));
            if !same(&found, expected) {
                finding.violated(format!(
                    "event_history {}: {name} is {found}, in the log it is {expected}",
                    event.place()
                ));
            }
        }
    }
}

/// A row's project and position.
pub(super) fn place(row: &Row) -> Option<(Uuid, u64)> {
    Some((column(row, "project_id").parse().ok()?, row.get("position")?.as_u64()?))
}

/// Every column but the hash.
fn columns(event: &Event) -> Row {
    let row = json!({
        "project_id": event.project_id, "position": event.position, "task_id": event.task_id,
        "sequence": event.sequence, "event_id": event.id, "event_type": event.event_type, "event_at": event.at_micros,
        "source": event.source, "actor": event.actor, "command_id": event.command_id,
        "command_digest": event.command_digest, "causation_id": event.causation_id,
        "correlation_id": event.correlation_id, "data": event.data,
    });
    match row {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}
