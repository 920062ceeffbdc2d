//! Events of projects, members and sessions.

use muster_domain::event::{AgentComplete, Event, EventData, WorkAssigned};
use muster_domain::id::SessionId;
use muster_domain::model::{MemberRole, SessionStatus};

use super::{COLUMN_MAX, Tables};
use crate::rows::{MemberKey, MemberRow, ProjectKey, ProjectRow, RunKey, SessionKey, SessionRow};

pub(super) fn apply(tables: &mut Tables, event: &Event) {
    apply_project(tables, event);
    apply_session(tables, event);
}

fn apply_project(tables: &mut Tables, event: &Event) {
    let (project_id, at) = (event.project_id, event.timestamp);
    let key = ProjectKey { project_id };
    match &event.data {
        EventData::ProjectCreated(created) => {
            tables.projects.put(ProjectRow {
                project_id,
                name: created.name.clone(),
                repository_path: created.repository_path.clone(),
                default_branch: created.default_branch.clone(),
                owner: created.owner.clone(),
                settings: created.settings.clone(),
                created_at: at,
                updated_at: at,
            });
            tables.members.put(MemberRow {
                project_id,
                user_id: created.owner.clone(),
                role: MemberRole::Owner,
                added_at: at,
            });
        }
        EventData::ProjectSettingsChanged(changed) => {
            if let Some(project) = tables.projects.edit(&key) {
                project.settings = changed.settings.clone();
                project.updated_at = at;
            }
        }
        EventData::ProjectMemberAdded(added) if tables.projects.get(&key).is_some() => {
            tables.members.put(MemberRow { project_id, user_id: added.user.clone(), role: added.role, added_at: at });
        }
        EventData::ProjectMemberRemoved(removed) => {
            tables.members.remove(MemberKey { project_id, user_id: removed.user.clone() });
        }
        _ => {}
    }
}

fn apply_session(tables: &mut Tables, event: &Event) {
    let at = event.timestamp;
    match &event.data {
        EventData::AgentSpawned(spawned) => tables.sessions.put(SessionRow {
            session_id: spawned.session_id,
            project_id: event.project_id,
            session_key: spawned.session_key.clone(),
            status: SessionStatus::Idle,
            workspace_dir: spawned.workspace_dir.clone(),
            data_dir: spawned.data_dir.clone(),
            current_task_id: None,
            current_run_id: None,
            started_at: at,
            last_activity_at: at,
            tokens_used: 0,
        }),
        EventData::AgentStatusChanged(changed) => {
            if let Some(session) = tables.sessions.edit(&session_key(event, changed.session_id)) {
                session.status = changed.new_status;
                session.last_activity_at = at;
            }
        }
        EventData::WorkAssigned(assigned) => assign(tables, event, assigned),
        EventData::LeaseRenewed(renewed) => {
            if let Some(session) = tables.sessions.edit(&session_key(event, renewed.session_id)) {
                session.last_activity_at = at;
            }
        }
        EventData::WorkReleased(released) => {
            if let Some(session) = tables.sessions.edit(&session_key(event, released.session_id)) {
                session.current_task_id = None;
                session.current_run_id = None;
                session.last_activity_at = at;
            }
        }
        EventData::AgentComplete(complete) => count_tokens(tables, event, complete),
        _ => {}
    }
}

fn assign(tables: &mut Tables, event: &Event, assigned: &WorkAssigned) {
    if let Some(session) = tables.sessions.edit(&session_key(event, assigned.session_id)) {
        session.current_task_id = event.task_id;
        session.current_run_id = Some(assigned.run_id);
        session.last_activity_at = event.timestamp;
    }
}

/// A session of the event's project, whoever else has one of that id.
const fn session_key(event: &Event, session_id: SessionId) -> SessionKey {
    SessionKey { session_id, project_id: event.project_id }
}

/// An agent that ends counts for the session its run was assigned to, while that session is still on the run.
fn count_tokens(tables: &mut Tables, event: &Event, complete: &AgentComplete) {
    let run = tables.runs.get(&RunKey { run_id: complete.run_id, project_id: event.project_id });
    let Some(session_id) = run.and_then(|run| run.session_id) else { return };
    let key = session_key(event, session_id);
    if tables.sessions.get(&key).is_some_and(|session| session.current_run_id == Some(complete.run_id))
        && let Some(session) = tables.sessions.edit(&key)
    {
        let tokens = complete.result.tokens.as_ref().map_or(0, |tokens| tokens.total_tokens);
        session.tokens_used = session.tokens_used.saturating_add(tokens).min(COLUMN_MAX);
        session.last_activity_at = event.timestamp;
    }
}
