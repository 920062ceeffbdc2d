//! A project: settings, members, tasks, sessions and leases. The unit of consistency of the write side.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::session::Session;
use super::task::Task;
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProjectState {
    /// The project; none before its first event.
    pub project: Option<Project>,
    /// Position of the last event.
    pub position: u64,
    /// Tasks by id.
    pub tasks: BTreeMap<TaskId, Task>,
    /// Sessions by id.
    pub sessions: BTreeMap<SessionId, Session>,
    /// Runs with a live lease, and their task.
    pub leases: BTreeMap<RunId, TaskId>,
    /// Tasks that wait for another, by the one they wait for.
    pub dependents: BTreeMap<TaskId, BTreeSet<TaskId>>,
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
            self.tasks.entry(id).or_insert_with(|| Task::new(id, event.project_id)).apply(event);
        }
        self.apply_project(event);
        self.apply_sessions(event);
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
                self.project = Some(Project {
                    id: event.project_id,
                    name: created.name.clone(),
                    repository_path: created.repository_path.clone(),
                    default_branch: created.default_branch.clone(),
                    settings: created.settings.clone(),
                    members: BTreeMap::from([(created.owner.clone(), MemberRole::Owner)]),
                    created_at: event.timestamp,
                });
            }
            EventData::ProjectSettingsChanged(changed) => {
                if let Some(project) = &mut self.project {
                    project.settings = changed.settings.clone();
                }
            }
            EventData::ProjectMemberAdded(added) => {
                if let Some(project) = &mut self.project {
                    project.members.insert(added.user.clone(), added.role);
                }
            }
            EventData::ProjectMemberRemoved(removed) => {
                if let Some(project) = &mut self.project {
                    project.members.remove(&removed.user);
                }
            }
            EventData::TaskCreated(created) => {
                if let Some(id) = event.task_id {
                    for blocker in &created.blocked_by {
                        self.dependents.entry(*blocker).or_default().insert(id);
                    }
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
                self.sessions.insert(
                    spawned.session_id,
                    Session {
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
                    },
                );
            }
            EventData::AgentStatusChanged(changed) => {
                if let Some(session) = self.sessions.get_mut(&changed.session_id) {
                    session.status = changed.new_status;
                    session.last_activity_at = event.timestamp;
                }
            }
            EventData::WorkAssigned(assigned) => {
                self.last_fencing_token = self.last_fencing_token.max(assigned.fencing_token);
                if let Some(task_id) = event.task_id {
                    self.leases.insert(assigned.run_id, task_id);
                }
                if let Some(session) = self.sessions.get_mut(&assigned.session_id) {
                    session.current_task_id = event.task_id;
                    session.current_run_id = Some(assigned.run_id);
                    session.last_activity_at = event.timestamp;
                }
            }
            EventData::LeaseRenewed(renewed) => {
                if let Some(session) = self.sessions.get_mut(&renewed.session_id) {
                    session.last_activity_at = event.timestamp;
                }
            }
            EventData::WorkReleased(released) => {
                self.leases.remove(&released.run_id);
                if let Some(session) = self.sessions.get_mut(&released.session_id) {
                    session.current_task_id = None;
                    session.current_run_id = None;
                    session.last_activity_at = event.timestamp;
                }
            }
            EventData::AgentComplete(complete) => {
                let tokens = complete.result.tokens.as_ref().map_or(0, |tokens| tokens.total_tokens);
                if let Some(session) = self.sessions.values_mut().find(|s| s.current_run_id == Some(complete.run_id)) {
                    session.tokens_used += tokens;
                    session.last_activity_at = event.timestamp;
                }
            }
            _ => {}
        }
    }
}
