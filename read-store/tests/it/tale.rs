//! One project's life in which every event type of the catalogue happens, with ids that fit together.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_domain::event::{Event, EventData};
use muster_domain::id::{CommandId, EventId, ProjectId, TaskId};
use muster_domain::model::Source;
use muster_domain::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

/// Writes a project's events one behind the other, with their counters.
pub(crate) struct Tale {
    pub(crate) project_id: ProjectId,
    sequences: BTreeMap<TaskId, u64>,
    pub(crate) events: Vec<Arc<Event>>,
}

/// An id that is the same in each run, one for each name and project.
pub(crate) fn id(project_id: ProjectId, name: &str) -> Uuid {
    Uuid::new_v5(&project_id.0, name.as_bytes())
}

impl Tale {
    pub(crate) fn new(name: &str) -> Self {
        let project_id = ProjectId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()));
        Self { project_id, sequences: BTreeMap::new(), events: Vec::new() }
    }

    /// Adds an event of a task, or of none.
    pub(crate) fn tell(&mut self, task: Option<&str>, event_type: &str, data: Value) -> &mut Self {
        let position = self.events.len() as u64 + 1;
        let task_id = task.map(|name| TaskId(id(self.project_id, name)));
        let sequence = task_id.map_or(0, |task_id| {
            let sequence = self.sequences.entry(task_id).or_insert(0);
            *sequence += 1;
            *sequence
        });
        self.events.push(Arc::new(Event {
            id: EventId(id(self.project_id, &format!("event {position}"))),
            timestamp: Timestamp::from_micros(1_700_000_000_000_000 + i64::try_from(position).unwrap() * 1_000_001),
            project_id: self.project_id,
            task_id,
            sequence,
            position,
            source: Source::Orchestrator,
            actor: "alice".to_owned(),
            command_id: CommandId(id(self.project_id, &format!("command {position}"))),
            command_digest: position.is_multiple_of(2).then(|| "0f".repeat(32)),
            causation_id: None,
            correlation_id: id(self.project_id, "correlation"),
            data: EventData::from_json(event_type, data)
                .unwrap_or_else(|error| panic!("{event_type} of the tale: {error}")),
        }));
        self
    }

    /// The events with log offsets that have holes, as Kafka's have.
    pub(crate) fn records(&self) -> Vec<(i64, Arc<Event>)> {
        (0..).zip(&self.events).map(|(index, event)| (index * 3, Arc::clone(event))).collect()
    }
}

pub(crate) fn settings() -> Value {
    json!({
        "agents": {"coder": {"kind": "acp", "command": ["agent", "--acp"], "env": {"LANG": "C"}}},
        "verification": [{"name": "test", "command": ["make", "test"], "timeout_ms": 60000}],
        "max_iterations": 3, "max_attempts": 2, "max_concurrent_runs": 4,
        "budget": {"tokens_max": 1_000_000, "cost_usd_max": 12.5},
        "preview_mode": "process", "auto_dispatch": true, "require_plan_approval": true,
    })
}

fn error(kind: &str) -> Value {
    json!({"kind": kind, "message": "it broke \u{0}badly", "exit_code": 1, "log_excerpt": "…\n\u{0}"})
}

/// Every event type, in an order that could happen.
pub(crate) fn whole_tale(name: &str) -> Tale {
    let mut tale = Tale::new(name);
    let project = tale.project_id;
    let of = move |name: &str| id(project, name);
    tale.tell(
        None,
        "project.created",
        json!({"name": name, "repository_path": "/srv/repo", "default_branch": "main",
            "owner": "alice", "settings": settings()}),
    )
    .tell(None, "project.member_added", json!({"user": "bob", "role": "viewer"}))
    .tell(None, "project.member_added", json!({"user": "carol", "role": "operator"}))
    .tell(None, "project.member_added", json!({"user": "bob", "role": "operator"}))
    .tell(None, "project.member_removed", json!({"user": "carol"}))
    .tell(None, "project.settings_changed", json!({"settings": settings()}))
    .tell(
        Some("first"),
        "task.created",
        json!({"title": "First", "description": "It comes first.",
            "priority": "urgent", "complexity": "xs", "created_by": "alice", "interactive": false}),
    )
    .tell(
        Some("task"),
        "task.created",
        json!({"title": "Größe", "description": "Text \u{0} with a NUL.",
            "acceptance_criteria": [{"text": "it works", "check": "test"}], "priority": "low", "complexity": "m",
            "blocked_by": [of("first")], "created_by": "alice", "interactive": true}),
    )
    .tell(Some("task"), "task.updated", json!({"title": "Size", "priority": "high"}))
    .tell(Some("task"), "task.dispatched", json!({}))
    .tell(Some("task"), "task.unblocked", json!({"unblocked_by": of("first")}))
    .tell(Some("task"), "task.status_changed", json!({"old_status": "inbox", "new_status": "planning"}))
    .tell(
        None,
        "agent.spawned",
        json!({"session_id": of("session"), "session_key": "runner-1/0",
            "workspace_dir": "/w/1", "data_dir": "/d/1"}),
    );
    tell_planning(&mut tale, of);
    tell_coding(&mut tale, of);
    tell_merging(&mut tale, of);
    tell_failing(&mut tale, of);
    tell_end(&mut tale, of);
    tale
}

fn tell_claim(tale: &mut Tale, of: impl Fn(&str) -> Uuid, run: &str, role: &str, subtask: Option<&str>, token: u64) {
    let subtask_id = subtask.map(&of);
    tale.tell(
        Some("task"),
        "run.queued",
        json!({"run_id": of(run), "role": role, "subtask_id": subtask_id, "attempt": 1}),
    )
    .tell(
        Some("task"),
        "work.assigned",
        json!({"run_id": of(run), "session_id": of("session"), "role": role,
            "subtask_id": subtask_id, "fencing_token": token, "lease_duration_ms": 60000, "attempt": 1}),
    )
    .tell(Some("task"), "agent.invoked", json!({"run_id": of(run), "role": role, "subtask_id": subtask_id}))
    .tell(
        Some("task"),
        "run.started",
        json!({"run_id": of(run), "iteration": 1, "max_iterations": 3,
            "harness_config": {"kind": "rehearsal"}}),
    );
}

fn tell_planning(tale: &mut Tale, of: impl Fn(&str) -> Uuid + Copy) {
    tell_claim(tale, of, "plan", "planner", None, 1);
    tale.tell(Some("task"), "task.started", json!({"run_id": of("plan")}))
        .tell(
            None,
            "agent.status_changed",
            json!({"session_id": of("session"), "old_status": "idle", "new_status": "working"}),
        )
        .tell(Some("task"), "work.progress", json!({"run_id": of("plan"), "message": "Reading", "percent": 40}))
        .tell(
            Some("task"),
            "lease.renewed",
            json!({"run_id": of("plan"), "session_id": of("session"),
            "fencing_token": 1, "lease_duration_ms": 60000}),
        )
        .tell(
            Some("task"),
            "question.asked",
            json!({"run_id": of("plan"), "question_id": of("question"),
            "question": "Metric?", "options": ["yes", "no"]}),
        )
        .tell(
            Some("task"),
            "user.answered_question",
            json!({"user_id": "bob", "question_id": of("question"), "answer": "yes"}),
        )
        .tell(
            Some("task"),
            "plan.ready",
            json!({"run_id": of("plan"), "plan": "# Old", "chunks": [
            {"subtask_id": of("old"), "title": "Old", "description": "old", "depends_on": []}], "digest": "aa"}),
        )
        .tell(Some("task"), "user.rejected_plan", json!({"user_id": "bob", "digest": "aa", "reason": "too old"}))
        .tell(Some("task"), "plan.rejected", json!({"digest": "aa", "rejected_by": "bob", "reason": "too old"}))
        .tell(
            Some("task"),
            "plan.ready",
            json!({"run_id": of("plan"), "plan": "# Plan", "chunks": [
            {"subtask_id": of("one"), "title": "One", "description": "the first", "depends_on": []},
            {"subtask_id": of("two"), "title": "Two", "description": "the second", "depends_on": [of("one")]}],
            "estimated_cost_usd": 0.1, "digest": "bb"}),
        )
        .tell(
            Some("task"),
            "run.complete",
            json!({"run_id": of("plan"), "result": "succeeded", "total_iterations": 1,
            "duration_ms": 1200}),
        )
        .tell(
            Some("task"),
            "work.released",
            json!({"run_id": of("plan"), "session_id": of("session"),
            "fencing_token": 1, "reason": "finished"}),
        )
        .tell(Some("task"), "user.approved_plan", json!({"user_id": "alice", "digest": "bb"}))
        .tell(Some("task"), "plan.approved", json!({"digest": "bb", "approved_by": "alice"}))
        .tell(Some("task"), "subtask.status_changed", json!({"subtask_id": of("one"), "new_status": "ready"}));
}

fn tell_coding(tale: &mut Tale, of: impl Fn(&str) -> Uuid + Copy) {
    tell_claim(tale, of, "code", "coder", Some("one"), 2);
    let tokens = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
    let continued = json!({"action": "continue", "reason": "tests fail", "feedback": "fix the tests"});
    tale.tell(Some("task"), "chunk.started", json!({"subtask_id": of("one"), "run_id": of("code")}))
        .tell(
            Some("task"),
            "subtask.status_changed",
            json!({"subtask_id": of("one"), "old_status": "ready", "new_status": "in_progress"}),
        )
        .tell(
            Some("task"),
            "workspace.acquired",
            json!({"run_id": of("code"), "path": "/w/1/one", "branch": "b-one", "base_commit": "c0"}),
        )
        .tell(Some("task"), "iteration.started", json!({"run_id": of("code"), "iteration": 1}))
        .tell(
            Some("task"),
            "agent.started",
            json!({"run_id": of("code"), "iteration": 1, "role": "coder", "pid": 42, "command": "agent --acp"}),
        )
        .tell(
            Some("task"),
            "file.modified",
            json!({"run_id": of("code"), "path": "src/a.rs", "change": "added",
            "lines_added": 10, "lines_removed": 0}),
        )
        .tell(
            Some("task"),
            "agent.complete",
            json!({"run_id": of("code"), "iteration": 1, "result": {"success": true,
            "summary": "done", "exit_code": 0, "duration_ms": 900, "tokens": tokens, "cost_usd": 0.1},
            "result_file": "/d/1/1.json"}),
        )
        .tell(Some("task"), "verification.started", json!({"run_id": of("code"), "iteration": 1, "checks": ["test"]}))
        .tell(
            Some("task"),
            "test.failed",
            json!({"run_id": of("code"), "name": "test", "exit_code": 2,
            "tests": {"passed": 1, "failed": 1, "skipped": 0}}),
        )
        .tell(
            Some("task"),
            "verification.complete",
            json!({"run_id": of("code"), "iteration": 1, "report_file": "r",
            "report": {"passed": false, "duration_ms": 100, "checks": [{"name": "test", "command": "make test",
                "passed": false, "exit_code": 2, "duration_ms": 100, "error": error("verification_failed"),
                "output_excerpt": "1 failed"}]}}),
        )
        .tell(Some("task"), "strategy.decision", json!({"run_id": of("code"), "iteration": 1, "decision": continued}))
        .tell(
            Some("task"),
            "iteration.complete",
            json!({"run_id": of("code"), "iteration": 1, "agent_success": true,
            "verification_passed": false, "decision": continued, "duration_ms": 1100}),
        );
}

fn tell_merging(tale: &mut Tale, of: impl Fn(&str) -> Uuid + Copy) {
    let tokens = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
    tale.tell(Some("task"), "user.injected_prompt", json!({"user_id": "alice", "message": "look at a.rs"}))
        .tell(
            Some("task"),
            "snapshot.created",
            json!({"run_id": of("code"), "snapshot_id": of("snapshot"), "commit": "c1", "iteration": 1}),
        )
        .tell(
            Some("task"),
            "snapshot.restored",
            json!({"run_id": of("code"), "snapshot_id": of("snapshot"), "commit": "c1"}),
        )
        .tell(
            Some("task"),
            "iteration.started",
            json!({"run_id": of("code"), "iteration": 2, "feedback": "fix the tests"}),
        )
        .tell(
            Some("task"),
            "agent.complete",
            json!({"run_id": of("code"), "iteration": 2, "result": {"success": true,
            "summary": "done", "duration_ms": 900, "tokens": tokens, "cost_usd": 0.2}, "result_file": "/d/1/2.json",
            "pr_url": "https://example.org/pr/1"}),
        )
        .tell(Some("task"), "test.passed", json!({"run_id": of("code"), "name": "test"}))
        .tell(
            Some("task"),
            "artifact.added",
            json!({"run_id": of("code"), "artifact": {"artifact_id": of("artifact"),
            "kind": "file", "path": "out.txt", "description": "the output", "size_bytes": 5, "sha256": "00"}}),
        )
        .tell(
            Some("task"),
            "pr.created",
            json!({"run_id": of("code"), "pr_url": "https://example.org/pr/1",
            "branch_name": "b-one", "title": "One"}),
        )
        .tell(
            Some("task"),
            "pr.merged",
            json!({"run_id": of("code"), "pr_url": "https://example.org/pr/1", "merge_commit": "c2"}),
        )
        .tell(
            Some("task"),
            "branch.merged",
            json!({"run_id": of("code"), "branch": "b-one", "into": "muster/task", "merge_commit": "c2"}),
        )
        .tell(Some("task"), "chunk.completed", json!({"subtask_id": of("one"), "run_id": of("code"), "commit": "c2"}))
        .tell(
            Some("task"),
            "subtask.status_changed",
            json!({"subtask_id": of("one"), "old_status": "in_progress", "new_status": "merged"}),
        )
        .tell(Some("task"), "subtask.unblocked", json!({"subtask_id": of("two"), "unblocked_by_id": of("one")}))
        .tell(
            Some("task"),
            "subtask.status_changed",
            json!({"subtask_id": of("two"), "old_status": "blocked", "new_status": "ready"}),
        )
        .tell(Some("task"), "workspace.released", json!({"run_id": of("code"), "path": "/w/1/one"}))
        .tell(
            Some("task"),
            "run.complete",
            json!({"run_id": of("code"), "result": "succeeded", "total_iterations": 2,
            "duration_ms": 3000, "tokens": {"input_tokens": 20, "output_tokens": 10, "total_tokens": 30},
            "cost_usd": 0.3}),
        )
        .tell(
            Some("task"),
            "work.released",
            json!({"run_id": of("code"), "session_id": of("session"),
            "fencing_token": 2, "reason": "finished"}),
        );
}

fn tell_failing(tale: &mut Tale, of: impl Fn(&str) -> Uuid + Copy) {
    tell_claim(tale, of, "review", "reviewer", None, 3);
    tale.tell(
        Some("task"),
        "review.changes_requested",
        json!({"run_id": of("review"), "feedback": "name it better", "subtask_id": of("three")}),
    )
    .tell(Some("task"), "error.occurred", json!({"run_id": of("review"), "error": error("protocol")}))
    .tell(
        Some("task"),
        "agent.failed",
        json!({"run_id": of("review"), "iteration": 1,
            "error": error("agent_killed"), "result_file": "/d/1/3.json", "will_retry": false}),
    )
    .tell(
        Some("task"),
        "run.failed",
        json!({"run_id": of("review"), "error": error("agent_killed"), "will_retry": true}),
    )
    .tell(
        Some("task"),
        "work.released",
        json!({"run_id": of("review"), "session_id": of("session"),
            "fencing_token": 3, "reason": "lease_expired"}),
    )
    .tell(Some("task"), "task.failed", json!({"error": error("gave_up")}))
    .tell(
        Some("task"),
        "task.status_changed",
        json!({"old_status": "in_flight", "new_status": "failed", "reason": "gave up"}),
    )
    .tell(Some("task"), "user.requested_retry", json!({"user_id": "alice", "reason": "again"}));
}

fn tell_end(tale: &mut Tale, of: impl Fn(&str) -> Uuid + Copy) {
    tell_claim(tale, of, "open", "tester", None, 4);
    tale.tell(
        Some("task"),
        "task.completed",
        json!({"evidence": [{"criterion_index": 0, "run_id": of("code"),
            "check": "test", "detail": "12 passed"}], "branch": "muster/task", "merge_commit": "c9"}),
    )
    .tell(Some("task"), "task.status_changed", json!({"old_status": "review", "new_status": "done"}))
    .tell(Some("first"), "user.cancelled_task", json!({"user_id": "alice"}))
    .tell(Some("first"), "task.status_changed", json!({"old_status": "inbox", "new_status": "cancelled"}))
    .tell(Some("task"), "task.teleported", json!({"to": "a later version"}));
}
