//! Events of a run: its claim and lease, its life, its workspace, its pull request.

use muster_domain::event::{AgentComplete, EventData, RunQueued, WorkAssigned, WorkReleased};
use muster_domain::id::RunId;
use muster_domain::model::{BuildError, RunResult, TokenUsage};

use sha2::{Digest, Sha256};

use super::{COLUMN_MAX, Context, Tables};
use crate::rows::{FileChangeRow, RunRow, SnapshotKey, SnapshotRow};

/// The longest path that is stored as it is. An index of Postgres takes keys of 2,704 bytes.
const PATH_MAX_BYTES: usize = 2_000;

pub(super) fn apply(tables: &mut Tables, context: Context, data: &EventData) {
    apply_claim(tables, context, data);
    apply_life(tables, context, data);
    apply_workspace(tables, context, data);
}

fn apply_claim(tables: &mut Tables, context: Context, data: &EventData) {
    match data {
        EventData::RunQueued(queued) => tables.runs.put(queued_run(context, queued)),
        EventData::WorkAssigned(assigned) => assign(tables, context, assigned),
        EventData::LeaseRenewed(renewed) => edit(tables, context, renewed.run_id, |run| {
            if run.lease_live {
                run.lease_expires_at = Some(context.at.plus_ms(renewed.lease_duration_ms));
            }
        }),
        EventData::WorkReleased(released) => release(tables, context, released),
        EventData::WorkProgress(progress) => {
            edit(tables, context, progress.run_id, |run| {
                run.progress_message = Some(progress.message.clone());
                run.progress_percent = progress.percent;
            });
            if let Some(task) = tables.tasks.edit(&context.task()) {
                task.progress_message = Some(progress.message.clone());
                task.progress_percent = progress.percent;
            }
        }
        _ => {}
    }
}

fn queued_run(context: Context, queued: &RunQueued) -> RunRow {
    RunRow {
        run_id: queued.run_id,
        project_id: context.project_id,
        task_id: context.task_id,
        subtask_id: queued.subtask_id,
        role: queued.role,
        status: "queued".to_owned(),
        session_id: None,
        fencing_token: None,
        attempt: queued.attempt,
        lease_live: false,
        lease_expires_at: None,
        release_reason: None,
        iteration: 0,
        max_iterations: None,
        harness_config: None,
        branch: None,
        workspace_path: None,
        workspace_live: false,
        base_commit: None,
        pid: None,
        progress_message: None,
        progress_percent: None,
        input_tokens: None,
        output_tokens: None,
        total_tokens: None,
        cost_usd: None,
        duration_ms: None,
        pr_url: None,
        error: None,
        will_retry: None,
        queued_at: context.at,
        started_at: None,
        ended_at: None,
        updated_at: context.at,
    }
}

fn assign(tables: &mut Tables, context: Context, assigned: &WorkAssigned) {
    edit(tables, context, assigned.run_id, |run| {
        run.session_id = Some(assigned.session_id);
        run.fencing_token = Some(assigned.fencing_token);
        run.lease_live = true;
        run.lease_expires_at = Some(context.at.plus_ms(assigned.lease_duration_ms));
        run.release_reason = None;
    });
    if let Some(task) = tables.tasks.edit(&context.task()) {
        task.current_run_id = Some(assigned.run_id);
        task.assigned_session_id = Some(assigned.session_id);
    }
}

fn release(tables: &mut Tables, context: Context, released: &WorkReleased) {
    edit(tables, context, released.run_id, |run| {
        run.lease_live = false;
        run.release_reason = Some(released.reason);
    });
    if let Some(task) = tables.tasks.edit(&context.task())
        && task.current_run_id == Some(released.run_id)
    {
        task.current_run_id = None;
        task.assigned_session_id = None;
    }
}

fn apply_life(tables: &mut Tables, context: Context, data: &EventData) {
    match data {
        EventData::RunStarted(started) => edit(tables, context, started.run_id, |run| {
            "running".clone_into(&mut run.status);
            run.iteration = run.iteration.max(started.iteration);
            run.max_iterations = Some(started.max_iterations);
            run.harness_config = Some(started.harness_config.clone());
            run.started_at = Some(context.at);
        }),
        EventData::RunComplete(complete) => edit(tables, context, complete.run_id, |run| {
            end(run, context, complete.result, complete.error.as_ref());
            run.duration_ms = Some(complete.duration_ms);
            if complete.pr_url.is_some() {
                run.pr_url.clone_from(&complete.pr_url);
            }
        }),
        EventData::RunFailed(failed) => edit(tables, context, failed.run_id, |run| {
            end(run, context, RunResult::Failed, Some(&failed.error));
            run.will_retry = Some(failed.will_retry);
        }),
        EventData::IterationStarted(started) => edit(tables, context, started.run_id, |run| {
            run.iteration = run.iteration.max(started.iteration);
        }),
        EventData::AgentStarted(started) => edit(tables, context, started.run_id, |run| run.pid = started.pid),
        EventData::AgentComplete(complete) => count_usage(tables, context, complete),
        _ => {}
    }
}

fn end(run: &mut RunRow, context: Context, result: RunResult, error: Option<&BuildError>) {
    result.as_str().clone_into(&mut run.status);
    run.error = error.cloned();
    run.ended_at = Some(context.at);
}

/// Tokens and dollars of a run and its task: unknown stays unknown until one agent reports some.
fn count_usage(tables: &mut Tables, context: Context, complete: &AgentComplete) {
    if tables.runs.get(&context.run(complete.run_id)).is_none() {
        return;
    }
    let (tokens, cost_usd) = (complete.result.tokens.as_ref(), complete.result.cost_usd);
    edit(tables, context, complete.run_id, |run| {
        add_tokens(&mut run.input_tokens, &mut run.output_tokens, &mut run.total_tokens, tokens);
        add_cost(&mut run.cost_usd, cost_usd);
        if complete.pr_url.is_some() {
            run.pr_url.clone_from(&complete.pr_url);
        }
    });
    if let Some(task) = tables.tasks.edit(&context.task()) {
        add_tokens(&mut task.input_tokens, &mut task.output_tokens, &mut task.total_tokens, tokens);
        add_cost(&mut task.cost_usd, cost_usd);
    }
}

fn add_tokens(input: &mut Option<u64>, output: &mut Option<u64>, total: &mut Option<u64>, more: Option<&TokenUsage>) {
    let Some(more) = more else { return };
    for (sum, more) in [(input, more.input_tokens), (output, more.output_tokens), (total, more.total_tokens)] {
        *sum = Some(sum.unwrap_or(0).saturating_add(more).min(COLUMN_MAX));
    }
}

fn add_cost(sum: &mut Option<f64>, more: Option<f64>) {
    if let Some(more) = more {
        // A sum that is no number any more could not be read back.
        *sum = Some((sum.unwrap_or(0.0) + more).clamp(f64::MIN, f64::MAX));
    }
}

fn apply_workspace(tables: &mut Tables, context: Context, data: &EventData) {
    let Context { project_id, task_id, at } = context;
    match data {
        EventData::WorkspaceAcquired(acquired) => edit(tables, context, acquired.run_id, |run| {
            run.workspace_path = Some(acquired.path.clone());
            run.workspace_live = true;
            run.branch = Some(acquired.branch.clone());
            run.base_commit = Some(acquired.base_commit.clone());
        }),
        EventData::WorkspaceReleased(released) => {
            edit(tables, context, released.run_id, |run| run.workspace_live = false);
        }
        EventData::SnapshotCreated(created) => tables.snapshots.put(SnapshotRow {
            snapshot_id: created.snapshot_id,
            project_id,
            task_id,
            run_id: created.run_id,
            iteration: created.iteration,
            commit: created.commit.clone(),
            created_at: at,
            last_restored_at: None,
        }),
        EventData::SnapshotRestored(restored) => {
            let key = SnapshotKey { snapshot_id: restored.snapshot_id, project_id, task_id };
            if let Some(snapshot) = tables.snapshots.edit(&key) {
                snapshot.last_restored_at = Some(at);
            }
        }
        EventData::FileModified(modified) => tables.file_changes.put(FileChangeRow {
            run_id: modified.run_id,
            path: short_path(&modified.path),
            project_id,
            task_id,
            change: modified.change,
            lines_added: modified.lines_added,
            lines_removed: modified.lines_removed,
            changed_at: at,
        }),
        EventData::PrCreated(created) => set_pr(tables, context, created.run_id, &created.pr_url),
        EventData::PrMerged(merged) => set_pr(tables, context, merged.run_id, &merged.pr_url),
        _ => {}
    }
}

/// A path that fits into a key: the end of a longer one is its hash. The history has it whole.
fn short_path(path: &str) -> String {
    if path.len() <= PATH_MAX_BYTES {
        return path.to_owned();
    }
    let hash = hex::encode(Sha256::digest(path));
    let mut end = PATH_MAX_BYTES - hash.len() - '…'.len_utf8();
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…{hash}", &path[..end])
}

fn set_pr(tables: &mut Tables, context: Context, run_id: RunId, pr_url: &str) {
    edit(tables, context, run_id, |run| run.pr_url = Some(pr_url.to_owned()));
    if let Some(task) = tables.tasks.edit(&context.task()) {
        task.pr_url = Some(pr_url.to_owned());
    }
}

fn edit(tables: &mut Tables, context: Context, run_id: RunId, change: impl FnOnce(&mut RunRow)) {
    if let Some(run) = tables.runs.edit(&context.run(run_id)) {
        change(run);
        run.updated_at = context.at;
    }
}
