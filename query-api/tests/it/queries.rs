//! What queries answer.

use std::sync::Arc;

use muster_domain::command::Report;
use muster_domain::id::QuestionId;
use muster_domain::model::{ArtifactKind, Priority, Role};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Server, World};

#[tokio::test]
async fn a_project_with_a_planned_task_is_shown_whole() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    world.task("ada", project, "Write it", Priority::High).await;
    let (task, run) = world.plan(project).await;
    let data = server
        .data(
            "ada",
            "query($id: ID!) { viewer { user admin } projects { id } project(id: $id) {
                name owner viewerRole position settings taskCounts { status count } members { user role }
                activeRuns { id }
                tasks { nodes { id title status priority createdBy plan { text digest state runId chunks { title } }
                    runs { id role status iterations { number } task { id } } } pageInfo { hasNextPage } } } }",
            json!({ "id": project }),
        )
        .await;
    let shown = &data["project"];
    assert_eq!(data["viewer"], json!({ "user": "ada", "admin": false }));
    assert_eq!(data["projects"], json!([{ "id": project }]));
    assert_eq!(shown["owner"], "ada");
    assert_eq!(shown["viewerRole"], "OWNER");
    assert_eq!(shown["position"], world.position(project).await);
    assert_eq!(shown["settings"]["max_iterations"], 3);
    assert_eq!(shown["taskCounts"], json!([{ "status": "PLAN_REVIEW", "count": 1 }]));
    assert_eq!(shown["members"], json!([{ "user": "ada", "role": "OWNER" }]));
    assert_eq!(shown["activeRuns"], json!([]));
    let card = &shown["tasks"]["nodes"][0];
    assert_eq!(card["id"], json!(task));
    assert_eq!((&card["status"], &card["priority"]), (&json!("PLAN_REVIEW"), &json!("HIGH")));
    assert_eq!(card["plan"]["state"], "READY");
    assert_eq!(card["plan"]["runId"], json!(run));
    assert_eq!(card["plan"]["chunks"], json!([{ "title": "One" }, { "title": "Two" }]));
    assert_eq!(card["runs"][0]["role"], "PLANNER");
    assert_eq!(card["runs"][0]["status"], "SUCCEEDED");
    assert_eq!(card["runs"][0]["task"]["id"], json!(task));
}

#[tokio::test]
async fn what_belongs_to_a_task_is_shown() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let first = world.task("ada", project, "First", Priority::Urgent).await;
    let second = world.task_after("ada", project, "Second", Priority::Low, vec![first]).await;
    world.plan(project).await;
    world.approve("ada", project, first).await;
    let (_, claim) = world.claim(project, &[Role::Coder]).await;
    let artifact = muster_domain::command::AddArtifact {
        task_id: first,
        kind: ArtifactKind::Link,
        path: "https://example.org".to_owned(),
        description: "see".to_owned(),
    };
    world.send("ada", project, artifact).await;
    let question = Report::QuestionAsked {
        question_id: QuestionId(Uuid::now_v7()),
        question: "Which?".to_owned(),
        options: vec!["a".to_owned(), "b".to_owned()],
    };
    world.report(project, first, &claim, vec![question]).await;
    let data = server
        .data(
            "ada",
            "query($id: ID!, $run: ID!) { task(id: $id) { blocks { id } blockedBy { id } subtasks { title status run { id } }
                artifacts { kind path } questions { question options answer } assignedSession { status currentTask { id } }
                currentRun { id session { id } subtask { title } } }
               run(id: $run) { id role leaseLive }
               runs(taskId: $id, active: true) { nodes { id } } artifacts(taskId: $id) { path } }",
            json!({ "id": first, "run": claim.run_id }),
        )
        .await;
    let task = &data["task"];
    assert_eq!(task["blocks"], json!([{ "id": second }]));
    assert_eq!(task["blockedBy"], json!([]));
    assert_eq!(task["subtasks"][0]["title"], "One");
    assert_eq!(task["subtasks"][0]["run"]["id"], json!(claim.run_id));
    assert_eq!(task["subtasks"][1]["status"], "BLOCKED");
    assert_eq!(task["artifacts"], json!([{ "kind": "LINK", "path": "https://example.org" }]));
    assert_eq!(task["questions"], json!([{ "question": "Which?", "options": ["a", "b"], "answer": null }]));
    assert_eq!(task["currentRun"]["id"], json!(claim.run_id));
    assert_eq!(task["currentRun"]["subtask"]["title"], "One");
    assert_eq!(data["runs"]["nodes"], json!([{ "id": claim.run_id }]));
    assert_eq!(data["run"]["role"], "CODER");
    assert_eq!(data["artifacts"], json!([{ "path": "https://example.org" }]));
}

#[tokio::test]
async fn history_and_time_travel_agree_with_the_domain() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "Write it", Priority::High).await;
    world.plan(project).await;
    let now = world.task_state(project, task).await;
    let data = server
        .data(
            "ada",
            "query($project: ID!, $task: ID!, $to: Int!) {
                project: eventHistory(projectId: $project, after: 1, first: 2) { nodes { position type } hasNextPage endPosition }
                task: eventHistory(taskId: $task) { nodes { sequence type task { title } } endSequence hasNextPage }
                taskAt(taskId: $task, sequence: $to) { sequence status state }
                first: taskAt(taskId: $task, sequence: 1) { sequence status }
                never: taskAt(taskId: $task, sequence: 9999) { sequence }
                taskDiff(taskId: $task, from: 1, to: $to) { path before after } }",
            json!({ "project": project, "task": task, "to": now.sequence }),
        )
        .await;
    assert_eq!(data["project"]["endPosition"], 3);
    assert_eq!(data["project"]["nodes"][0]["position"], 2);
    assert_eq!(data["project"]["hasNextPage"], true);
    assert_eq!(data["task"]["nodes"][0]["type"], "task.created");
    assert_eq!(data["task"]["nodes"][0]["task"]["title"], "Write it");
    assert_eq!(data["task"]["endSequence"], now.sequence);
    assert_eq!(data["taskAt"]["state"], serde_json::to_value(&now).unwrap());
    assert_eq!(data["first"]["sequence"], 1);
    assert_eq!(data["never"], json!(null));
    let changed: Vec<_> =
        data["taskDiff"].as_array().unwrap().iter().map(|d| d["path"].as_str().unwrap().to_owned()).collect();
    assert!(changed.contains(&"/status".to_owned()), "{changed:?}");
    assert!(!changed.contains(&"/title".to_owned()), "{changed:?}");
}

#[tokio::test]
async fn output_is_read_in_pages() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    world.task("ada", project, "Write it", Priority::High).await;
    let (task, run) = world.plan(project).await;
    world.output(project, task, run, 1..6).await;
    let document = "query($run: ID!, $after: Int) { agentOutput(runId: $run, after: $after, first: 3) {
        nodes { lineNumber content stream } hasNextPage } }";
    let first = server.data("ada", document, json!({ "run": run })).await;
    assert_eq!(first["agentOutput"]["hasNextPage"], true);
    assert_eq!(first["agentOutput"]["nodes"][2]["content"], "line 3");
    let rest = server.data("ada", document, json!({ "run": run, "after": 3 })).await;
    assert_eq!(rest["agentOutput"]["hasNextPage"], false);
    assert_eq!(rest["agentOutput"]["nodes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_query_waits_for_the_position_it_names() {
    let world = World::new().await;
    let server = Arc::new(Server::start_with(&world, |c| c.query.min_position_timeout_ms = 20_000).await);
    let project = world.project("ada").await;
    world.hold_back().await;
    let task = world.task("ada", project, "Later", Priority::Low).await;
    let position = world.position(project).await;
    let document = "query($project: ID!, $task: ID!, $position: Int!) {
        project(id: $project, minPosition: $position) { position }
        task(id: $task, minPosition: $position) { title }
        tasks(projectId: $project, minPosition: $position) { nodes { id } } }";
    let variables = json!({ "project": project, "task": task, "position": position });
    let waiting = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.data("ada", document, variables).await }
    });
    // The query is on its way while nothing is projected; it cannot be answered before the rows are there.
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(300), async {
            while !waiting.is_finished() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .is_err()
    );
    world.catch_up().await;
    let data = waiting.await.unwrap();
    assert_eq!(data["project"]["position"], position);
    assert_eq!(data["task"]["title"], "Later");
    assert_eq!(data["tasks"]["nodes"], json!([{ "id": task }]));
}

#[tokio::test]
async fn a_document_that_was_sent_once_is_known_by_its_digest() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let document = "{ viewer { user } }";
    // SHA-256 of the document.
    let digest = "d3fdf1ea9b96188c85878984df48be0741afea24f41a2254844cb698c8f4c737";
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": digest } });
    let ask = async |body: serde_json::Value| -> serde_json::Value {
        let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth("ada");
        request.json(&body).send().await.unwrap().json().await.unwrap()
    };
    let unknown = ask(json!({ "extensions": extensions })).await;
    assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound");
    assert_eq!(ask(json!({ "query": document, "extensions": extensions })).await["data"]["viewer"]["user"], "ada");
    assert_eq!(ask(json!({ "extensions": extensions })).await["data"]["viewer"]["user"], "ada");
}

#[tokio::test]
async fn a_position_that_does_not_come_is_an_error() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "Here", Priority::Low).await;
    let variables = json!({ "project": project, "task": task });
    for document in [
        "query($project: ID!) { project(id: $project, minPosition: 99) { id } }",
        "query($task: ID!) { task(id: $task, minPosition: 99) { id } }",
        "query($project: ID!) { tasks(projectId: $project, minPosition: 99) { nodes { id } } }",
    ] {
        assert_eq!(server.refusal("ada", document, variables.clone()).await, "POSITION_NOT_REACHED", "{document}");
    }
}
