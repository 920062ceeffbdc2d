//! Events of a plan and of the subtasks it becomes.

use muster_domain::event::EventData;
use muster_domain::id::SubtaskId;
use muster_domain::model::SubtaskStatus;

use super::{Context, Tables};
use crate::rows::{SubtaskKey, SubtaskRow};

pub(super) fn apply(tables: &mut Tables, context: Context, data: &EventData) {
    match data {
        EventData::PlanReady(_) | EventData::PlanRejected(_) => decide(tables, context, data),
        EventData::PlanApproved(_) => {
            decide(tables, context, data);
            replace_subtasks(tables, context);
        }
        EventData::ReviewChangesRequested(request) => {
            let Some(task) = tables.tasks.edit(&context.task()) else { return };
            task.review_rounds += 1;
            let ordinal = task.subtask_count;
            task.subtask_count += 1;
            let title = format!("Address review {}", task.review_rounds);
            tables.subtasks.put(subtask(context, ordinal, request.subtask_id, title, request.feedback.clone(), &[]));
        }
        EventData::ChunkStarted(started) => edit(tables, context, started.subtask_id, |subtask| {
            subtask.run_id = Some(started.run_id);
        }),
        EventData::ChunkCompleted(completed) => edit(tables, context, completed.subtask_id, |subtask| {
            subtask.run_id = Some(completed.run_id);
            subtask.commit.clone_from(&completed.commit);
        }),
        EventData::SubtaskStatusChanged(changed) => edit(tables, context, changed.subtask_id, |subtask| {
            subtask.status = changed.new_status;
        }),
        EventData::WorkAssigned(assigned) => {
            if let Some(subtask_id) = assigned.subtask_id {
                edit(tables, context, subtask_id, |subtask| subtask.run_id = Some(assigned.run_id));
            }
        }
        _ => {}
    }
}

fn decide(tables: &mut Tables, context: Context, data: &EventData) {
    let Some(task) = tables.tasks.edit(&context.task()) else { return };
    match data {
        EventData::PlanReady(ready) => {
            task.plan = Some(ready.plan.clone());
            task.plan_chunks.clone_from(&ready.chunks);
            task.plan_digest = Some(ready.digest.clone());
            task.plan_state = Some("ready".to_owned());
            task.plan_run_id = Some(ready.run_id);
            task.plan_decided_by = None;
            task.plan_reject_reason = None;
            task.estimated_cost_usd = ready.estimated_cost_usd;
        }
        EventData::PlanApproved(approved) if task.plan.is_some() => {
            task.plan_state = Some("approved".to_owned());
            task.plan_decided_by = Some(approved.approved_by.clone());
            task.plan_reject_reason = None;
        }
        EventData::PlanRejected(rejected) if task.plan.is_some() => {
            task.plan_state = Some("rejected".to_owned());
            task.plan_decided_by = Some(rejected.rejected_by.clone());
            task.plan_reject_reason = Some(rejected.reason.clone());
        }
        _ => {}
    }
}

/// The chunks of the approved plan become the task's subtasks; those of an earlier plan are gone.
fn replace_subtasks(tables: &mut Tables, context: Context) {
    let Some(task) = tables.tasks.edit(&context.task()) else { return };
    if task.plan.is_none() {
        return;
    }
    let chunks = task.plan_chunks.clone();
    task.subtask_count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
    tables
        .subtasks
        .forget_unless(|subtask| (subtask.task_id, subtask.project_id) != (context.task_id, context.project_id));
    tables.replanned.insert((context.project_id, context.task_id));
    for (ordinal, chunk) in (0..).zip(chunks) {
        let row = subtask(context, ordinal, chunk.subtask_id, chunk.title, chunk.description, &chunk.depends_on);
        tables.subtasks.put(row);
    }
}

fn subtask(
    context: Context,
    ordinal: u32,
    subtask_id: SubtaskId,
    title: String,
    description: String,
    depends_on: &[SubtaskId],
) -> SubtaskRow {
    SubtaskRow {
        subtask_id,
        project_id: context.project_id,
        task_id: context.task_id,
        ordinal,
        title,
        description,
        depends_on: depends_on.to_vec(),
        status: if depends_on.is_empty() { SubtaskStatus::Ready } else { SubtaskStatus::Blocked },
        run_id: None,
        commit: None,
        created_at: context.at,
        updated_at: context.at,
    }
}

fn edit(tables: &mut Tables, context: Context, subtask_id: SubtaskId, change: impl FnOnce(&mut SubtaskRow)) {
    if let Some(subtask) = tables.subtasks.edit(&SubtaskKey { subtask_id, project_id: context.project_id }) {
        change(subtask);
        subtask.updated_at = context.at;
    }
}
