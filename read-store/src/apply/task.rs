//! Events of a card: its text, its column, its artifacts and questions.

use muster_domain::event::{Event, EventData, TaskCreated, TaskStatusChanged, TaskUpdated};
use muster_domain::id::TaskId;
use muster_domain::model::{Priority, TaskStatus};

use super::{Context, Tables};
use crate::rows::{ArtifactRow, DependencyRow, QuestionKey, QuestionRow, TaskKey, TaskRow};

/// Every event of a task moves its sequence and position on.
pub(super) fn touch(tables: &mut Tables, task_id: TaskId, event: &Event) {
    if let Some(task) = tables.tasks.edit(&TaskKey { task_id, project_id: event.project_id }) {
        task.sequence = event.sequence;
        task.position = event.position;
        task.updated_at = event.timestamp;
    } else if let EventData::TaskCreated(created) = &event.data {
        tables.tasks.put(created_task(task_id, event, created));
    }
}

fn created_task(task_id: TaskId, event: &Event, created: &TaskCreated) -> TaskRow {
    let at = event.timestamp;
    TaskRow {
        task_id,
        project_id: event.project_id,
        title: created.title.clone(),
        description: created.description.clone(),
        acceptance_criteria: created.acceptance_criteria.clone(),
        priority: created.priority,
        priority_rank: rank(created.priority),
        complexity: created.complexity,
        status: TaskStatus::Inbox,
        status_reason: None,
        status_changed_at: at,
        created_by: created.created_by.clone(),
        interactive: created.interactive,
        created_at: at,
        updated_at: at,
        dispatched_at: None,
        started_at: None,
        finished_at: None,
        sequence: event.sequence,
        position: event.position,
        dispatched: false,
        plan: None,
        plan_chunks: Vec::new(),
        plan_digest: None,
        plan_state: None,
        plan_run_id: None,
        plan_decided_by: None,
        plan_reject_reason: None,
        estimated_cost_usd: None,
        current_run_id: None,
        assigned_session_id: None,
        subtask_count: 0,
        review_rounds: 0,
        retry_count: 0,
        progress_message: None,
        progress_percent: None,
        evidence: Vec::new(),
        error: None,
        branch: None,
        merge_commit: None,
        pr_url: None,
        input_tokens: None,
        output_tokens: None,
        total_tokens: None,
        cost_usd: None,
    }
}

/// The place of a priority in the order of claims; higher is claimed first.
const fn rank(priority: Priority) -> u8 {
    match priority {
        Priority::Low => 0,
        Priority::Medium => 1,
        Priority::High => 2,
        Priority::Urgent => 3,
    }
}

pub(super) fn apply(tables: &mut Tables, context: Context, data: &EventData) {
    apply_card(tables, context, data);
    apply_attachments(tables, context, data);
}

fn apply_card(tables: &mut Tables, context: Context, data: &EventData) {
    let at = context.at;
    let Some(task) = tables.tasks.edit(&context.task()) else { return };
    match data {
        EventData::TaskUpdated(updated) => update(task, updated),
        EventData::TaskDispatched(_) => {
            task.dispatched = true;
            task.dispatched_at = Some(at);
        }
        EventData::TaskStarted(_) => task.started_at = Some(at),
        EventData::TaskStatusChanged(changed) => move_to(task, context, changed),
        EventData::TaskCompleted(completed) => {
            task.evidence.clone_from(&completed.evidence);
            task.branch.clone_from(&completed.branch);
            task.merge_commit.clone_from(&completed.merge_commit);
        }
        EventData::TaskFailed(failed) => task.error = Some(failed.error.clone()),
        EventData::UserRequestedRetry(_) => {
            task.retry_count += 1;
            task.review_rounds = 0;
            task.error = None;
        }
        _ => {}
    }
}

fn update(task: &mut TaskRow, updated: &TaskUpdated) {
    if let Some(title) = &updated.title {
        task.title.clone_from(title);
    }
    if let Some(description) = &updated.description {
        task.description.clone_from(description);
    }
    if let Some(priority) = updated.priority {
        task.priority = priority;
        task.priority_rank = rank(priority);
    }
    if let Some(complexity) = updated.complexity {
        task.complexity = complexity;
    }
    if let Some(criteria) = &updated.acceptance_criteria {
        task.acceptance_criteria.clone_from(criteria);
    }
}

fn move_to(task: &mut TaskRow, context: Context, changed: &TaskStatusChanged) {
    task.status = changed.new_status;
    task.status_reason.clone_from(&changed.reason);
    task.status_changed_at = context.at;
    let is_final = matches!(changed.new_status, TaskStatus::Done | TaskStatus::Failed | TaskStatus::Cancelled);
    task.finished_at = is_final.then_some(context.at);
}

fn apply_attachments(tables: &mut Tables, context: Context, data: &EventData) {
    let Context { project_id, task_id, at } = context;
    match data {
        EventData::TaskCreated(created) => {
            for blocked_by in &created.blocked_by {
                tables.dependencies.put(DependencyRow { task_id, blocked_by: *blocked_by, project_id });
            }
        }
        EventData::ArtifactAdded(added) => tables.artifacts.put(ArtifactRow {
            artifact_id: added.artifact.artifact_id,
            project_id,
            task_id,
            run_id: added.run_id,
            kind: added.artifact.kind,
            path: added.artifact.path.clone(),
            description: added.artifact.description.clone(),
            size_bytes: added.artifact.size_bytes,
            sha256: added.artifact.sha256.clone(),
            added_at: at,
        }),
        EventData::QuestionAsked(asked) => tables.questions.put(QuestionRow {
            question_id: asked.question_id,
            project_id,
            task_id,
            run_id: asked.run_id,
            question: asked.question.clone(),
            options: asked.options.clone(),
            asked_at: at,
            answer: None,
            answered_by: None,
            answered_at: None,
        }),
        EventData::UserAnsweredQuestion(answered) => {
            let key = QuestionKey { question_id: answered.question_id, project_id, task_id };
            if let Some(question) = tables.questions.edit(&key) {
                question.answer = Some(answered.answer.clone());
                question.answered_by = Some(answered.user_id.clone());
                question.answered_at = Some(at);
            }
        }
        _ => {}
    }
}
