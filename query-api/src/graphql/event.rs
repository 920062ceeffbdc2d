//! Events as they were recorded.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, SimpleObject};
use chrono::{DateTime, Utc};
use muster_read_store::query;
use serde_json::Value;
use uuid::Uuid;

use super::context::loaders;
use super::loaders::TaskOf;
use super::records::IntoId;
use super::task::Task;
use crate::fault::Result;

/// One immutable fact.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct Event {
    #[graphql(skip)]
    task: Option<Uuid>,
    id: ID,
    /// For example `task.created`. The event catalogue lists every type.
    #[graphql(name = "type")]
    kind: String,
    timestamp: DateTime<Utc>,
    project_id: ID,
    task_id: Option<ID>,
    /// Gapless count within the task, from 1; 0 where there is no task.
    sequence: i64,
    /// Gapless count within the project, from 1. Resume after it.
    position: i64,
    /// `orchestrator`, `tui`, `web`, `mobile`, `cli` or `agent:<role>`.
    source: String,
    /// User or service that caused it.
    actor: String,
    command_id: ID,
    /// Event that caused it, if one.
    causation_id: Option<ID>,
    /// Command that started the chain.
    correlation_id: ID,
    /// What happened, with the fields of its type.
    data: Value,
}

impl From<&query::Event> for Event {
    fn from(row: &query::Event) -> Self {
        Self {
            task: row.task_id,
            id: row.event_id.into_id(),
            kind: row.event_type.clone(),
            timestamp: row.event_at,
            project_id: row.project_id.into_id(),
            task_id: row.task_id.map(IntoId::into_id),
            sequence: row.sequence,
            position: row.position,
            source: row.source.0.to_string(),
            actor: row.actor.clone(),
            command_id: row.command_id.into_id(),
            causation_id: row.causation_id.map(IntoId::into_id),
            correlation_id: row.correlation_id.into_id(),
            data: row.data.clone(),
        }
    }
}

impl From<Arc<query::Event>> for Event {
    fn from(row: Arc<query::Event>) -> Self {
        Self::from(row.as_ref())
    }
}

#[ComplexObject]
impl Event {
    /// Its task as it is now.
    async fn task(&self, ctx: &Context<'_>) -> Result<Option<Task>> {
        let Some(id) = self.task else { return Ok(None) };
        Ok(loaders(ctx)?.load_one(TaskOf(id)).await?.map(Into::into))
    }
}

/// Part of a history.
#[derive(SimpleObject)]
pub struct EventPage {
    /// The events, in order.
    pub(super) nodes: Vec<Event>,
    /// Whether there are more behind the last one now.
    pub(super) has_next_page: bool,
    /// Position of the last one; null without any.
    pub(super) end_position: Option<i64>,
    /// Sequence of the last one; null without any.
    pub(super) end_sequence: Option<i64>,
}

impl From<query::Slice<query::Event>> for EventPage {
    fn from(slice: query::Slice<query::Event>) -> Self {
        Self {
            end_position: slice.rows.last().map(|event| event.position),
            end_sequence: slice.rows.last().map(|event| event.sequence),
            nodes: slice.rows.iter().map(Event::from).collect(),
            has_next_page: slice.has_more,
        }
    }
}
