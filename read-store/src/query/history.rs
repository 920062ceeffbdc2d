//! The event history: pages of it for a project or a task, and a task as it once was.

use chrono::{DateTime, Utc};
use muster_domain::event::{self, EventData};
use muster_domain::id::{CommandId, EventId, ProjectId, TaskId};
use muster_domain::model::Source;
use muster_domain::state;
use muster_domain::time::Timestamp;
use sqlx::FromRow;
use uuid::Uuid;

use super::{Slice, Text};
use crate::error::{Doing, Error};
use crate::store::ReadStore;

const COLUMNS: &str = "project_id, position, task_id, sequence, event_id, event_type, event_at, source, actor, \
                       command_id, command_digest, causation_id, correlation_id, data";

/// Events read at once while a task is folded.
const FOLD_PAGE: u32 = 1_000;

/// A stored event.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Event {
    pub project_id: Uuid,
    pub position: i64,
    pub task_id: Option<Uuid>,
    pub sequence: i64,
    pub event_id: Uuid,
    pub event_type: String,
    pub event_at: DateTime<Utc>,
    pub source: Text<Source>,
    pub actor: String,
    pub command_id: Uuid,
    pub command_digest: Option<String>,
    pub causation_id: Option<Uuid>,
    pub correlation_id: Uuid,
    pub data: serde_json::Value,
}

impl Event {
    /// Its position.
    pub fn at(&self) -> u64 {
        u64::try_from(self.position).unwrap_or(0)
    }

    /// The event as one flat JSON object: the shape of exports, server-sent events and the bridge.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "id": self.event_id,
            "type": self.event_type,
            "timestamp": Timestamp::from(self.event_at),
            "project_id": self.project_id,
            "task_id": self.task_id,
            "sequence": self.sequence,
            "position": self.position,
            "source": self.source.0,
            "actor": self.actor,
            "command_id": self.command_id,
            "command_digest": self.command_digest,
            "causation_id": self.causation_id,
            "correlation_id": self.correlation_id,
            "data": self.data,
        })
    }

    /// The event as the domain knows it.
    pub fn to_domain(&self) -> Result<event::Event, Error> {
        let data = EventData::from_json(&self.event_type, self.data.clone())
            .map_err(|source| Error::Decode { table: "event_history", source })?;
        Ok(event::Event {
            id: EventId(self.event_id),
            timestamp: self.event_at.into(),
            project_id: ProjectId(self.project_id),
            task_id: self.task_id.map(TaskId),
            sequence: u64::try_from(self.sequence).unwrap_or(0),
            position: self.at(),
            source: self.source.0,
            actor: self.actor.clone(),
            command_id: CommandId(self.command_id),
            command_digest: self.command_digest.clone(),
            causation_id: self.causation_id.map(EventId),
            correlation_id: self.correlation_id,
            data,
        })
    }
}

/// Whose history, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryOf {
    /// A project's, behind a position.
    Project {
        /// The project.
        project_id: ProjectId,
        /// Events behind this position.
        after: u64,
    },
    /// A task's, behind a sequence.
    Task {
        /// The project.
        project_id: ProjectId,
        /// The task.
        task_id: TaskId,
        /// Events behind this sequence.
        after: u64,
    },
    /// A task's, behind a position of its project.
    TaskBehind {
        /// The project.
        project_id: ProjectId,
        /// The task.
        task_id: TaskId,
        /// Events behind this position.
        position: u64,
    },
}

impl HistoryOf {
    /// What selects the events, the project, the task where one is meant, and the number they lie behind.
    const fn parts(self) -> (&'static str, ProjectId, Option<TaskId>, u64) {
        match self {
            Self::Project { project_id, after } => {
                ("$2::uuid is null and position > $3 order by position", project_id, None, after)
            }
            Self::Task { project_id, task_id, after } => {
                ("task_id = $2 and sequence > $3 order by sequence", project_id, Some(task_id), after)
            }
            Self::TaskBehind { project_id, task_id, position } => {
                ("task_id = $2 and position > $3 order by sequence", project_id, Some(task_id), position)
            }
        }
    }
}

impl ReadStore {
    /// Events in order, at most `limit`.
    pub async fn history(&self, of: HistoryOf, limit: u32) -> Result<Slice<Event>, Error> {
        let (condition, project_id, task_id, after) = of.parts();
        let statement = format!("select {COLUMNS} from event_history where project_id = $1 and {condition} limit $4");
        let mut rows: Vec<Event> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
            .bind(project_id.0)
            .bind(task_id.map(|id| id.0))
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .bind(i64::from(limit) + 1)
            .fetch_all(self.pool())
            .await
            .doing("event_history")?;
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > wanted;
        rows.truncate(wanted);
        Ok(Slice { rows, has_more })
    }

    /// A task as it was right after its event `sequence`; `None` when it has no such event.
    pub async fn task_at(
        &self,
        project_id: ProjectId,
        task_id: TaskId,
        sequence: u64,
    ) -> Result<Option<state::Task>, Error> {
        let mut task = None;
        let mut reached = 0;
        while reached < sequence {
            let limit = u32::try_from(sequence - reached).unwrap_or(FOLD_PAGE).min(FOLD_PAGE);
            let slice = self.history(HistoryOf::Task { project_id, task_id, after: reached }, limit).await?;
            if slice.rows.is_empty() {
                return Ok(None);
            }
            for event in &slice.rows {
                task = state::fold_task(task, &event.to_domain()?);
                reached = u64::try_from(event.sequence).unwrap_or(0);
            }
        }
        Ok(task)
    }
}
