//! Mutations are passed on in the caller's name, and refusals come back with their codes.

use muster_domain::model::Priority;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Server, World};

const CREATE_TASK: &str = "mutation($input: CreateTaskInput!, $key: ID, $expected: Int) {
    createTask(input: $input, idempotencyKey: $key, expectedSequence: $expected) {
        position sequence taskId projectId commandId } }";

#[tokio::test]
async fn a_board_is_worked_by_mutations_alone_and_reads_its_own_writes() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let made = server
        .data(
            "ada",
            "mutation { createProject(input: { name: \"Demo\", repositoryPath: \"/repo\",
                settings: { auto_dispatch: true, verification: [{ name: \"tests\", command: [\"true\"] }] } }) {
                projectId position taskId } }",
            Value::Null,
        )
        .await;
    let project = made["createProject"]["projectId"].clone();
    let input = json!({ "projectId": project, "title": "Write it", "priority": "URGENT",
        "acceptanceCriteria": [{ "text": "tests pass", "check": "tests" }] });
    let made = server.data("ada", CREATE_TASK, json!({ "input": input })).await;
    let (task, position) = (made["createTask"]["taskId"].clone(), made["createTask"]["position"].clone());
    let project_id = serde_json::from_value(project.clone()).unwrap();
    world.plan(project_id).await;
    let shown = server
        .data(
            "ada",
            "query($id: ID!, $at: Int!) { task(id: $id, minPosition: $at) { sequence priority plan { digest }
                acceptanceCriteria { text check } } }",
            json!({ "id": task, "at": position }),
        )
        .await;
    assert_eq!(shown["task"]["acceptanceCriteria"], json!([{ "text": "tests pass", "check": "tests" }]));
    let digest = &shown["task"]["plan"]["digest"];
    let approve = "mutation($task: ID!, $digest: String, $seen: Int) {
        approvePlan(input: { taskId: $task, digest: $digest }, expectedSequence: $seen) { position sequence } }";
    let wrong = json!({ "task": task, "digest": "0".repeat(64) });
    assert_eq!(server.refusal("ada", approve, wrong).await, "PLAN_DIGEST_MISMATCH");
    let stale = json!({ "task": task, "digest": digest, "seen": 1 });
    assert_eq!(server.refusal("ada", approve, stale).await, "SEQUENCE_MISMATCH");
    let right = json!({ "task": task, "digest": digest, "seen": shown["task"]["sequence"] });
    let at = server.data("ada", approve, right).await["approvePlan"]["position"].clone();
    let shown = server
        .data(
            "ada",
            "query($id: ID!, $at: Int!) { task(id: $id, minPosition: $at) { status plan { state decidedBy } subtasks { status } } }",
            json!({ "id": task, "at": at }),
        )
        .await;
    assert_eq!(shown["task"]["plan"], json!({ "state": "APPROVED", "decidedBy": "ada" }));
    assert_eq!(shown["task"]["subtasks"], json!([{ "status": "READY" }, { "status": "BLOCKED" }]));
}

#[tokio::test]
async fn every_task_mutation_reaches_the_domain() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "Write it", Priority::Low).await;
    let variables = json!({ "task": task, "project": project });
    for (mutation, expected) in [
        ("updateTask(input: { taskId: $task, title: \"Better\" })", None),
        ("injectPrompt(input: { taskId: $task, message: \"Use v2\" })", None),
        ("addArtifact(input: { taskId: $task, kind: LINK, path: \"https://example.org\" })", None),
        ("moveTask(input: { taskId: $task, status: DONE })", Some("INVALID_TRANSITION")),
        ("approvePlan(input: { taskId: $task })", Some("INVALID_TRANSITION")),
        ("rejectPlan(input: { taskId: $task, reason: \"no\" })", Some("INVALID_TRANSITION")),
        ("requestRetry(input: { taskId: $task })", Some("INVALID_TRANSITION")),
        ("cancelTask(input: { taskId: $task, reason: \"enough\" })", None),
        ("dispatchTask(input: { taskId: $task })", Some("INVALID_TRANSITION")),
        ("dispatchTask(input: {})", Some("INVALID_ARGUMENT")),
    ] {
        let document = format!("mutation($task: ID!) {{ {mutation} {{ position }} }}");
        let answer = server.answer("ada", &document, variables.clone()).await;
        let code = answer["errors"][0]["extensions"]["code"].as_str();
        assert_eq!(code, expected, "{mutation}: {answer}");
    }
    for mutation in [
        "addMember(input: { projectId: $project, user: \"bob\", role: OPERATOR })",
        "removeMember(input: { projectId: $project, user: \"bob\" })",
        "changeSettings(input: { projectId: $project, settings: { max_iterations: 7 } })",
    ] {
        let document = format!("mutation($project: ID!) {{ {mutation} {{ position projectId }} }}");
        server.data("ada", &document, variables.clone()).await;
    }
    let document = "query($project: ID!, $task: ID!) { project(id: $project) { settings members { user } }
        task(id: $task) { title status } }";
    let shown = server.data("ada", document, variables).await;
    assert_eq!(shown["project"]["settings"]["max_iterations"], 7);
    assert_eq!(shown["project"]["members"], json!([{ "user": "ada" }]));
    assert_eq!(shown["task"], json!({ "title": "Better", "status": "CANCELLED" }));
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let input = json!({ "projectId": project, "title": "Once" });
    let variables = json!({ "input": input, "key": Uuid::now_v7() });
    let first = server.data("ada", CREATE_TASK, variables.clone()).await;
    assert_eq!(first, server.data("ada", CREATE_TASK, variables).await);
    let count = "query($id: ID!) { project(id: $id) { taskCounts { count } } }";
    let shown = server.data("ada", count, json!({ "id": project })).await;
    assert_eq!(shown["project"]["taskCounts"], json!([{ "count": 1 }]));
    assert_eq!(
        server.refusal("ada", CREATE_TASK, json!({ "input": input, "key": "no uuid" })).await,
        "INVALID_ARGUMENT"
    );
}

#[tokio::test]
async fn a_stranger_changes_nothing() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let answer = server.answer("eve", CREATE_TASK, json!({ "input": { "projectId": project, "title": "Mine" } })).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN");
    assert_eq!(answer["errors"][0]["extensions"]["status"], 403);
}
