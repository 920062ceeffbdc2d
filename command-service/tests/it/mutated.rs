//! Bodies that were damaged at random: each is refused by a problem document or taken for what it says, never half, and
//! never an error of the service's own. A seed repeats a run.

use http::Method;
use muster_domain::id::ProjectId;
use muster_schemas::codec;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::foreign::requests;
use crate::support::{ADA, App};

const SEEDS: std::ops::Range<u64> = 1..5;
const BODIES_PER_SEED: usize = 50;

/// `xorshift64*`.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % end
    }

    fn of<T: Clone>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())].clone()
    }
}

fn strange(chance: &mut Chance) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1e308),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1_u64 << 53),
        json!(4_294_967_296_u64),
        json!(""),
        json!("\u{0}"),
        json!("../../etc/passwd"),
        json!("\u{202e}\u{feff}\u{10ffff}"),
        json!("-9999-01-01T00:00:00Z"),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("x".repeat(70_000)),
        json!([]),
        json!({}),
        json!([[[[[[[[]]]]]]]]),
        json!([{ "type": "complete" }]),
        json!({ "type": "create_task" }),
        json!(vec![0; 2_000]),
    ];
    chance.of(&values)
}

/// Every place in a document, as JSON pointers.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        _ => {}
    }
}

fn damage(body: &Value, chance: &mut Chance) -> String {
    let mut body = body.clone();
    for _ in 0..=chance.below(2) {
        let mut all = Vec::new();
        places(&body, "", &mut all);
        let place = body.pointer_mut(&chance.of(&all)).unwrap();
        match (chance.below(4), place) {
            (0, Value::Object(members)) => {
                members.insert(chance.of(&["tpyo", "type", "task_id", "", "expected_sequence"]).to_owned(), json!(1));
            }
            (1, Value::Object(members)) => {
                let names: Vec<_> = members.keys().cloned().collect();
                if !names.is_empty() {
                    members.remove(&chance.of(&names));
                }
            }
            (_, place) => *place = strange(chance),
        }
    }
    let mut text = body.to_string();
    match chance.below(8) {
        0 => text.truncate((0..=chance.below(text.len() + 1)).rev().find(|end| text.is_char_boundary(*end)).unwrap()),
        1 => text.insert_str(0, &"[".repeat(chance.below(300))),
        2 => text = text.replacen('{', "{\"type\":1,", 1),
        3 => text = text.replacen(':', ":\"\\ud800", 1),
        _ => {}
    }
    text
}

#[tokio::test]
async fn what_is_damaged_is_refused_and_changes_nothing() {
    for seed in SEEDS {
        let app = App::start().await;
        let mut chance = Chance(seed);
        let mut taken = 0;
        for number in 0..BODIES_PER_SEED {
            // One of its own for each body: some are taken, and change its settings or its members.
            let project = app.project().await;
            let task = app.task(project, "One").await;
            let (reports, output) = at_work(&app, project).await;
            let mut all = requests(project, task);
            all.extend([reports.clone(), output.clone(), reports, output]);
            let (method, path, body) = chance.of(&all);
            let body = damage(&body, &mut chance);
            let before = app.events().await;
            let answer = app.send(ADA, method, &path, None, Some(&body)).await;
            let shown: String = body.chars().take(300).collect();
            assert!(answer.status.as_u16() < 500, "seed {seed}, {number}: {path} {shown}: {}", answer.body);
            let after = app.events().await;
            if answer.status.is_success() {
                taken += 1;
            } else {
                let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
                answer.refused(answer.status.as_u16(), &code);
                assert_eq!(before, after, "seed {seed}, {number}: {path} {shown}");
            }
            for event in &after[before.len().min(after.len())..] {
                codec::encode(event).unwrap_or_else(|error| panic!("seed {seed}, {number}: {shown}: {error}"));
            }
        }
        assert!(taken < BODIES_PER_SEED / 2, "most of what is damaged is refused");
        app.task(app.project().await, "Still alive").await;
    }
}

/// A planner at work in a project, and what it may report.
async fn at_work(app: &App, project: ProjectId) -> ((Method, String, Value), (Method, String, Value)) {
    let claim = json!({ "session_id": Uuid::now_v7(), "session_key": "s", "roles": ["planner"], "workspace_dir": "/w",
        "data_dir": "/d", "project_ids": [project] });
    let order = app.post("/api/claims", &claim).await.ok().body;
    let (run, id) = (order["run_id"].as_str().unwrap(), "0199d6a0-0000-7000-8000-000000000001");
    let tokens = json!({ "input_tokens": 1, "output_tokens": 2, "total_tokens": 3 });
    let result = json!({ "success": true, "summary": "s", "exit_code": 0, "duration_ms": 1, "tokens": tokens,
        "cost_usd": 0.5 });
    let decision = json!({ "action": "continue", "reason": "r", "feedback": "f" });
    let check = json!({ "name": "n", "command": "c", "passed": true, "exit_code": 0, "duration_ms": 1,
        "tests": { "passed": 1, "failed": 0, "skipped": 0 }, "output_excerpt": "" });
    let reports = json!([
        { "type": "started", "iteration": 1, "harness_config": { "kind": "rehearsal" } },
        { "type": "agent_started", "iteration": 1, "pid": 7, "command": "a" },
        { "type": "agent_complete", "iteration": 1, "result": result, "result_file": "f" },
        { "type": "verification_complete", "iteration": 1, "report_file": "f",
          "report": { "passed": true, "duration_ms": 1, "checks": [check] } },
        { "type": "iteration_complete", "iteration": 1, "agent_success": true, "decision": decision, "duration_ms": 1 },
        { "type": "file_modified", "path": "p", "change": "added", "lines_added": 1, "lines_removed": 0 },
        { "type": "progress", "message": "m", "percent": 5 },
        { "type": "question_asked", "question_id": id, "question": "q", "options": ["a"] },
        { "type": "snapshot_created", "snapshot_id": id, "commit": "c", "iteration": 1 },
        { "type": "artifact_added", "artifact_id": id, "kind": "file", "path": "p", "description": "d", "size_bytes": 1 },
        { "type": "plan_ready", "plan": "# P", "chunks": [{ "title": "t", "depends_on": [] }] },
    ]);
    let lease = json!({ "task_id": order["task_id"], "fencing_token": order["fencing_token"] });
    let with = |more: Value| {
        let mut body = lease.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let line = json!({ "timestamp": "2026-01-01T00:00:00Z", "stream": "stdout", "content": "c" });
    let output = json!({ "project_id": order["project_id"], "first_line_number": 1, "lines": [line, line] });
    (
        (Method::POST, format!("/api/runs/{run}/reports"), with(json!({ "reports": reports }))),
        (Method::POST, format!("/api/runs/{run}/output"), with(output)),
    )
}

#[tokio::test]
async fn a_number_beyond_its_field_is_named_with_its_path() {
    let app = App::start().await;
    let project = app.project().await;
    app.task(project, "One").await;
    let ((method, path, body), (_, output_path, output)) = at_work(&app, project).await;
    let before = app.events().await;
    for (pointer, name, value) in [
        ("/reports/0", "iteration", json!(1_u64 << 31)),
        ("/reports/1", "pid", json!(4_294_967_296_u64)),
        ("/reports/2/result", "exit_code", json!(2_147_483_648_u64)),
        ("/reports/2/result", "exit_code", json!(-2_147_483_649_i64)),
        ("/reports/2/result/tokens", "total_tokens", json!(u64::MAX)),
        ("/reports/3/report/checks/0/tests", "failed", json!(u64::MAX)),
        ("/reports/4", "duration_ms", json!(1_u64 << 53)),
        ("/reports/9", "size_bytes", json!(u64::MAX)),
        ("/reports/10/chunks/0/depends_on", "0", json!(1_u64 << 40)),
    ] {
        let mut body = body.clone();
        match body.pointer_mut(pointer).unwrap() {
            Value::Array(items) => items.push(value),
            place => place[name] = value,
        }
        let answer = app.send(ADA, method.clone(), &path, None, Some(&body.to_string())).await;
        let expected = format!("{pointer}/{name}").split('/').skip(1).fold(String::new(), |path, step| {
            let is_index = step.parse::<u32>().is_ok();
            if is_index {
                format!("{path}[{step}]")
            } else if path.is_empty() {
                step.to_owned()
            } else {
                format!("{path}.{step}")
            }
        });
        assert_eq!(answer.refused(400, "invalid_body").body["path"], expected);
    }
    let mut last = output.clone();
    last["first_line_number"] = json!(u64::MAX);
    let answer = app.send(ADA, method, &output_path, None, Some(&last.to_string())).await;
    assert_eq!(answer.refused(400, "invalid_body").body["path"], "first_line_number");
    assert_eq!(app.events().await, before);
}
