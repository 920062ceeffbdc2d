//! Agents that misbehave: their runs end, and the board says why.

use muster_test_kit::eventually_some;
use serde_json::{Value, json};

use super::Project;
use crate::support::WITHIN;
use crate::support::cli::{muster, state};
use crate::support::server::{DevServer, shared_with_agents};

/// A project whose coder does what `steps` say.
async fn project(server: &DevServer, steps: Value, settings: Value) -> Project {
    let script = json!({ "coder": [{ "steps": steps }] }).to_string();
    Project::new(server, &[(".muster/rehearsal.json", &script), ("ok.sh", "exit 0\n")], settings).await
}

fn settings() -> Value {
    json!({
        "require_plan_approval": false,
        "max_attempts": 1,
        "max_iterations": 2,
        "verification": [{ "name": "tests", "command": ["sh", "ok.sh"] }],
    })
}

/// Waits until nothing more happens to a task by itself; its state.
async fn ended(server: &DevServer, task: &str) -> Value {
    eventually_some(WITHIN, || async {
        let state = state(server, task).await?;
        let status = state["status"].as_str().expect("a status").to_owned();
        matches!(status.as_str(), "done" | "failed" | "cancelled" | "blocked").then_some(state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_prints_binary_is_read_as_text_and_its_work_counts() {
    let server = shared_with_agents().await;
    let steps = json!([
        { "do": "print_binary", "size_bytes": 100_000 },
        { "do": "write", "path": "note.txt", "content": "done\n" },
    ]);
    let project = project(server, steps, settings()).await;
    let task = project.task(server, "Print bytes").await;
    let state = ended(server, &task).await;
    assert_eq!(state["status"], json!("done"), "{state}");
    let coder = state["runs"].as_array().unwrap().iter().find(|run| run["role"] == "coder").unwrap();
    let logs = muster(server, &["logs", coder["id"].as_str().unwrap(), "--json"]).await;
    assert_eq!(logs.code, 0, "{}", logs.err);
    assert!(logs.json_lines().iter().any(|line| line["stream"] == "stderr"));
    let shown = muster(server, &["logs", coder["id"].as_str().unwrap()]).await;
    assert!(!shown.out.chars().any(|letter| letter.is_control() && letter != '\n'), "nothing that drives a terminal");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_crashes_fails_its_card_and_a_person_may_retry() {
    let server = shared_with_agents().await;
    let project = project(server, json!([{ "do": "crash" }]), settings()).await;
    let task = project.task(server, "Crash").await;
    let state = ended(server, &task).await;
    assert_ne!(state["status"], json!("done"), "{state}");
    let replay: Value = muster(server, &["replay", &task, "--json"]).await.json();
    let failed = replay["events"].as_array().unwrap().iter().any(|event| event["type"] == "agent.failed");
    assert!(failed, "{replay}");
    assert_eq!(muster(server, &["retry", &task]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_is_cancelled_loses_its_agent() {
    let server = shared_with_agents().await;
    let project = project(server, json!([{ "do": "hang" }]), settings()).await;
    let task = project.task(server, "Hang").await;
    eventually_some(WITHIN, || async {
        let state = state(server, &task).await?;
        (state["status"] == "in_flight").then_some(())
    })
    .await;
    assert_eq!(muster(server, &["cancel", &task]).await.code, 0);
    let workspace = eventually_some(WITHIN, || async {
        let replay: Value = muster(server, &["replay", &task, "--json"]).await.json();
        let events = replay["events"].as_array().cloned().unwrap_or_default();
        let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
        (of("workspace.released") == of("workspace.acquired")).then(|| of("workspace.acquired"))
    })
    .await;
    assert!(workspace >= 1);
}
