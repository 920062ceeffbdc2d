//! Projects, who may see them, and their sessions.

use chrono::{DateTime, Utc};
use muster_domain::id::ProjectId;
use muster_domain::model::{MemberRole, SessionStatus};
use sqlx::FromRow;
use uuid::Uuid;

use super::in_project::columns;
use super::{InProject, Text};
use crate::error::{Doing, Error};
use crate::store::ReadStore;

/// A project, and how far it is applied.
#[derive(Debug, Clone, FromRow)]
pub struct Project {
    pub project_id: Uuid,
    pub name: String,
    pub repository_path: String,
    pub default_branch: String,
    pub owner: String,
    /// The settings as stored.
    pub settings: serde_json::Value,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// Position of its last applied event.
    pub position: i64,
}

/// A user's place in a project.
#[derive(Debug, Clone, FromRow)]
pub struct Member {
    pub project_id: Uuid,
    pub user_id: String,
    pub role: Text<MemberRole>,
    pub added_at: DateTime<Utc>,
}

/// An agent session.
#[derive(Debug, Clone, FromRow)]
pub struct Session {
    pub session_id: Uuid,
    pub project_id: Uuid,
    pub session_key: String,
    pub status: Text<SessionStatus>,
    pub workspace_dir: String,
    pub data_dir: String,
    pub current_task_id: Option<Uuid>,
    pub current_run_id: Option<Uuid>,
    pub started_at: DateTime<Utc>,
    pub last_activity_at: DateTime<Utc>,
    pub tokens_used: i64,
}

impl ReadStore {
    /// Projects in order of creation: those `user` is a member of, or all when there is no user.
    pub async fn projects(&self, user: Option<&str>) -> Result<Vec<Project>, Error> {
        sqlx::query_as(
            "select p.*, o.position from projects p join project_positions o using (project_id)
             where $1::text is null
                or exists (select 1 from project_members m where m.project_id = p.project_id and m.user_id = $1)
             order by p.created_at, p.project_id",
        )
        .bind(user)
        .fetch_all(self.pool())
        .await
        .doing("projects")
    }

    /// The projects of these ids; an id without a project has no row.
    pub async fn projects_by_id(&self, ids: &[Uuid]) -> Result<Vec<Project>, Error> {
        sqlx::query_as(
            "select p.*, o.position from projects p join project_positions o using (project_id)
             where p.project_id = any($1)",
        )
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("projects")
    }

    /// The role of `user` in a project.
    pub async fn member_role(&self, project_id: ProjectId, user: &str) -> Result<Option<MemberRole>, Error> {
        let role: Option<(Text<MemberRole>,)> =
            sqlx::query_as("select role from project_members where project_id = $1 and user_id = $2")
                .bind(project_id.0)
                .bind(user)
                .fetch_optional(self.pool())
                .await
                .doing("project_members")?;
        Ok(role.map(|(role,)| role.0))
    }

    /// Everything `user` is a member of.
    pub async fn memberships(&self, user: &str) -> Result<Vec<Member>, Error> {
        sqlx::query_as("select * from project_members where user_id = $1")
            .bind(user)
            .fetch_all(self.pool())
            .await
            .doing("project_members")
    }

    /// The members of these projects, by name.
    pub async fn members_of(&self, projects: &[Uuid]) -> Result<Vec<Member>, Error> {
        sqlx::query_as("select * from project_members where project_id = any($1) order by project_id, user_id")
            .bind(projects)
            .fetch_all(self.pool())
            .await
            .doing("project_members")
    }

    /// How far each of these projects is applied; one without an event has no row.
    pub async fn positions_of(&self, projects: &[Uuid]) -> Result<Vec<(ProjectId, u64)>, Error> {
        let rows: Vec<(Uuid, i64)> =
            sqlx::query_as("select project_id, position from project_positions where project_id = any($1)")
                .bind(projects)
                .fetch_all(self.pool())
                .await
                .doing("project_positions")?;
        Ok(rows.into_iter().map(|(id, position)| (ProjectId(id), u64::try_from(position).unwrap_or(0))).collect())
    }

    /// The newest sessions of a project, newest first.
    pub async fn sessions_of(&self, project_id: ProjectId, limit: u32) -> Result<Vec<Session>, Error> {
        sqlx::query_as(
            "select * from sessions where project_id = $1 order by started_at desc, session_id desc limit $2",
        )
        .bind(project_id.0)
        .bind(i64::from(limit))
        .fetch_all(self.pool())
        .await
        .doing("sessions")
    }

    /// These sessions; one that is not there has no row.
    pub async fn sessions_in(&self, sessions: &[InProject]) -> Result<Vec<Session>, Error> {
        let (projects, ids) = columns(sessions);
        sqlx::query_as(
            "select * from sessions where session_id = any($2)
                 and (project_id, session_id) in (select * from unnest($1::uuid[], $2::uuid[]))",
        )
        .bind(projects)
        .bind(ids)
        .fetch_all(self.pool())
        .await
        .doing("sessions")
    }
}
