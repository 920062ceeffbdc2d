//! I5: the read model, written from the catalogue, equals the domain's fold, which knows nothing of it.

use muster_domain::state::{PlanVerdict, ProjectState, Run, Task, fold};
use muster_read_store::ReadStore;
use serde_json::{Value, json};

use crate::support::fresh_store;
use crate::tale::whole_tale;

async fn rows(store: &ReadStore, sql: &'static str) -> Vec<Value> {
    sqlx::query_scalar(sql).fetch_all(store.pool()).await.unwrap()
}

/// What the tables hold after the tale, beside what the fold makes of it; both cut to what both know.
#[tokio::test]
async fn the_read_model_equals_an_independent_fold() {
    let store = fresh_store().await;
    let tale = whole_tale("fold");
    let records = tale.records();
    for (count, record) in records.iter().enumerate() {
        store.apply_batch(0, std::slice::from_ref(record), record.0 + 1).await.unwrap();
        // Every prefix of the history, not only its end.
        if count % 7 == 0 || count + 1 == records.len() {
            let state = tale.events[..=count].iter().fold(ProjectState::default(), |state, event| fold(state, event));
            compare(&store, &clean(&state)).await;
        }
    }
}

/// Postgres holds no NUL.
fn clean(state: &ProjectState) -> ProjectState {
    let text = serde_json::to_string(state).unwrap().replace("\\u0000", "\u{fffd}");
    serde_json::from_str(&text).unwrap()
}

async fn compare(store: &ReadStore, state: &ProjectState) {
    let tasks = rows(
        store,
        "select jsonb_build_object('id', task_id, 'status', status, 'status_reason', status_reason, 'title', title,
             'description', description, 'criteria', acceptance_criteria, 'priority', priority, 'complexity', complexity,
             'created_by', created_by, 'interactive', interactive, 'dispatched', dispatched, 'started',
             started_at is not null, 'sequence', sequence, 'tokens', coalesce(total_tokens, 0), 'cost',
             coalesce(cost_usd, 0), 'plan', plan, 'digest', plan_digest, 'plan_state', plan_state, 'chunks', plan_chunks,
             'error', error, 'branch', branch, 'merge_commit', merge_commit, 'evidence', evidence, 'retries', retry_count,
             'reviews', review_rounds, 'blocked_by', (select coalesce(jsonb_agg(blocked_by order by blocked_by), '[]')
                 from task_dependencies d where d.task_id = t.task_id))
         from tasks t order by task_id",
    )
    .await;
    assert_eq!(tasks, state.tasks.values().map(|of_state| task(of_state)).collect::<Vec<_>>());

    let subtasks = rows(
        store,
        "select jsonb_build_object('id', subtask_id, 'title', title, 'description', description, 'status', status,
             'depends_on', depends_on, 'run', run_id, 'commit', commit) from subtasks order by task_id, ordinal",
    )
    .await;
    let folded = state.tasks.values().flat_map(|task| &task.subtasks).map(|subtask| {
        json!({"id": subtask.id, "title": subtask.title, "description": subtask.description, "status": subtask.status,
            "depends_on": subtask.depends_on, "run": subtask.run_id, "commit": subtask.commit})
    });
    assert_eq!(subtasks, folded.collect::<Vec<_>>());

    let runs = rows(
        store,
        "select jsonb_build_object('id', run_id, 'role', role, 'status', status, 'attempt', attempt, 'subtask',
             subtask_id, 'lease', case when lease_live then jsonb_build_array(session_id, fencing_token,
             floor(extract(epoch from lease_expires_at) * 1000000)::bigint) end, 'pr_url', pr_url, 'error', error,
             'tokens', total_tokens, 'cost', cost_usd, 'ended', ended_at is not null, 'branch', branch, 'workspace',
             case when workspace_live then workspace_path end, 'iterations', (select coalesce(jsonb_agg(
                 jsonb_build_array(iteration, feedback, agent_result, agent_error, verification_report, decision,
                 duration_ms) order by iteration), '[]')
                 from iterations i where i.run_id = r.run_id and (i.agent_result is not null or i.ended_at is not null
                     or i.agent_error is not null)))
         from runs r order by queued_at",
    )
    .await;
    let mut folded: Vec<_> = state.tasks.values().flat_map(|task| &task.runs).collect();
    folded.sort_by_key(|run| run.queued_at);
    assert_eq!(runs, folded.into_iter().map(|of_state| run(of_state)).collect::<Vec<_>>());

    let sessions = rows(
        store,
        "select jsonb_build_object('id', session_id, 'status', status, 'task', current_task_id, 'run', current_run_id,
             'tokens', tokens_used, 'active', floor(extract(epoch from last_activity_at) * 1000000)::bigint)
         from sessions order by session_id",
    )
    .await;
    let folded = state.sessions.values().map(|session| {
        json!({"id": session.id, "status": session.status, "task": session.current_task_id,
            "run": session.current_run_id, "tokens": session.tokens_used,
            "active": session.last_activity_at.as_micros()})
    });
    assert_eq!(sessions, folded.collect::<Vec<_>>());
    compare_project(store, state).await;
}

async fn compare_project(store: &ReadStore, state: &ProjectState) {
    let members = rows(store, "select jsonb_build_array(user_id, role) from project_members order by user_id").await;
    let projects = rows(store, "select jsonb_build_object('name', name, 'settings', settings) from projects").await;
    let project = state.project.as_ref().unwrap();
    assert_eq!(members, project.members.iter().map(|member| json!(member)).collect::<Vec<_>>());
    assert_eq!(projects, [json!({"name": project.name, "settings": project.settings})]);
    assert_eq!(store.project_position(project.id).await.unwrap(), state.position);

    let questions = rows(store, "select jsonb_build_array(question_id, answer) from questions").await;
    let folded = state.tasks.values().flat_map(|task| &task.questions).map(|q| json!([q.id, q.answer]));
    assert_eq!(questions, folded.collect::<Vec<_>>());

    let artifacts = rows(store, "select jsonb_build_array(artifact_id, path) from artifacts").await;
    let folded = state.tasks.values().flat_map(|task| &task.artifacts).map(|a| json!([a.artifact_id, a.path]));
    assert_eq!(artifacts, folded.collect::<Vec<_>>());
}

fn task(task: &Task) -> Value {
    let plan = task.plan.as_ref();
    let plan_state = plan.map(|plan| match &plan.verdict {
        None => "ready",
        Some(PlanVerdict::Approved { .. }) => "approved",
        Some(PlanVerdict::Rejected { .. }) => "rejected",
    });
    json!({
        "id": task.id, "status": task.status, "status_reason": task.status_reason, "title": task.title,
        "description": task.description, "criteria": task.acceptance_criteria, "priority": task.priority,
        "complexity": task.complexity, "created_by": task.created_by, "interactive": task.interactive,
        "dispatched": task.dispatched, "started": task.started, "sequence": task.sequence, "tokens": task.tokens_used,
        "cost": number(task.cost_usd), "plan": plan.map(|plan| &plan.plan), "digest": plan.map(|plan| &plan.digest),
        "plan_state": plan_state, "chunks": plan.map_or(json!([]), |plan| json!(plan.chunks)), "error": task.error,
        "branch": task.branch, "merge_commit": task.merge_commit, "evidence": task.evidence,
        "retries": task.retry_count, "reviews": task.review_rounds, "blocked_by": task.blocked_by,
    })
}

fn run(run: &Run) -> Value {
    let lease = run.lease.as_ref();
    json!({
        "id": run.id, "role": run.role, "status": run.status, "attempt": run.attempt, "subtask": run.subtask_id,
        "lease": lease.map(|lease| json!([lease.session_id, lease.fencing_token, lease.expires_at.as_micros()])),
        "pr_url": run.pr_url, "error": run.error, "tokens": run.tokens.as_ref().map(|tokens| tokens.total_tokens),
        "cost": run.cost_usd.map(number), "ended": run.ended_at.is_some(), "branch": run.branch,
        "workspace": run.workspace_path,
        "iterations": run.iterations.iter()
            .filter(|i| i.agent_result.is_some() || i.duration_ms.is_some() || i.agent_error.is_some())
            .map(|i| json!([i.number, i.feedback, i.agent_result, i.agent_error, i.verification, i.decision,
                i.duration_ms]))
            .collect::<Vec<_>>(),
    })
}

/// Postgres writes a whole double without a fraction.
fn number(number: f64) -> Value {
    serde_json::from_str(&number.to_string()).unwrap()
}
