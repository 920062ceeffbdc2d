//! The event history: every event as a row, in bulk, each with its place in the audit chain.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_domain::time::Timestamp;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::audit::{GENESIS, chain};
use crate::error::{Doing, Error};
use crate::text::value_without_nul;

/// How far a project's history reaches.
#[derive(Debug, Clone)]
pub(crate) struct HistoryEnd {
    pub(crate) position: u64,
    pub(crate) audit_hash: Vec<u8>,
    pub(crate) event_at: Timestamp,
}

impl Default for HistoryEnd {
    fn default() -> Self {
        Self { position: 0, audit_hash: GENESIS.to_vec(), event_at: Timestamp::default() }
    }
}

/// The events of a batch as columns.
#[derive(Default)]
pub(crate) struct History {
    project_id: Vec<Uuid>,
    position: Vec<i64>,
    task_id: Vec<Option<Uuid>>,
    sequence: Vec<i64>,
    event_id: Vec<Uuid>,
    event_type: Vec<String>,
    event_at: Vec<DateTime<Utc>>,
    source: Vec<String>,
    actor: Vec<String>,
    command_id: Vec<Uuid>,
    command_digest: Vec<Option<String>>,
    causation_id: Vec<Option<Uuid>>,
    correlation_id: Vec<Uuid>,
    data: Vec<String>,
    audit_hash: Vec<Vec<u8>>,
}

impl History {
    pub(crate) fn len(&self) -> usize {
        self.position.len()
    }

    /// Adds an event behind `end` and moves `end` to it.
    pub(crate) fn push(&mut self, event: &Event, end: &mut HistoryEnd) -> Result<(), Error> {
        let mut flat =
            serde_json::to_value(event).map_err(|source| Error::Encode { table: "event_history", source })?;
        value_without_nul(&mut flat);
        let hash = chain(&end.audit_hash, &flat).to_vec();
        let text = |key: &str| flat[key].as_str().map(str::to_owned);
        self.project_id.push(event.project_id.0);
        self.position.push(signed(event.position));
        self.task_id.push(event.task_id.map(|id| id.0));
        self.sequence.push(signed(event.sequence));
        self.event_id.push(event.id.0);
        self.event_type.push(text("type").unwrap_or_default());
        self.event_at.push(event.timestamp.to_datetime());
        self.source.push(event.source.to_string());
        self.actor.push(text("actor").unwrap_or_default());
        self.command_id.push(event.command_id.0);
        self.command_digest.push(text("command_digest"));
        self.causation_id.push(event.causation_id.map(|id| id.0));
        self.correlation_id.push(event.correlation_id);
        self.data.push(flat["data"].to_string());
        self.audit_hash.push(hash.clone());
        *end = HistoryEnd { position: event.position, audit_hash: hash, event_at: event.timestamp };
        Ok(())
    }

    /// Inserts the events: one statement, however many.
    pub(crate) async fn store(self, connection: &mut PgConnection) -> Result<(), Error> {
        sqlx::query(
            "insert into event_history (project_id, position, task_id, sequence, event_id, event_type, event_at, source,
                 actor, command_id, command_digest, causation_id, correlation_id, data, audit_hash)
             select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::bigint[], $5::uuid[], $6::text[],
                 $7::timestamptz[], $8::text[], $9::text[], $10::uuid[], $11::text[], $12::uuid[], $13::uuid[],
                 $14::jsonb[], $15::bytea[])",
        )
        .bind(self.project_id)
        .bind(self.position)
        .bind(self.task_id)
        .bind(self.sequence)
        .bind(self.event_id)
        .bind(self.event_type)
        .bind(self.event_at)
        .bind(self.source)
        .bind(self.actor)
        .bind(self.command_id)
        .bind(self.command_digest)
        .bind(self.causation_id)
        .bind(self.correlation_id)
        .bind(self.data)
        .bind(self.audit_hash)
        .execute(connection)
        .await
        .doing("event_history")?;
        Ok(())
    }
}

/// Reads and locks how far each of `projects` is applied.
pub(crate) async fn lock_ends(
    connection: &mut PgConnection,
    projects: &[Uuid],
) -> Result<BTreeMap<ProjectId, HistoryEnd>, Error> {
    let rows: Vec<(Uuid, i64, Vec<u8>, DateTime<Utc>)> = sqlx::query_as(
        "select project_id, position, audit_hash, event_at from project_positions
         where project_id = any($1) order by project_id for update",
    )
    .bind(projects)
    .fetch_all(connection)
    .await
    .doing("project_positions")?;
    Ok(rows
        .into_iter()
        .map(|(id, position, audit_hash, event_at)| {
            let position = u64::try_from(position).unwrap_or(0);
            (ProjectId(id), HistoryEnd { position, audit_hash, event_at: event_at.into() })
        })
        .collect())
}

/// Writes how far each project is applied now.
pub(crate) async fn store_ends(
    connection: &mut PgConnection,
    ends: &BTreeMap<ProjectId, HistoryEnd>,
) -> Result<(), Error> {
    let ids: Vec<_> = ends.keys().map(|id| id.0).collect();
    let positions: Vec<_> = ends.values().map(|end| signed(end.position)).collect();
    let hashes: Vec<_> = ends.values().map(|end| end.audit_hash.clone()).collect();
    let times: Vec<_> = ends.values().map(|end| end.event_at.to_datetime()).collect();
    sqlx::query(
        "insert into project_positions (project_id, position, audit_hash, event_at)
         select * from unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::timestamptz[])
         on conflict (project_id) do update set
             position = excluded.position, audit_hash = excluded.audit_hash, event_at = excluded.event_at",
    )
    .bind(ids)
    .bind(positions)
    .bind(hashes)
    .bind(times)
    .execute(connection)
    .await
    .doing("project_positions")?;
    Ok(())
}

/// A stored event as the flat JSON object it was hashed as.
pub(crate) fn stored_event_json(row: &PgRow) -> Result<Value, sqlx::Error> {
    let unsigned = |name: &str| row.try_get::<i64, _>(name).map(|number| u64::try_from(number).unwrap_or(0));
    Ok(json!({
        "id": row.try_get::<Uuid, _>("event_id")?,
        "type": row.try_get::<String, _>("event_type")?,
        "timestamp": Timestamp::from(row.try_get::<DateTime<Utc>, _>("event_at")?),
        "project_id": row.try_get::<Uuid, _>("project_id")?,
        "task_id": row.try_get::<Option<Uuid>, _>("task_id")?,
        "sequence": unsigned("sequence")?,
        "position": unsigned("position")?,
        "source": row.try_get::<String, _>("source")?,
        "actor": row.try_get::<String, _>("actor")?,
        "command_id": row.try_get::<Uuid, _>("command_id")?,
        "command_digest": row.try_get::<Option<String>, _>("command_digest")?,
        "causation_id": row.try_get::<Option<Uuid>, _>("causation_id")?,
        "correlation_id": row.try_get::<Uuid, _>("correlation_id")?,
        "data": row.try_get::<Value, _>("data")?,
    }))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
