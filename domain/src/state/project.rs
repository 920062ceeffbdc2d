//! A project: settings, members, tasks, sessions and leases. The unit of consistency of the write side.
//!
//! Everything large is shared between a state and its clones and copied when it is changed, one task at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::session::Session;
use super::task::Task;
use super::tasks::Tasks;
use crate::event::{Event, EventData};
use crate::id::{ProjectId, RunId, SessionId, TaskId};
use crate::model::{MemberRole, ProjectSettings, SessionStatus};
use crate::time::Timestamp;

/// A repository, how it is worked on, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// Path of its git repository on the runner's machine.
    pub repository_path: String,
    /// Branch finished work is merged into.
    pub default_branch: String,
    /// How it works.
    pub settings: ProjectSettings,
    /// Users and their roles.
    pub members: BTreeMap<String, MemberRole>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Everything the events of one project add up to.
///
/// A clone costs the same however large the project is, and shares with the original all that neither changes later:
/// [`apply`](Self::apply) copies the tasks and sessions that an event touches, and nothing else.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProjectState {
    /// The project; none before its first event.
    pub project: Option<Arc<Project>>,
    /// Position of the last event.
    pub position: u64,
    /// Tasks by id.
    pub tasks: Tasks,
    /// Sessions by id.
    pub sessions: OrdMap<SessionId, Arc<Session>>,
    /// Runs with a live lease, and their task.
    pub leases: OrdMap<RunId, TaskId>,
    /// The highest fencing token given out.
    pub last_fencing_token: u64,
    /// Tokens of all runs, as far as they are known.
    pub tokens_used: u64,
    /// US dollars of all runs, as far as they are known.
    pub cost_usd: f64,
}

impl ProjectState {
    /// Adds one event.
    pub fn apply(&mut self, event: &Event) {
        self.position = event.position;
        if let Some(id) = event.task_id {
            self.tasks.change(id, event.project_id, |task| task.apply(event));
        }
        self.apply_project(event);
        self.apply_sessions(event);
    }

    /// The task of that id.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(AsRef::as_ref)
    }

    /// Whether a run has a live lease under `fencing_token`.
    pub fn holds_lease(&self, task_id: TaskId, run_id: RunId, fencing_token: u64) -> bool {
        self.tasks
            .get(&task_id)
            .and_then(|task| task.run(run_id))
            .and_then(|run| run.lease.as_ref())
            .is_some_and(|lease| lease.fencing_token == fencing_token)
    }

    fn apply_project(&mut self, event: &Event) {
        match &event.data {
            EventData::ProjectCreated(created) => {
                self.project = Some(Arc::new(Project {
                    id: event.project_id,
                    name: created.name.clone(),
                    repository_path: created.repository_path.clone(),
                    default_branch: created.default_branch.clone(),
                    settings: created.settings.clone(),
                    members: BTreeMap::from([(created.owner.clone(), MemberRole::Owner)]),
                    created_at: event.timestamp,
                }));
            }
            EventData::ProjectSettingsChanged(changed) => {
                if let Some(project) = self.project_mut() {
                    project.settings = changed.settings.clone();
                }
            }
            EventData::ProjectMemberAdded(added) => {
                if let Some(project) = self.project_mut() {
                    project.members.insert(added.user.clone(), added.role);
                }
            }
            EventData::ProjectMemberRemoved(removed) => {
                if let Some(project) = self.project_mut() {
                    project.members.remove(&removed.user);
                }
            }
            EventData::AgentComplete(complete) => {
                self.tokens_used += complete.result.tokens.as_ref().map_or(0, |tokens| tokens.total_tokens);
                self.cost_usd += complete.result.cost_usd.unwrap_or(0.0);
            }
            _ => {}
        }
    }

    fn apply_sessions(&mut self, event: &Event) {
        match &event.data {
            EventData::AgentSpawned(spawned) => {
                let session = Session {
                    id: spawned.session_id,
                    session_key: spawned.session_key.clone(),
                    status: SessionStatus::Idle,
                    workspace_dir: spawned.workspace_dir.clone(),
                    data_dir: spawned.data_dir.clone(),
                    current_task_id: None,
                    current_run_id: None,
                    started_at: event.timestamp,
                    last_activity_at: event.timestamp,
                    tokens_used: 0,
                };
                self.sessions.insert(spawned.session_id, Arc::new(session));
            }
            EventData::AgentStatusChanged(changed) => {
                if let Some(session) = self.session_mut(changed.session_id) {
                    session.status = changed.new_status;
                    session.last_activity_at = event.timestamp;
                }
            }
            EventData::WorkAssigned(assigned) => {
                self.last_fencing_token = self.last_fencing_token.max(assigned.fencing_token);
                if let Some(task_id) = event.task_id {
                    self.leases.insert(assigned.run_id, task_id);
                }
                if let Some(session) = self.session_mut(assigned.session_id) {
                    session.current_task_id = event.task_id;
                    session.current_run_id = Some(assigned.run_id);
                    session.last_activity_at = event.timestamp;
                }
            }
            EventData::LeaseRenewed(renewed) => {
                if let Some(session) = self.session_mut(renewed.session_id) {
                    session.last_activity_at = event.timestamp;
                }
            }
            EventData::WorkReleased(released) => {
                self.leases.remove(&released.run_id);
                if let Some(session) = self.session_mut(released.session_id) {
                    session.current_task_id = None;
                    session.current_run_id = None;
                    session.last_activity_at = event.timestamp;
                }
            }
            EventData::AgentComplete(complete) => {
                let tokens = complete.result.tokens.as_ref().map_or(0, |tokens| tokens.total_tokens);
                let session_id = self.session_of(event.task_id, complete.run_id);
                if let Some(session) = session_id.and_then(|id| self.session_mut(id)) {
                    session.tokens_used += tokens;
                    session.last_activity_at = event.timestamp;
                }
            }
            _ => {}
        }
    }

    fn project_mut(&mut self) -> Option<&mut Project> {
        self.project.as_mut().map(Arc::make_mut)
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id).map(Arc::make_mut)
    }

    /// The session that works in a run: the one that holds its lease.
    fn session_of(&self, task_id: Option<TaskId>, run_id: RunId) -> Option<SessionId> {
        let id = self.tasks.get(&task_id?)?.run(run_id)?.lease.as_ref()?.session_id;
        (self.sessions.get(&id)?.current_run_id == Some(run_id)).then_some(id)
    }
}
