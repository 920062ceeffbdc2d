//! What follows when a run breaks or its work is given up. Shared by reports and lost leases.

use crate::decide::{Drafts, leave_lease};
use crate::event::{RunFailed, SubtaskStatusChanged, TaskFailed};
use crate::id::{RunId, SubtaskId};
use crate::model::{BuildError, ReleaseReason, SessionStatus, SubtaskStatus, TaskStatus};
use crate::state::ProjectState;

/// Ends a run that broke: its work is handed out again until `max_attempts`, then the card fails.
pub(super) fn fail_run(
    drafts: &mut Drafts,
    state: &ProjectState,
    run_id: RunId,
    error: BuildError,
    reason: ReleaseReason,
) {
    let max_attempts = state.project.as_ref().map_or(1, |project| project.settings.max_attempts);
    let Some(run) = drafts.task.run(run_id) else { return };
    let subtask_id = run.subtask_id;
    let failed = subtask_id
        .and_then(|id| drafts.task.subtask(id))
        .map_or(drafts.task.failed_attempts, |subtask| subtask.failed_attempts);
    let will_retry = failed + 1 < max_attempts;
    drafts.push(RunFailed { run_id, error: error.clone(), will_retry });
    leave_lease(drafts, state, run_id, reason, SessionStatus::Failed);
    let status = if will_retry { SubtaskStatus::Ready } else { SubtaskStatus::Failed };
    move_subtask(drafts, subtask_id, status);
    if !will_retry {
        fail_task(drafts, error);
    }
}

/// Puts a subtask to `new_status`; nothing when it has it.
pub(super) fn move_subtask(drafts: &mut Drafts, subtask_id: Option<SubtaskId>, new_status: SubtaskStatus) {
    let Some(subtask) = subtask_id.and_then(|id| drafts.task.subtask(id)) else { return };
    if subtask.status != new_status {
        let (subtask_id, old_status) = (subtask.id, Some(subtask.status));
        drafts.push(SubtaskStatusChanged { subtask_id, old_status, new_status });
    }
}

/// Gives the card up.
pub(super) fn fail_task(drafts: &mut Drafts, error: BuildError) {
    if drafts.task.is_terminal() {
        return;
    }
    let reason = error.message.clone();
    drafts.push(TaskFailed { error });
    drafts.move_to(TaskStatus::Failed, Some(&reason));
}
