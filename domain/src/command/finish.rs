//! What follows when a run comes to its end: by role, and by what it showed.

use super::failure::{fail_task, move_subtask};
use super::report_run::{settle_plan, unblocked_by};
use crate::decide::{Draft, Drafts, leave_lease};
use crate::event::{
    ChunkCompleted, RunComplete, SubtaskStatusChanged, SubtaskUnblocked, TaskCompleted, TaskStatusChanged,
    TaskUnblocked,
};
use crate::id::{RunId, SubtaskId, TaskId};
use crate::model::{
    BuildError, BuildErrorKind, Evidence, ReleaseReason, Role, RunResult, SessionStatus, StrategyAction, SubtaskStatus,
    TaskStatus,
};
use crate::rejection::Rejection;
use crate::state::{ProjectState, Run, Task};

/// Ends a run that came to its end.
pub(super) fn complete_run(drafts: &mut Drafts, state: &ProjectState, complete: RunComplete) -> Result<(), Rejection> {
    let run_id = complete.run_id;
    let Some(run) = drafts.task.run(run_id).cloned() else { return Err(Rejection::RunNotFound { run_id }) };
    let (result, error) = (complete.result, complete.error.clone());
    if result == RunResult::Succeeded {
        check_success(&drafts.task, &run, state)?;
    }
    drafts.push(complete);
    let (reason, session) = match result {
        RunResult::Succeeded => (ReleaseReason::Finished, SessionStatus::Completed),
        RunResult::Failed => (ReleaseReason::Failed, SessionStatus::Failed),
    };
    leave_lease(drafts, state, run_id, reason, session);
    match (result, run.role) {
        (RunResult::Failed, _) => give_up(drafts, &run, error),
        (RunResult::Succeeded, Role::Planner) => settle_plan(drafts, state),
        (RunResult::Succeeded, Role::Coder) => finish_chunk(drafts, &run),
        (RunResult::Succeeded, Role::Reviewer) => finish_review(drafts, state, &run)?,
        (RunResult::Succeeded, _) => {}
    }
    Ok(())
}

/// Refuses a success that was not shown.
fn check_success(task: &Task, run: &Run, state: &ProjectState) -> Result<(), Rejection> {
    let refuse = |message: &str| Err(Rejection::invalid("reports.complete", message));
    let has_checks = state.project.as_ref().is_some_and(|project| !project.settings.verification.is_empty());
    match run.role {
        Role::Planner if task.plan.as_ref().is_none_or(|plan| plan.run_id != run.id) => {
            refuse("a planner succeeds by reporting a plan")
        }
        Role::Coder if has_checks && !run.last_verification().is_some_and(|report| report.passed) => {
            refuse("a coder succeeds when its last verification passed")
        }
        Role::Coder if run.merged.is_none() => refuse("a coder succeeds by merging its branch"),
        Role::Reviewer if run.merged.is_none() && !run.changes_requested => {
            refuse("a reviewer succeeds by merging or by asking for changes")
        }
        _ => Ok(()),
    }
}

/// The evidence a review run has for each acceptance criterion.
///
/// # Errors
/// [`Rejection::EvidenceMissing`] with the criteria that have none.
pub(super) fn evidence_for(task: &Task, run_id: RunId) -> Result<Vec<Evidence>, Rejection> {
    let report = task.run(run_id).and_then(Run::last_verification);
    let mut evidence = Vec::new();
    let mut missing = Vec::new();
    for (index, criterion) in task.acceptance_criteria.iter().enumerate() {
        let shown = match (&criterion.check, report) {
            (_, None) => None,
            (Some(name), Some(report)) => report
                .checks
                .iter()
                .find(|check| &check.name == name && check.passed)
                .map(|check| format!("{} exited with 0", check.command)),
            (None, Some(report)) => (report.passed && !report.checks.is_empty())
                .then(|| format!("all {} verification commands passed", report.checks.len())),
        };
        match shown {
            Some(detail) => evidence.push(Evidence {
                criterion_index: u32::try_from(index).unwrap_or(u32::MAX),
                run_id,
                check: criterion.check.clone(),
                detail,
            }),
            None => missing.push(criterion.text.clone()),
        }
    }
    if missing.is_empty() { Ok(evidence) } else { Err(Rejection::EvidenceMissing { criteria: missing }) }
}

fn give_up(drafts: &mut Drafts, run: &Run, error: Option<BuildError>) {
    let error = error.unwrap_or_else(|| BuildError {
        kind: BuildErrorKind::GaveUp,
        message: "the run ended without success".to_owned(),
        exit_code: None,
        log_excerpt: None,
    });
    if run.last_decision() == Some(StrategyAction::Escalate) {
        move_subtask(drafts, run.subtask_id, SubtaskStatus::Ready);
        drafts.move_to(TaskStatus::Blocked, Some(&error.message));
    } else {
        move_subtask(drafts, run.subtask_id, SubtaskStatus::Failed);
        fail_task(drafts, error);
    }
}

fn finish_chunk(drafts: &mut Drafts, run: &Run) {
    let Some(subtask_id) = run.subtask_id else { return };
    let commit = run.merged.as_ref().map(|(_, commit)| commit.clone());
    drafts.push(ChunkCompleted { subtask_id, run_id: run.id, commit });
    move_subtask(drafts, Some(subtask_id), SubtaskStatus::Completed);
    move_subtask(drafts, Some(subtask_id), SubtaskStatus::Merged);
    for unblocked in unblocked_by(drafts, subtask_id) {
        drafts.push(SubtaskUnblocked { subtask_id: unblocked, unblocked_by_id: subtask_id });
        move_subtask(drafts, Some(unblocked), SubtaskStatus::Ready);
    }
    if drafts.task.all_subtasks_merged() && drafts.task.status == TaskStatus::InFlight {
        drafts.move_to(TaskStatus::Review, None);
    }
}

fn finish_review(drafts: &mut Drafts, state: &ProjectState, run: &Run) -> Result<(), Rejection> {
    if run.changes_requested {
        request_changes(drafts, state);
        return Ok(());
    }
    let evidence = evidence_for(&drafts.task, run.id)?;
    let (branch, merge_commit) = (Some(drafts.task.branch_name()), run.merged.as_ref().map(|(_, c)| c.clone()));
    drafts.push(TaskCompleted { evidence, branch, merge_commit });
    drafts.move_to(TaskStatus::Done, None);
    let unblocked = unblock_dependents(drafts.task.id, state);
    drafts.extend(unblocked);
    Ok(())
}

/// Hands the review's new subtask out, unless reviews went round too often.
fn request_changes(drafts: &mut Drafts, state: &ProjectState) {
    let max_rounds = state.project.as_ref().map_or(1, |project| project.settings.max_iterations);
    let Some((subtask_id, feedback)) = newest_subtask(&drafts.task) else { return };
    if drafts.task.review_rounds > max_rounds {
        let message = format!("{} reviews asked for changes; the last: {feedback}", drafts.task.review_rounds);
        move_subtask(drafts, Some(subtask_id), SubtaskStatus::Failed);
        fail_task(
            drafts,
            BuildError { kind: BuildErrorKind::MaxIterations, message, exit_code: None, log_excerpt: None },
        );
        return;
    }
    drafts.push(SubtaskStatusChanged { subtask_id, old_status: None, new_status: SubtaskStatus::Ready });
    drafts.move_to(TaskStatus::InFlight, Some("the review asked for changes"));
}

fn newest_subtask(task: &Task) -> Option<(SubtaskId, String)> {
    task.subtasks.last().map(|subtask| (subtask.id, subtask.description.clone()))
}

/// Cards that waited for `done` and for nothing else that is not done.
fn unblock_dependents(done: TaskId, state: &ProjectState) -> Vec<Draft> {
    let is_done = |id: &TaskId| *id == done || state.status_of(*id) == Some(TaskStatus::Done);
    let mut drafts = Vec::new();
    for task in state.tasks.dependents_of(done) {
        if task.status == TaskStatus::Blocked && task.blocked_by.iter().all(is_done) {
            let task_id = Some(task.id);
            drafts.push(Draft { task_id, data: TaskUnblocked { unblocked_by: done }.into() });
            let changed = TaskStatusChanged {
                old_status: Some(TaskStatus::Blocked),
                new_status: TaskStatus::Inbox,
                reason: Some("what it waited for is done".to_owned()),
            };
            drafts.push(Draft { task_id, data: changed.into() });
        }
    }
    drafts
}
