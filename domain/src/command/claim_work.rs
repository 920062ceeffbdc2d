//! `claim_work`: gives the most urgent ready work to a session, with a lease and a fencing token.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::task_of;
use super::work_order::{Work, next_work};
use crate::decide::{Context, Draft, Drafts};
use crate::event::{
    AgentInvoked, AgentSpawned, AgentStatusChanged, ChunkStarted, RunQueued, SubtaskStatusChanged, TaskStarted,
    WorkAssigned,
};
use crate::id::{RunId, SessionId};
use crate::model::{Role, SessionStatus, SubtaskStatus, TaskStatus};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Claims the most urgent work (ties: the oldest card). No events when there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimWork {
    /// Session that will do it; spawned by the claim when it is new.
    pub session_id: SessionId,
    /// Name of the session.
    pub session_key: String,
    /// Roles it can play.
    pub roles: Vec<Role>,
    /// Length of the lease in milliseconds.
    pub lease_duration_ms: u64,
    /// Its workspace on the runner's machine.
    pub workspace_dir: String,
    /// Its data directory on the runner's machine.
    pub data_dir: String,
}

impl Decide for ClaimWork {
    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, crate::model::MemberRole::Operator)?;
        if self.lease_duration_ms == 0 || self.lease_duration_ms > ctx.limits.lease_max_ms {
            let message = format!("must be from 1 to {} ms", ctx.limits.lease_max_ms);
            return Err(Rejection::invalid("lease_duration_ms", message));
        }
        ctx.limits.title("session_key", &self.session_key)?;
        if let Some(session) = state.sessions.get(&self.session_id)
            && session.status != SessionStatus::Idle
        {
            return Err(Rejection::invalid("session_id", format!("the session is {}", session.status)));
        }
        let Some(work) = next_work(state, &self.roles) else { return Ok(Vec::new()) };
        let mut drafts = Drafts::new(task_of(state, work.task_id)?.clone(), ctx.now);
        self.spawn(&mut drafts, state);
        self.assign(&mut drafts, state, &work, RunId(ctx.ids.next_id()));
        Ok(drafts.finish())
    }
}

impl ClaimWork {
    fn spawn(&self, drafts: &mut Drafts, state: &ProjectState) {
        if !state.sessions.contains_key(&self.session_id) {
            drafts.extend([Draft {
                task_id: None,
                data: AgentSpawned {
                    session_id: self.session_id,
                    session_key: self.session_key.clone(),
                    workspace_dir: self.workspace_dir.clone(),
                    data_dir: self.data_dir.clone(),
                }
                .into(),
            }]);
        }
    }

    fn assign(&self, drafts: &mut Drafts, state: &ProjectState, work: &Work, run_id: RunId) {
        let Work { role, subtask_id, .. } = *work;
        let failed = subtask_id
            .and_then(|id| drafts.task.subtask(id))
            .map_or(drafts.task.failed_attempts, |subtask| subtask.failed_attempts);
        let attempt = failed + 1;
        if !drafts.task.started {
            drafts.push(TaskStarted { run_id });
        }
        match role {
            Role::Planner => drafts.move_to(TaskStatus::Planning, None),
            Role::Coder => drafts.move_to(TaskStatus::InFlight, None),
            _ => {}
        }
        drafts.push(RunQueued { run_id, role, subtask_id, attempt });
        drafts.push(WorkAssigned {
            run_id,
            session_id: self.session_id,
            role,
            subtask_id,
            fencing_token: state.last_fencing_token + 1,
            lease_duration_ms: self.lease_duration_ms,
            attempt,
        });
        drafts.push(AgentInvoked { run_id, role, subtask_id });
        drafts.push(AgentStatusChanged {
            session_id: self.session_id,
            old_status: SessionStatus::Idle,
            new_status: SessionStatus::Working,
        });
        if let Some(subtask_id) = subtask_id {
            drafts.push(SubtaskStatusChanged {
                subtask_id,
                old_status: Some(SubtaskStatus::Ready),
                new_status: SubtaskStatus::InProgress,
            });
            drafts.push(ChunkStarted { subtask_id, run_id });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CreateTask;
    use crate::model::Priority;
    use crate::testing::{claim, given_claimed, given_plan, given_project, task, task_id};

    #[test]
    fn the_most_urgent_card_goes_first_then_the_oldest() {
        let mut scenario = given_project();
        for (n, priority) in [(1, Priority::Low), (2, Priority::High), (3, Priority::High)] {
            scenario = scenario.when(CreateTask { priority, ..task(n) }).ok();
        }
        let state = scenario.when(claim(1, &[Role::Planner])).ok().when(claim(2, &[Role::Planner])).ok().state;
        let planning: Vec<_> = state.leases.values().copied().collect();
        assert_eq!(planning.len(), 2);
        assert!(planning.contains(&task_id(2)) && planning.contains(&task_id(3)));
    }

    #[test]
    fn a_card_is_claimed_once_and_tokens_grow() {
        let (scenario, first) = given_claimed();
        let scenario = scenario.when(claim(2, &[Role::Planner])).then_events(&[]);
        assert_eq!(first.fencing_token, 1);
        let state = scenario.when(task(2)).ok().when(claim(2, &[Role::Planner])).ok().state;
        assert_eq!(state.last_fencing_token, 2);
    }

    #[test]
    fn nothing_for_a_role_that_has_no_work() {
        given_project().when(task(1)).ok().when(claim(1, &[Role::Coder])).then_events(&[]);
        given_plan().when(claim(9, &[Role::Coder, Role::Reviewer])).then_events(&[]);
    }

    #[test]
    fn a_busy_session_claims_nothing_more() {
        let (scenario, _) = given_claimed();
        scenario.when(task(2)).ok().when(claim(1, &[Role::Planner])).then_rejected("invalid_argument");
    }
}
