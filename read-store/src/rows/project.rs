//! Rows of a project: itself, its members, its sessions.

use muster_domain::id::{ProjectId, RunId, SessionId, TaskId};
use muster_domain::model::{MemberRole, ProjectSettings, SessionStatus};
use muster_domain::time::Timestamp;

use crate::table::table;

table! {
    /// A project.
    "projects", key ProjectKey(project_id: ProjectId),
    struct ProjectRow {
        project_id: ProjectId,
        name: String,
        repository_path: String,
        default_branch: String,
        owner: String,
        settings: ProjectSettings,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

table! {
    /// A user's place in a project.
    "project_members", key MemberKey(project_id: ProjectId, user_id: String),
    struct MemberRow {
        project_id: ProjectId,
        user_id: String,
        role: MemberRole,
        added_at: Timestamp,
    }
}

table! {
    /// An agent session.
    "sessions", key SessionKey(session_id: SessionId, project_id: ProjectId),
    struct SessionRow {
        session_id: SessionId,
        project_id: ProjectId,
        session_key: String,
        status: SessionStatus,
        workspace_dir: String,
        data_dir: String,
        current_task_id: Option<TaskId>,
        current_run_id: Option<RunId>,
        started_at: Timestamp,
        last_activity_at: Timestamp,
        tokens_used: u64,
    }
}
