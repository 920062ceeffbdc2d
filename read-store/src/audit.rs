//! The audit chain: each event's hash covers the one before it, so that a changed, missing or added row shows.
//! It must never depend on how Postgres writes JSON: the bytes are canonical.

use futures::TryStreamExt;
use muster_domain::id::ProjectId;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::{Doing, Error};
use crate::history::stored_event_json;
use crate::store::ReadStore;

/// The hash before a project's first event.
pub(crate) const GENESIS: [u8; 32] = [0; 32];

/// What a check of a project's audit chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Events that were checked, up to the first fault.
    pub checked: u64,
    /// The first fault; none when the chain verifies.
    pub fault: Option<AuditFault>,
}

/// Where and how an audit chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFault {
    /// Position of the row.
    pub position: u64,
    /// What is wrong, in words.
    pub reason: String,
}

/// The hash of an event that follows `previous`. `event` is the event as one flat JSON object.
pub(crate) fn chain(previous: &[u8], event: &Value) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(canonical(event).as_bytes());
    hasher.finalize().into()
}

/// JSON with sorted keys and without spaces; a zero has no sign.
fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<_> = map.keys().collect();
                keys.sort_unstable();
                Value::Object(keys.into_iter().map(|key| (key.clone(), sorted(&map[key]))).collect::<Map<_, _>>())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            Value::Number(number) if number.is_f64() && number.as_f64() == Some(0.0) => json!(0.0),
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

impl ReadStore {
    /// Recomputes a project's audit chain from its stored events. I9 holds when the report has no fault.
    pub async fn verify_audit_chain(&self, project_id: ProjectId) -> Result<AuditReport, Error> {
        let mut previous = GENESIS.to_vec();
        let (mut checked, mut position) = (0, 0);
        let mut rows = sqlx::query("select * from event_history where project_id = $1 order by position")
            .bind(project_id.0)
            .fetch(self.pool());
        while let Some(row) = rows.try_next().await.doing("event_history")? {
            position = row.try_get::<i64, _>("position").doing("event_history")?;
            let stored: Vec<u8> = row.try_get("audit_hash").doing("event_history")?;
            if chain(&previous, &event_of(&row)?) != stored.as_slice() {
                return Ok(fault(checked, position, "the row or the one before it was changed, added or removed"));
            }
            previous = stored;
            checked += 1;
        }
        drop(rows);
        let end: Option<(i64, Vec<u8>)> =
            sqlx::query_as("select position, audit_hash from project_positions where project_id = $1")
                .bind(project_id.0)
                .fetch_optional(self.pool())
                .await
                .doing("project_positions")?;
        let (end_position, end_hash) = end.unwrap_or((0, GENESIS.to_vec()));
        if end_hash == previous {
            return Ok(AuditReport { checked, fault: None });
        }
        Ok(fault(checked, end_position.max(position), "the chain does not end where the project's position says"))
    }
}

fn event_of(row: &PgRow) -> Result<Value, Error> {
    stored_event_json(row).doing("event_history")
}

fn fault(checked: u64, position: i64, reason: &str) -> AuditReport {
    let position = u64::try_from(position).unwrap_or(0);
    AuditReport { checked, fault: Some(AuditFault { position, reason: reason.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_bytes_do_not_depend_on_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"b": 1, "a": {"y": [1.50, -0.0], "x": null}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{ "a": {"x": null, "y": [1.5, 0.0]}, "b": 1}"#).unwrap();
        assert_eq!(canonical(&one), r#"{"a":{"x":null,"y":[1.5,0.0]},"b":1}"#);
        assert_eq!(chain(&GENESIS, &one), chain(&GENESIS, &two));
    }

    #[test]
    fn the_hash_covers_the_event_and_what_came_before() {
        let event = json!({"a": 1});
        assert_ne!(chain(&GENESIS, &event), chain(&GENESIS, &json!({"a": 2})));
        assert_ne!(chain(&GENESIS, &event), chain(&[1; 32], &event));
    }
}
