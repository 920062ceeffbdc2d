//! Agents: work claimed under a lease, reported under its token, now and then too late or under an old one.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::World;
use super::call::{Caller, Operation};
use crate::campaign::chance::Chance;
use crate::campaign::history::{Answer, Claimed, End};

/// Shares of what happens, of a hundred each.
const DAWDLES: u64 = 12;
const VANISHES: u64 = 8;
const LOOKS_BACK: u64 = 15;
const HEARTBEAT_AGAIN: u64 = 40;

/// Work that was done or lost, whose token must not count any more.
type Old = Option<(Uuid, Uuid, Claimed)>;

/// Claims and works until `stop`.
pub async fn run(mut caller: Caller, mut chance: Chance, world: &World, stop: &CancellationToken) {
    let mut old: Old = None;
    while !stop.is_cancelled() {
        world.hold_back(stop).await;
        let lease_ms = chance.between(800, 3_000);
        let claim = claim(&mut chance, world, lease_ms);
        match caller.settle(&claim, &mut chance).await {
            End::Ok(Answer { project_id: Some(project_id), task_id: Some(task_id), claim: Some(claimed), .. }) => {
                let work = Work { project_id, task_id, claimed, lease_ms };
                work.run(&mut caller, &mut chance).await;
                if chance.percent(LOOKS_BACK)
                    && let Some((project_id, task_id, claimed)) = old
                {
                    let late = Work { project_id, task_id, claimed, lease_ms };
                    caller.settle(&late.report(&mut chance, &json!([progress(99)])), &mut chance).await;
                }
                old = Some((project_id, task_id, claimed));
            }
            _ => tokio::time::sleep(Duration::from_millis(chance.between(5, 50))).await,
        }
    }
}

fn claim(chance: &mut Chance, world: &World, lease_ms: u64) -> Operation {
    let session = chance.uuid();
    let key = chance.uuid();
    let mut body = json!({
        "session_id": session, "session_key": format!("campaign/{session}"), "roles": ["planner", "coder", "reviewer"],
        "lease_duration_ms": lease_ms, "workspace_dir": format!("/srv/{session}"), "data_dir": format!("/srv/{session}/data"),
    });
    // Work of a few projects, or the most urgent of all.
    let named: Vec<_> = (0..3).filter_map(|_| world.project(chance)).map(|project| project.id).collect();
    if chance.percent(70) {
        body["project_ids"] = json!(named);
    }
    if chance.percent(30) {
        body["wait_ms"] = json!(chance.between(10, 300));
    }
    Operation {
        key,
        command: "claim_work".to_owned(),
        path: "/api/claims".to_owned(),
        body,
        project_id: None,
        task_id: None,
        run_id: None,
        fencing_token: None,
        expected_sequence: None,
    }
}

/// A piece of work under a lease.
struct Work {
    project_id: Uuid,
    task_id: Uuid,
    claimed: Claimed,
    lease_ms: u64,
}

impl Work {
    async fn run(&self, caller: &mut Caller, chance: &mut Chance) {
        let started = json!([{ "type": "started", "iteration": 1, "harness_config": { "kind": "rehearsal" } }]);
        if !self.tell(caller, chance, &started).await {
            return;
        }
        let mut heartbeats = Vec::new();
        for percent in 1..=chance.between(1, 4) {
            if caller.hurries() {
                return;
            }
            if chance.percent(30) {
                let heartbeat = self.heartbeat(chance);
                caller.settle(&heartbeat, chance).await;
                heartbeats.push(heartbeat);
            }
            self.tell(caller, chance, &json!([progress(percent), progress(percent + 1)])).await;
        }
        if let Some(first) = heartbeats.first().filter(|_| chance.percent(HEARTBEAT_AGAIN)) {
            // The lease has another end by then, or will have: the answer is that of the first time.
            caller.settle_again(first, chance).await;
        }
        if chance.percent(VANISHES) {
            return;
        }
        if chance.percent(DAWDLES) {
            // Past the end of the lease: someone else may have the work by then.
            tokio::time::sleep(Duration::from_millis(self.lease_ms + chance.between(100, 600))).await;
        }
        let merged = json!({ "type": "branch_merged", "branch": "a", "into": "b", "merge_commit": "5f0c1d7a9b3e4f60" });
        let plan = json!({ "type": "plan_ready", "plan": "Do it.", "chunks": [{ "title": "All of it" }], "estimated_cost_usd": null });
        // The role is not told apart here: what does not fit is refused, and the work ends in another way.
        for ending in
            [json!([plan, complete("succeeded")]), json!([merged, complete("succeeded")]), json!([complete("failed")])]
        {
            if self.tell(caller, chance, &ending).await {
                return;
            }
        }
    }

    /// Whether the reports were taken. In the end nobody reports any more.
    async fn tell(&self, caller: &mut Caller, chance: &mut Chance, reports: &Value) -> bool {
        if caller.hurries() {
            return false;
        }
        let report = self.report(chance, reports);
        matches!(caller.settle(&report, chance).await, End::Ok(_))
    }

    fn report(&self, chance: &mut Chance, reports: &Value) -> Operation {
        let body = json!({ "task_id": self.task_id, "fencing_token": self.claimed.fencing_token, "reports": reports });
        self.operation(chance, "report_run", "reports", body)
    }

    fn heartbeat(&self, chance: &mut Chance) -> Operation {
        let body = json!({
            "task_id": self.task_id, "fencing_token": self.claimed.fencing_token, "lease_duration_ms": self.lease_ms,
        });
        self.operation(chance, "renew_lease", "heartbeat", body)
    }

    fn operation(&self, chance: &mut Chance, command: &str, route: &str, body: Value) -> Operation {
        Operation {
            key: chance.uuid(),
            command: command.to_owned(),
            path: format!("/api/runs/{}/{route}", self.claimed.run_id),
            body,
            project_id: Some(self.project_id),
            task_id: Some(self.task_id),
            run_id: Some(self.claimed.run_id),
            fencing_token: Some(self.claimed.fencing_token),
            expected_sequence: None,
        }
    }
}

fn progress(percent: u64) -> Value {
    json!({ "type": "progress", "message": "Working", "percent": percent })
}

fn complete(result: &str) -> Value {
    json!({ "type": "complete", "result": result, "total_iterations": 1, "duration_ms": 5, "pr_url": null, "error": null,
        "tokens": null, "cost_usd": null })
}
