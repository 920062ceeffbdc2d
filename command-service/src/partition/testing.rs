//! Histories for tests: what random commands on two projects come to, decided as the writer does.

use std::sync::Arc;

use muster_domain::command::Command;
use muster_domain::decide::{Actor, Limits, Request};
use muster_domain::event::Event;
use muster_domain::id::{CommandId, ProjectId, RunId, TaskId};
use muster_domain::model::{Role, Source};
use muster_event_log::memory::MemoryLog;
use muster_event_log::{EventLog, LogOffset};
use serde_json::{Value, json};
use uuid::Uuid;

use super::memory::CommandKey;
use super::speculation::Speculation;

/// Numbers that look random and are the same in each run.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// A command that was accepted.
pub(super) struct Accepted {
    pub(super) key: CommandKey,
    pub(super) digest: String,
    pub(super) events: Vec<Arc<Event>>,
}

/// Many accepted commands of two projects, in order.
pub(super) fn history(seed: u64, commands: usize) -> Vec<Accepted> {
    let (mut chance, mut speculation) = (Chance(seed), Speculation::default());
    let projects = [1, 2].map(|n| ProjectId(Uuid::from_u128(n)));
    let settings = json!({ "max_concurrent_runs": 100, "verification": [{ "name": "tests", "command": ["true"] }] });
    let create = json!({ "type": "create_project", "name": "Demo", "repository_path": "/repo", "settings": settings });
    let mut accepted = Vec::new();
    for project in projects {
        accepted.extend(carry_out(&mut speculation, project, create.clone(), "ada"));
    }
    for _ in 0..commands {
        let project = projects[chance.below(2)];
        let command = any_command(&mut chance, &speculation, project);
        let actor = ["ada", "orchestrator"][chance.below(2)];
        accepted.extend(carry_out(&mut speculation, project, command, actor));
    }
    accepted
}

/// A log of one partition that holds them.
pub(super) async fn log_of(history: &[Accepted]) -> MemoryLog {
    let log = MemoryLog::new(1);
    let mut writer = log.open_writer(0).await.unwrap();
    let mut end = LogOffset::START;
    for accepted in history {
        end = writer.append(end, &accepted.events).await.unwrap().end;
    }
    log
}

fn carry_out(speculation: &mut Speculation, project_id: ProjectId, command: Value, user: &str) -> Option<Accepted> {
    let command: Command = serde_json::from_value(command).unwrap();
    let command_id = CommandId(Uuid::now_v7());
    let digest = crate::digest::digest(project_id, &command, user);
    let request = Request {
        command_id,
        digest: digest.clone(),
        project_id,
        expected_sequence: None,
        correlation_id: command_id.0,
        causation_id: None,
        command,
    };
    let actor = Actor { user: user.to_owned(), admin: true };
    let events = speculation.decide(&request, &actor, Source::Cli, Limits::default()).ok()?;
    let events: Vec<_> = events.into_iter().map(Arc::new).collect();
    speculation.apply(&events);
    let key = CommandKey { actor: user.into(), command_id };
    (!events.is_empty()).then_some(Accepted { key, digest, events })
}

fn any_command(chance: &mut Chance, speculation: &Speculation, project: ProjectId) -> Value {
    let state = speculation.project(project).unwrap();
    let tasks: Vec<TaskId> = state.tasks.keys().copied().collect();
    if tasks.len() < 3 || chance.below(12) == 0 {
        let blocked_by: Vec<TaskId> = tasks.iter().copied().filter(|_| chance.below(20) == 0).collect();
        let criteria = ["It works"];
        return json!({
            "type": "create_task", "title": "A task", "description": "Long enough to be worth a thought",
            "acceptance_criteria": criteria, "blocked_by": blocked_by,
        });
    }
    let task_id = tasks[chance.below(tasks.len())];
    match chance.below(20) {
        0 => json!({ "type": "cancel_task", "task_id": task_id }),
        1 => json!({ "type": "request_retry", "task_id": task_id }),
        2 => json!({ "type": "inject_prompt", "task_id": task_id, "message": "mind the gap" }),
        3..6 => json!({ "type": "approve_plan", "task_id": task_id }),
        6 => json!({ "type": "reject_plan", "task_id": task_id, "reason": "no" }),
        7..13 => json!({
            "type": "claim_work", "session_id": Uuid::from_u128(chance.below(9) as u128), "session_key": "s",
            "roles": ["planner", "coder", "reviewer"], "lease_duration_ms": 60_000, "workspace_dir": "/w", "data_dir": "/d",
        }),
        _ => {
            let leases: Vec<(RunId, TaskId)> = state.leases.iter().map(|(run, task)| (*run, *task)).collect();
            if leases.is_empty() {
                return json!({ "type": "dispatch_task" });
            }
            let (run_id, task_id) = leases[chance.below(leases.len())];
            let run = state.task(task_id).and_then(|task| task.run(run_id)).unwrap();
            let fencing_token = run.lease.as_ref().unwrap().fencing_token;
            if chance.below(8) == 0 {
                return json!({
                    "type": "renew_lease", "task_id": task_id, "run_id": run_id, "fencing_token": fencing_token,
                    "lease_duration_ms": 60_000,
                });
            }
            json!({
                "type": "report_run", "task_id": task_id, "run_id": run_id, "fencing_token": fencing_token,
                "reports": reports(chance, run.role),
            })
        }
    }
}

fn reports(chance: &mut Chance, role: Role) -> Vec<Value> {
    let harness = json!({ "kind": "rehearsal", "command": [], "env": {} });
    let started = json!({ "type": "started", "iteration": 1, "harness_config": harness });
    let complete = |result| json!({ "type": "complete", "result": result, "total_iterations": 1, "duration_ms": 5 });
    let error = json!({ "kind": "agent_killed", "message": "killed" });
    if chance.below(8) == 0 {
        return vec![started, json!({ "type": "failed", "error": error })];
    }
    let check = json!({
        "name": "tests", "command": "true", "passed": true, "exit_code": 0, "duration_ms": 3, "output_excerpt": "",
    });
    let report = json!({ "passed": true, "checks": [check], "duration_ms": 3 });
    let checked = json!({ "type": "verification_complete", "iteration": 1, "report": report, "report_file": "r.json" });
    let merged = json!({ "type": "branch_merged", "branch": "b", "into": "main", "merge_commit": "c0ffee" });
    let accept = json!({ "action": "accept", "reason": "it works" });
    let accepted = json!({ "type": "strategy_decision", "iteration": 1, "decision": accept });
    match role {
        Role::Planner => {
            let chunks = json!([{ "title": "One", "description": "" }, { "title": "Two", "description": "", "depends_on": [0] }]);
            let plan = json!({ "type": "plan_ready", "plan": "# Plan", "chunks": chunks, "estimated_cost_usd": 0.5 });
            vec![started, plan, complete("succeeded")]
        }
        Role::Reviewer if chance.below(3) == 0 => {
            vec![started, json!({ "type": "changes_requested", "feedback": "more" }), complete("succeeded")]
        }
        Role::Reviewer => vec![started, checked, accepted, merged, complete("succeeded")],
        _ => vec![started, checked, merged, complete("succeeded")],
    }
}
