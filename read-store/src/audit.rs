//! The audit chain: each event's hash covers the one before it, so that a changed, missing or added row shows.
//! It must never depend on how Postgres writes JSON: the bytes are canonical.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use muster_domain::id::ProjectId;
use muster_domain::time::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use crate::error::{Doing, Error};
use crate::store::ReadStore;
use crate::text::plain;

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

/// What the chain covers of an event beside its data: every other field of its envelope.
///
/// As JSON, its fields stand in alphabetical order. The order is part of the hash.
#[derive(Serialize)]
pub(crate) struct Envelope<'a> {
    pub(crate) actor: &'a str,
    pub(crate) causation_id: Option<Uuid>,
    pub(crate) command_digest: Option<&'a str>,
    pub(crate) command_id: Uuid,
    pub(crate) correlation_id: Uuid,
    pub(crate) id: Uuid,
    pub(crate) position: u64,
    pub(crate) project_id: Uuid,
    pub(crate) sequence: u64,
    pub(crate) source: &'a str,
    pub(crate) task_id: Option<Uuid>,
    pub(crate) timestamp: Timestamp,
    #[serde(rename = "type")]
    pub(crate) event_type: &'a str,
}

/// The hash of an event that follows `previous`: SHA-256 of that hash, the envelope as JSON, a line feed, and the data as
/// [`canonical`] JSON.
pub(crate) fn chain(previous: &[u8], envelope: &Envelope<'_>, canonical_data: &str) -> Result<[u8; 32], Error> {
    let envelope = serde_json::to_vec(envelope).map_err(|source| Error::Encode { table: "event_history", source })?;
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(envelope);
    hasher.update(b"\n");
    hasher.update(canonical_data);
    Ok(hasher.finalize().into())
}

/// JSON with sorted keys and without spaces. A zero has no sign, and U+FFFD stands for NUL: neither survives in Postgres.
pub(crate) fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            out.push('{');
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::String(text) => write_text(text, out),
        Value::Number(number) if number.is_f64() && number.as_f64() == Some(0.0) => out.push_str("0.0"),
        other => out.push_str(&other.to_string()),
    }
}

fn write_text(text: &str, out: &mut String) {
    let clean = plain(text);
    out.push_str(&Value::String(clean.into_owned()).to_string());
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
            if stored_hash(&previous, &row)? != stored.as_slice() {
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

/// The hash that a stored row should have.
fn stored_hash(previous: &[u8], row: &PgRow) -> Result<[u8; 32], Error> {
    let event = StoredEvent::from_row(row).doing("event_history")?;
    let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
    let envelope = Envelope {
        actor: &event.actor,
        causation_id: event.causation_id,
        command_digest: event.command_digest.as_deref(),
        command_id: event.command_id,
        correlation_id: event.correlation_id,
        id: event.event_id,
        position: unsigned(event.position),
        project_id: event.project_id,
        sequence: unsigned(event.sequence),
        source: &event.source,
        task_id: event.task_id,
        timestamp: event.event_at.into(),
        event_type: &event.event_type,
    };
    chain(previous, &envelope, &canonical(&event.data))
}

/// A row of the history.
#[derive(FromRow)]
struct StoredEvent {
    project_id: Uuid,
    position: i64,
    task_id: Option<Uuid>,
    sequence: i64,
    event_id: Uuid,
    event_type: String,
    event_at: DateTime<Utc>,
    source: String,
    actor: String,
    command_id: Uuid,
    command_digest: Option<String>,
    causation_id: Option<Uuid>,
    correlation_id: Uuid,
    data: Value,
}

fn fault(checked: u64, position: i64, reason: &str) -> AuditReport {
    let position = u64::try_from(position).unwrap_or(0);
    AuditReport { checked, fault: Some(AuditFault { position, reason: reason.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(actor: &str) -> Envelope<'_> {
        Envelope {
            actor,
            causation_id: None,
            command_digest: None,
            command_id: Uuid::nil(),
            correlation_id: Uuid::nil(),
            id: Uuid::nil(),
            position: 1,
            project_id: Uuid::nil(),
            sequence: 0,
            source: "cli",
            task_id: None,
            timestamp: Timestamp::from_micros(0),
            event_type: "t",
        }
    }

    #[test]
    fn canonical_json_does_not_depend_on_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"b": 1, "a": {"y": [1.50, -0.0], "x": null}}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{ "a": {"x": null, "y": [1.5, 0.0]}, "b": 1}"#).unwrap();
        assert_eq!(canonical(&one), r#"{"a":{"x":null,"y":[1.5,0.0]},"b":1}"#);
        assert_eq!(canonical(&one), canonical(&two));
        assert_eq!(canonical(&json!({"a\0": "x\0\"\n"})), "{\"a\u{fffd}\":\"x\u{fffd}\\\"\\n\"}");
    }

    #[test]
    fn the_hash_covers_the_envelope_the_data_and_what_came_before() {
        let hash = chain(&GENESIS, &envelope("a"), "{}").unwrap();
        assert_ne!(hash, chain(&[1; 32], &envelope("a"), "{}").unwrap());
        assert_ne!(hash, chain(&GENESIS, &envelope("b"), "{}").unwrap());
        assert_ne!(hash, chain(&GENESIS, &envelope("a"), "[]").unwrap());
    }

    #[test]
    fn the_envelope_stands_in_alphabetical_order() {
        let text = serde_json::to_string(&envelope("a")).unwrap();
        let sorted = canonical(&serde_json::from_str(&text).unwrap());
        assert_eq!(text, sorted);
    }
}
