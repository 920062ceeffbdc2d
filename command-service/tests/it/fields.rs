//! Fields that a command does not have, has twice, or has of another kind: named with their path on every way in.

use http::Method;
use serde_json::{Value, json};

use crate::support::{ADA, Answer, App};

/// A project as a body, with something put in at `pointer`.
fn project_with(pointer: &str, name: &str, value: Value) -> Value {
    let mut body = json!({
        "name": "p",
        "repository_path": "/repo",
        "settings": {
            "agents": { "coder": { "kind": "command", "command": ["agent"], "env": { "A": "b" } } },
            "verification": [{ "name": "tests", "command": ["true"] }],
            "budget": { "tokens_max": 1 },
        },
    });
    body.pointer_mut(pointer).unwrap()[name] = value;
    body
}

/// Where a field that is not known is put, and the path it is named by.
const PLACES: [(&str, &str); 5] = [
    ("", ""),
    ("/settings", "settings."),
    ("/settings/agents/coder", "settings.agents.coder."),
    ("/settings/verification/0", "settings.verification[0]."),
    ("/settings/budget", "settings.budget."),
];

#[track_caller]
fn names(answer: &Answer, code: &str, path: &str) {
    assert_eq!(answer.refused(400, code).body["path"], path, "{}", answer.body);
}

#[tokio::test]
async fn an_unknown_field_is_named_at_any_depth_on_every_way_in() {
    let app = App::start().await;
    for (pointer, path) in PLACES {
        let project = project_with(pointer, "tpyo", json!(1));
        let route = app.post("/api/projects", &project).await;
        names(&route, "unknown_field", &format!("{path}tpyo"));
        assert_eq!(route.body["field"], "tpyo");

        let mut command = project.clone();
        command["type"] = json!("create_project");
        let single = app.post("/api/commands", &json!({ "command": command })).await;
        names(&single, "unknown_field", &format!("command.{path}tpyo"));

        let good = json!({ "command": { "type": "expire_leases" } });
        let batch = app.post("/api/commands/batch", &json!([good, good, { "command": command }])).await;
        names(&batch, "unknown_field", &format!("[2].command.{path}tpyo"));
        assert_eq!(batch.body["index"], 2);
    }
    let request = json!({ "command": { "type": "expire_leases" }, "colour": "red" });
    names(&app.post("/api/commands", &request).await, "unknown_field", "colour");
    assert_eq!(app.events().await.len(), 0, "nothing that was refused is in the log");
}

#[tokio::test]
async fn settings_criteria_and_reports_are_as_strict() {
    let app = App::start().await;
    let project = app.project().await;
    let settings = json!({ "settings": { "budget": { "tokens": 1 } } }).to_string();
    let path = format!("/api/projects/{project}/settings");
    let changed = app.send(ADA, Method::PUT, &path, None, Some(&settings)).await;
    names(&changed, "unknown_field", "settings.budget.tokens");
    let task = json!({ "title": "x", "acceptance_criteria": ["a", { "text": "b", "chekc": "tests" }] });
    let created = app.post(&format!("/api/projects/{project}/tasks"), &task).await;
    names(&created, "unknown_field", "acceptance_criteria[1].chekc");
    let id = "0199d6a0-0000-7000-8000-000000000001";
    let config = json!({ "kind": "command", "modle": "m" });
    let report = json!({ "type": "started", "iteration": 1, "harness_config": config });
    let reports = json!({ "task_id": id, "fencing_token": 1, "reports": [report] });
    let reported = app.post(&format!("/api/runs/{id}/reports"), &reports).await;
    names(&reported, "unknown_field", "reports[0].harness_config.modle");
}

#[tokio::test]
async fn a_field_that_is_there_twice_is_refused() {
    let app = App::start().await;
    let project = app.project().await;
    let raw = async |path: &str, body: String| app.send(ADA, Method::POST, path, None, Some(&body)).await;
    let tasks = format!("/api/projects/{project}/tasks");
    names(&raw(&tasks, r#"{"title":"x","title":"y"}"#.to_owned()).await, "duplicate_field", "title");
    let command = format!(r#"{{"project_id":"{project}","command":{{"type":"create_task","type":"cancel_task"}}}}"#);
    names(&raw("/api/commands", command).await, "duplicate_field", "command.type");
    let agents = r#"{"name":"p","repository_path":"/r","settings":{"agents":{"coder":{"kind":"command"},"coder":{"kind":"command"}}}}"#;
    names(&raw("/api/projects", agents.to_owned()).await, "duplicate_field", "settings.agents.coder");
}

#[tokio::test]
async fn a_value_of_another_kind_is_named_with_its_path() {
    let app = App::start().await;
    let project = app.project().await;
    let tasks = format!("/api/projects/{project}/tasks");
    for sequence in [json!(-1), json!(1.5), json!("2"), json!([])] {
        let body = json!({ "title": "x", "expected_sequence": sequence });
        names(&app.post(&tasks, &body).await, "invalid_body", "expected_sequence");
    }
    let tokens = project_with("/settings/budget", "tokens_max", json!("many"));
    names(&app.post("/api/projects", &tokens).await, "invalid_body", "settings.budget.tokens_max");
    let huge = format!(r#"{{"title":"x","expected_sequence":{}}}"#, "9".repeat(400));
    app.send(ADA, Method::POST, &tasks, None, Some(&huge)).await.refused(400, "malformed_json");
    names(&app.post(&tasks, &json!({ "title": "a\0b" })).await, "invalid_body", "title");
    let nested = format!(r#"{{"title":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    app.send(ADA, Method::POST, &tasks, None, Some(&nested)).await.refused(400, "malformed_json");
    assert_eq!(app.events().await.len(), 1, "nothing that was refused is in the log");
}
