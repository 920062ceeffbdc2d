//! Plans: the first decision wins, and only for the plan that was shown.

use muster_test_kit::eventually_some;
use serde_json::{Value, json};

use super::Project;
use crate::support::cli::{muster, state};
use crate::support::server::{DevServer, shared_with_agents};
use crate::support::{WITHIN, graphql, rest};

/// Waits until a task's plan waits for a decision; its digest.
async fn waiting_plan(server: &DevServer, task: &str) -> String {
    eventually_some(WITHIN, || async {
        let state = state(server, task).await?;
        let waits = state["status"] == "plan_review";
        waits.then(|| state["plan"]["digest"].as_str().expect("a digest").to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_decided_on_once_and_only_as_it_was_shown() {
    let server = shared_with_agents().await;
    let project = Project::new(server, &[], json!({})).await;
    let task = project.task(server, "Something to plan").await;
    let digest = waiting_plan(server, &task).await;
    let approve = format!("/api/tasks/{task}/approve");
    let other = rest::post(server, &approve, &json!({ "digest": "0".repeat(64) })).await;
    other.assert_problem(409, "plan_digest_mismatch");

    // Approve and reject at once: one of them wins.
    let reject_body = json!({ "digest": digest, "reason": "no" });
    let approve_body = json!({ "digest": digest });
    let reject = format!("/api/tasks/{task}/reject");
    let (one, two) =
        tokio::join!(rest::post(server, &approve, &approve_body), rest::post(server, &reject, &reject_body));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {two:?}");

    if one.status == 200 {
        rest::post(server, &approve, &approve_body).await.assert_problem(409, "already_decided");
        let document = "mutation($input: ApprovePlanInput!) { approvePlan(input: $input) { position } }";
        let input = json!({ "input": { "taskId": task, "digest": digest } });
        graphql::run(server, document, input).await.assert_refused("ALREADY_DECIDED", 409);
        assert_eq!(muster(server, &["approve", &task, "--yes"]).await.code, 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_plan_is_made_anew_with_the_reason() {
    let server = shared_with_agents().await;
    let project = Project::new(server, &[], json!({})).await;
    let task = project.task(server, "Plan this twice").await;
    waiting_plan(server, &task).await;
    let rejected = muster(server, &["reject", &task, "--reason", "think again"]).await;
    assert_eq!(rejected.code, 0, "{rejected:?}");
    waiting_plan(server, &task).await;
    let replay: Value = muster(server, &["replay", &task, "--json"]).await.json();
    let events = replay["events"].as_array().unwrap();
    let plans = events.iter().filter(|event| event["type"] == "plan.ready").count();
    assert_eq!(plans, 2);
    assert!(muster(server, &["approve", &task, "--yes"]).await.code == 0);
}
