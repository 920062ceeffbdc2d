//! Events being decided: data and the task they concern, before ids and counts are assigned.

use crate::event::{AgentStatusChanged, EventData, TaskStatusChanged, WorkReleased};
use crate::id::{RunId, TaskId};
use crate::model::{ReleaseReason, SessionStatus, TaskStatus};
use crate::state::{ProjectState, Task};
use crate::time::Timestamp;

/// An event without its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Task it concerns, if one.
    pub task_id: Option<TaskId>,
    /// What happens.
    pub data: EventData,
}

/// Drafts about one task, with the task as it is after them, so that each step sees the one before.
pub(crate) struct Drafts {
    pub(crate) task: Task,
    decided: Vec<Draft>,
    now: Timestamp,
}

impl Drafts {
    pub(crate) fn new(task: Task, now: Timestamp) -> Self {
        Self { task, decided: Vec::new(), now }
    }

    /// Adds an event of the task.
    pub(crate) fn push(&mut self, data: impl Into<EventData>) {
        let data = data.into();
        self.task.apply_data(&data, self.now);
        self.decided.push(Draft { task_id: Some(self.task.id), data });
    }

    /// Adds events of other tasks or of the project.
    pub(crate) fn extend(&mut self, drafts: impl IntoIterator<Item = Draft>) {
        self.decided.extend(drafts);
    }

    /// Moves the task to another column; nothing when it is there.
    pub(crate) fn move_to(&mut self, new_status: TaskStatus, reason: Option<&str>) {
        if self.task.status != new_status {
            self.push(TaskStatusChanged {
                old_status: Some(self.task.status),
                new_status,
                reason: reason.map(str::to_owned),
            });
        }
    }

    pub(crate) fn finish(self) -> Vec<Draft> {
        self.decided
    }
}

/// Ends the lease of `run_id` and puts its session to `status`. Nothing when there is no lease.
pub(crate) fn leave_lease(
    drafts: &mut Drafts,
    state: &ProjectState,
    run_id: RunId,
    reason: ReleaseReason,
    status: SessionStatus,
) {
    let Some(lease) = drafts.task.run(run_id).and_then(|run| run.lease.clone()) else { return };
    drafts.push(WorkReleased { run_id, session_id: lease.session_id, fencing_token: lease.fencing_token, reason });
    if let Some(session) = state.sessions.get(&lease.session_id)
        && session.status != status
    {
        drafts.push(AgentStatusChanged { session_id: session.id, old_status: session.status, new_status: status });
    }
}
