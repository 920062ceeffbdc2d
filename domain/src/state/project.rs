//! A project: settings, members, tasks, sessions and leases. The unit of consistency of the write side.
//!
//! Everything large is shared between a state and its clones and copied when it is changed, one task at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use super::aside::Aside;
use super::session::Session;
use super::task::Task;
use super::task_fold::sum_costs;
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

/// How many sessions that ended a project remembers. The id of one that is forgotten may be used anew.
pub const ENDED_SESSIONS_KEPT: usize = 64;

/// Everything the events of one project add up to.
///
/// A clone costs the same however large the project is, and shares with the original all that neither changes later:
/// [`apply`](Self::apply) copies the tasks and sessions that an event touches, and nothing else.
///
/// Snapshots are written in an encoding that counts fields: none may be left out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProjectState {
    /// The project; none before its first event.
    pub project: Option<Arc<Project>>,
    /// Position of the last event.
    pub position: u64,
    /// Tasks by id.
    pub tasks: Tasks,
    /// Finished tasks that are not in memory: what is known of them. Whoever folds a history without setting tasks aside
    /// has none.
    #[serde(default)]
    pub aside: OrdMap<TaskId, Aside>,
    /// Sessions by id: those at work, and of those that ended the newest.
    pub sessions: OrdMap<SessionId, Arc<Session>>,
    /// Sessions that ended and are still in `sessions`, oldest end first.
    pub ended_sessions: Vector<SessionId>,
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
    /// Adds one event. A task that is set aside must be put back before an event of its own is added.
    pub fn apply(&mut self, event: &Event) {
        self.position = event.position;
        if let Some(id) = event.task_id {
            self.apply_task(id, event);
        }
        self.apply_project(event);
        self.apply_sessions(event);
    }

    /// The task of that id.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(AsRef::as_ref)
    }

    fn apply_task(&mut self, id: TaskId, event: &Event) {
        if self.is_aside(id) {
            debug_assert!(false, "{id}: event {} before the task was put back", event.sequence);
            // Never a task out of nothing. What is aside moves on, so that only a task with this event can return.
            if let Some(aside) = self.aside.get_mut(&id) {
                aside.apply(event);
            }
            return;
        }
        self.tasks.change(id, event.project_id, |task| task.apply(event));
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
                let tokens = complete.result.tokens.as_ref().map_or(0, |tokens| tokens.total_tokens);
                self.tokens_used = self.tokens_used.saturating_add(tokens);
                self.cost_usd = sum_costs(self.cost_usd, complete.result.cost_usd.unwrap_or(0.0));
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
                    let had_ended = session.has_ended();
                    session.status = changed.new_status;
                    session.last_activity_at = event.timestamp;
                    if !had_ended && session.has_ended() {
                        self.keep_newest_ended(changed.session_id);
                    }
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
                    session.tokens_used = session.tokens_used.saturating_add(tokens);
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

    /// Every piece of work has a session of its own, so the ended ones would outgrow all else.
    fn keep_newest_ended(&mut self, ended: SessionId) {
        self.ended_sessions.push_back(ended);
        if self.ended_sessions.len() > ENDED_SESSIONS_KEPT
            && let Some(oldest) = self.ended_sessions.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }

    /// The session that works in a run: the one that holds its lease.
    fn session_of(&self, task_id: Option<TaskId>, run_id: RunId) -> Option<SessionId> {
        let id = self.tasks.get(&task_id?)?.run(run_id)?.lease.as_ref()?.session_id;
        (self.sessions.get(&id)?.current_run_id == Some(run_id)).then_some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Report;
    use crate::model::{BuildError, BuildErrorKind, Role};
    use crate::testing::{claim, given_project, project_settings, report, task};

    #[test]
    fn of_the_sessions_that_ended_the_newest_are_known() {
        let kept = ENDED_SESSIONS_KEPT as u128;
        let settings = ProjectSettings { max_attempts: 1000, ..project_settings() };
        let change = crate::command::ChangeSettings { settings };
        let mut scenario = given_project().when(change).ok().when(task(1)).ok();
        let error = BuildError {
            kind: BuildErrorKind::AgentKilled,
            message: "killed".to_owned(),
            exit_code: None,
            log_excerpt: None,
        };
        for session in 0..kept + 10 {
            scenario = scenario.when(claim(session, &[Role::Planner])).ok();
            let work = scenario.outcome().claim.unwrap();
            scenario = scenario.when(report(&work, Report::Failed { error: error.clone() })).ok();
        }
        assert_eq!(scenario.state.sessions.len(), ENDED_SESSIONS_KEPT);
        scenario
            .when(claim(10, &[Role::Planner]))
            .then_rejected("invalid_argument")
            .when(claim(9, &[Role::Planner]))
            .ok();
    }
}
