//! The event history: every event as a row, in bulk, each with its place in the audit chain.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_domain::time::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::audit::{Envelope, GENESIS, canonical, chain};
use crate::error::{Doing, Error};
use crate::mutant;
use crate::text::plain;

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
        let data = canonical(&event.data.to_json());
        let source = event.source.to_string();
        let (actor, event_type) = (plain(&event.actor), plain(event.event_type()));
        let command_digest = event.command_digest.as_deref().map(plain);
        let envelope = Envelope {
            actor: &actor,
            causation_id: event.causation_id.map(|id| id.0),
            command_digest: command_digest.as_deref(),
            command_id: event.command_id.0,
            correlation_id: event.correlation_id,
            id: event.id.0,
            position: event.position,
            project_id: event.project_id.0,
            sequence: event.sequence,
            source: &source,
            task_id: event.task_id.map(|id| id.0),
            timestamp: event.timestamp,
            event_type: &event_type,
        };
        let before = if mutant::is("audit_unchained") { &GENESIS[..] } else { &end.audit_hash };
        let hash = chain(before, &envelope, &data)?.to_vec();
        self.project_id.push(envelope.project_id);
        self.position.push(signed(event.position));
        self.task_id.push(envelope.task_id);
        self.sequence.push(signed(event.sequence));
        self.event_id.push(envelope.id);
        self.event_at.push(event.timestamp.to_datetime());
        self.command_id.push(envelope.command_id);
        self.causation_id.push(envelope.causation_id);
        self.correlation_id.push(envelope.correlation_id);
        self.event_type.push(event_type.into_owned());
        self.actor.push(actor.into_owned());
        self.command_digest.push(command_digest.map(Cow::into_owned));
        self.source.push(source);
        self.data.push(data);
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

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
