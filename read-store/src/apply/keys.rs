//! Which stored rows an event needs before it can be applied. It must never change a row.

use muster_domain::event::{Event, EventData};
use muster_domain::id::{RunId, SessionId, SubtaskId, TaskId};

use super::Tables;
use crate::rows::{IterationKey, ProjectKey, QuestionKey, RunKey, SessionKey, SnapshotKey, SubtaskKey, TaskKey};

impl Tables {
    pub(super) fn want(&mut self, event: &Event) {
        let project_id = event.project_id;
        if let Some(task_id) = event.task_id {
            self.tasks.want(TaskKey { task_id, project_id });
            self.want_of_task(event, task_id);
        }
        match &event.data {
            EventData::ProjectSettingsChanged(_)
            | EventData::ProjectMemberAdded(_)
            | EventData::ProjectMemberRemoved(_) => self.projects.want(ProjectKey { project_id }),
            _ => {}
        }
        if let Some(run_id) = run_of(&event.data) {
            self.runs.want(RunKey { run_id, project_id });
            if let Some(iteration) = iteration_of(&event.data) {
                self.iterations.want(IterationKey { run_id, project_id, iteration });
            }
        }
        if let Some(subtask_id) = subtask_of(&event.data) {
            self.subtasks.want(SubtaskKey { subtask_id, project_id });
        }
        if let Some(session_id) = session_of(&event.data) {
            self.sessions.want(SessionKey { session_id, project_id });
        }
    }

    /// What belongs to a task and is changed later.
    fn want_of_task(&mut self, event: &Event, task_id: TaskId) {
        let project_id = event.project_id;
        match &event.data {
            EventData::UserAnsweredQuestion(e) => {
                self.questions.want(QuestionKey { question_id: e.question_id, project_id, task_id });
            }
            EventData::SnapshotRestored(e) => {
                self.snapshots.want(SnapshotKey { snapshot_id: e.snapshot_id, project_id, task_id });
            }
            _ => {}
        }
    }
}

/// The run whose row an event changes or is read for.
fn run_of(data: &EventData) -> Option<RunId> {
    Some(match data {
        EventData::RunStarted(e) => e.run_id,
        EventData::RunComplete(e) => e.run_id,
        EventData::RunFailed(e) => e.run_id,
        EventData::IterationStarted(e) => e.run_id,
        EventData::IterationComplete(e) => e.run_id,
        EventData::StrategyDecided(e) => e.run_id,
        EventData::AgentStarted(e) => e.run_id,
        EventData::AgentComplete(e) => e.run_id,
        EventData::AgentFailed(e) => e.run_id,
        EventData::VerificationStarted(e) => e.run_id,
        EventData::VerificationComplete(e) => e.run_id,
        EventData::WorkspaceAcquired(e) => e.run_id,
        EventData::WorkspaceReleased(e) => e.run_id,
        EventData::PrCreated(e) => e.run_id,
        EventData::PrMerged(e) => e.run_id,
        EventData::WorkAssigned(e) => e.run_id,
        EventData::WorkProgress(e) => e.run_id,
        EventData::WorkReleased(e) => e.run_id,
        EventData::LeaseRenewed(e) => e.run_id,
        _ => return None,
    })
}

fn iteration_of(data: &EventData) -> Option<u32> {
    Some(match data {
        EventData::IterationStarted(e) => e.iteration,
        EventData::IterationComplete(e) => e.iteration,
        EventData::StrategyDecided(e) => e.iteration,
        EventData::AgentStarted(e) => e.iteration,
        EventData::AgentComplete(e) => e.iteration,
        EventData::AgentFailed(e) => e.iteration,
        EventData::VerificationStarted(e) => e.iteration,
        EventData::VerificationComplete(e) => e.iteration,
        _ => return None,
    })
}

fn subtask_of(data: &EventData) -> Option<SubtaskId> {
    match data {
        EventData::ChunkStarted(e) => Some(e.subtask_id),
        EventData::ChunkCompleted(e) => Some(e.subtask_id),
        EventData::SubtaskStatusChanged(e) => Some(e.subtask_id),
        EventData::WorkAssigned(e) => e.subtask_id,
        _ => None,
    }
}

fn session_of(data: &EventData) -> Option<SessionId> {
    Some(match data {
        EventData::WorkAssigned(e) => e.session_id,
        EventData::WorkReleased(e) => e.session_id,
        EventData::LeaseRenewed(e) => e.session_id,
        EventData::AgentStatusChanged(e) => e.session_id,
        _ => return None,
    })
}
