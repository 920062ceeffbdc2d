//! What belongs to a task: subtasks, artifacts, questions. Each is read for many tasks at once.

use chrono::{DateTime, Utc};
use muster_domain::model::{ArtifactKind, SubtaskStatus};
use sqlx::FromRow;
use uuid::Uuid;

use super::in_project::columns;
use super::{InProject, Text};
use crate::error::{Doing, Error};
use crate::store::ReadStore;

/// A chunk of an approved plan.
#[derive(Debug, Clone, FromRow)]
pub struct Subtask {
    pub subtask_id: Uuid,
    pub project_id: Uuid,
    pub task_id: Uuid,
    /// Place in its task, from 0.
    pub ordinal: i32,
    pub title: String,
    pub description: String,
    pub depends_on: Vec<Uuid>,
    pub status: Text<SubtaskStatus>,
    /// The last run that worked on it.
    pub run_id: Option<Uuid>,
    pub commit: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Something a run left behind.
#[derive(Debug, Clone, FromRow)]
pub struct Artifact {
    pub artifact_id: Uuid,
    pub project_id: Uuid,
    pub task_id: Uuid,
    pub run_id: Option<Uuid>,
    pub kind: Text<ArtifactKind>,
    pub path: String,
    pub description: String,
    pub size_bytes: Option<i64>,
    pub sha256: Option<String>,
    pub added_at: DateTime<Utc>,
}

/// What an agent asked, and the answer.
#[derive(Debug, Clone, FromRow)]
pub struct Question {
    pub question_id: Uuid,
    pub project_id: Uuid,
    pub task_id: Uuid,
    pub run_id: Option<Uuid>,
    pub question: String,
    #[sqlx(json)]
    pub options: Vec<String>,
    pub asked_at: DateTime<Utc>,
    pub answer: Option<String>,
    pub answered_by: Option<String>,
    pub answered_at: Option<DateTime<Utc>>,
}

impl ReadStore {
    /// The subtasks of these tasks, in plan order.
    pub async fn subtasks_of(&self, tasks: &[InProject]) -> Result<Vec<Subtask>, Error> {
        let (projects, ids) = columns(tasks);
        sqlx::query_as(
            "select * from subtasks where task_id = any($2)
                 and (project_id, task_id) in (select * from unnest($1::uuid[], $2::uuid[]))
             order by task_id, ordinal, subtask_id",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("subtasks")
    }

    /// These subtasks; one that is not there has no row.
    pub async fn subtasks_in(&self, subtasks: &[InProject]) -> Result<Vec<Subtask>, Error> {
        let (projects, ids) = columns(subtasks);
        sqlx::query_as(
            "select * from subtasks where subtask_id = any($2)
                 and (project_id, subtask_id) in (select * from unnest($1::uuid[], $2::uuid[]))",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("subtasks")
    }

    /// The artifacts of these tasks, oldest first.
    pub async fn artifacts_of(&self, tasks: &[InProject]) -> Result<Vec<Artifact>, Error> {
        let (projects, ids) = columns(tasks);
        sqlx::query_as(
            "select * from artifacts where task_id = any($2)
                 and (project_id, task_id) in (select * from unnest($1::uuid[], $2::uuid[]))
             order by task_id, added_at, artifact_id",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("artifacts")
    }

    /// The questions of these tasks, oldest first.
    pub async fn questions_of(&self, tasks: &[InProject]) -> Result<Vec<Question>, Error> {
        let (projects, ids) = columns(tasks);
        sqlx::query_as(
            "select * from questions where task_id = any($2)
                 and (project_id, task_id) in (select * from unnest($1::uuid[], $2::uuid[]))
             order by task_id, asked_at, question_id",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("questions")
    }

    /// The open questions of these projects, oldest first.
    pub async fn open_questions_of(&self, projects: &[Uuid]) -> Result<Vec<Question>, Error> {
        sqlx::query_as(
            "select * from questions where project_id = any($1) and answered_at is null
             order by project_id, asked_at, question_id",
        )
        .bind(projects)
        .fetch_all(self.pool())
        .await
        .doing("questions")
    }
}
