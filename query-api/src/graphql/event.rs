//! Events as they were recorded.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{ComplexObject, Context, ID, SimpleObject};
use chrono::{DateTime, Utc};
use muster_read_store::query::InProject;
use muster_read_store::{ReadStore, query};
use serde_json::Value;

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
    task: Option<InProject>,
    /// The task, where it was read together with those of other events.
    #[graphql(skip)]
    read: Option<Arc<query::Task>>,
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
            task: task_of(row),
            read: None,
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

fn task_of(event: &query::Event) -> Option<InProject> {
    Some(InProject { project_id: event.project_id, id: event.task_id? })
}

impl From<Arc<query::Event>> for Event {
    fn from(row: Arc<query::Event>) -> Self {
        Self::from(row.as_ref())
    }
}

impl Event {
    /// The events of a batch with their tasks, which are read by one statement.
    pub(super) async fn with_tasks(store: &ReadStore, batch: Vec<Arc<query::Event>>) -> Result<Vec<Self>> {
        let mut ids: Vec<_> = batch.iter().filter_map(|event| task_of(event)).collect();
        ids.sort_unstable();
        ids.dedup();
        let tasks = if ids.is_empty() { Vec::new() } else { store.tasks_in(&ids).await? };
        let key = |task: &query::Task| InProject { project_id: task.project_id, id: task.task_id };
        let tasks: HashMap<_, _> = tasks.into_iter().map(|task| (key(&task), Arc::new(task))).collect();
        let read = |event: &query::Event| task_of(event).and_then(|key| tasks.get(&key).cloned());
        Ok(batch.iter().map(|event| Self { read: read(event), ..Self::from(event.as_ref()) }).collect())
    }
}

#[ComplexObject]
impl Event {
    /// Its task as it is now.
    async fn task(&self, ctx: &Context<'_>) -> Result<Option<Task>> {
        if let Some(task) = &self.read {
            return Ok(Some(query::Task::clone(task).into()));
        }
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
