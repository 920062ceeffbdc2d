//! Who sees what, and what is too much.

use muster_domain::command::{AddMember, RemoveMember};
use muster_domain::model::{MemberRole, Priority};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{ADMIN, Server, World};

/// The root fields of the schema.
pub fn fields_of(root: &str) -> Vec<String> {
    let schema = include_str!("../../../docs/schema.graphql");
    let (_, begin) = schema.split_once(&format!("\ntype {root} {{\n")).unwrap();
    let (fields, _) = begin.split_once("\n}").unwrap();
    let fields = fields.split("\n\t").filter_map(|line| line.trim_start().split_once(['(', ':']));
    let is_name = |name: &str| !name.is_empty() && name.chars().all(char::is_alphanumeric);
    let arguments = ["id", "projectId", "taskId", "runId", "after", "first", "last", "before", "minPosition", "active"];
    fields
        .map(|(name, _)| name.to_owned())
        .filter(|name| is_name(name) && !arguments.contains(&name.as_str()))
        .collect()
}

#[tokio::test]
async fn to_a_stranger_a_project_looks_like_none() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    world.task("ada", project, "Secret", Priority::High).await;
    let (task, run) = world.plan(project).await;
    world.output(project, task, run, 1..3).await;
    let real = json!({ "project": project, "task": task, "run": run });
    let unknown = json!({ "project": Uuid::now_v7(), "task": Uuid::now_v7(), "run": Uuid::now_v7() });
    let documents = [
        "query($project: ID!) { project(id: $project) { name } }",
        "query($project: ID!) { project(id: $project, minPosition: 1) { name } }",
        "query($task: ID!) { task(id: $task) { title } }",
        "query($task: ID!) { task(id: $task, minPosition: 1) { title } }",
        "query($run: ID!) { run(id: $run) { id } }",
        "query($project: ID!) { tasks(projectId: $project) { nodes { title } } }",
        "query($project: ID!) { runs(projectId: $project) { nodes { id } } }",
        "query($task: ID!) { runs(taskId: $task) { nodes { id } } }",
        "query($project: ID!) { sessions(projectId: $project) { id } }",
        "query($task: ID!) { artifacts(taskId: $task) { id } }",
        "query($project: ID!) { eventHistory(projectId: $project) { nodes { data } } }",
        "query($task: ID!) { eventHistory(taskId: $task) { nodes { data } } }",
        "query($task: ID!) { taskAt(taskId: $task, sequence: 1) { state } }",
        "query($task: ID!) { taskDiff(taskId: $task, from: 1, to: 2) { path } }",
        "query($run: ID!) { agentOutput(runId: $run) { nodes { content } } }",
        "query($run: ID!) { run(id: $run, minPosition: 1) { id } }",
        "query($project: ID!) { tasks(projectId: $project, minPosition: 1) { nodes { title } } }",
        "query($project: ID!) { runs(projectId: $project, minPosition: 1) { nodes { id } } }",
        "query($task: ID!) { runs(taskId: $task, minPosition: 1) { nodes { id } } }",
        "query($project: ID!) { sessions(projectId: $project, minPosition: 1) { id } }",
        "query($task: ID!) { artifacts(taskId: $task, minPosition: 1) { id } }",
        "query($project: ID!) { eventHistory(projectId: $project, minPosition: 1) { nodes { data } } }",
        "query($task: ID!) { eventHistory(taskId: $task, minPosition: 1) { nodes { data } } }",
        "query($task: ID!) { taskAt(taskId: $task, sequence: 9999, minPosition: 1) { state } }",
        "query($task: ID!) { taskDiff(taskId: $task, from: 1, to: 2, minPosition: 1) { path } }",
        "query($run: ID!) { agentOutput(runId: $run, minPosition: 1) { nodes { content } } }",
    ];
    let all = fields_of("Query");
    assert!(all.len() > 10, "{all:?}");
    for field in all.iter().filter(|field| !["viewer", "projects"].contains(&field.as_str())) {
        assert!(
            documents.iter().any(|document| document.contains(&format!("{{ {field}("))),
            "{field} is not asked for"
        );
    }
    for document in documents {
        let of_stranger = server.answer("eve", document, real.clone()).await;
        assert_eq!(of_stranger, server.answer("eve", document, unknown.clone()).await, "{document}");
        let shown = of_stranger["data"].as_object().is_some_and(|data| data.values().any(|value| !value.is_null()));
        assert!(!shown, "{document}: {of_stranger}");
        server.data("ada", document, real.clone()).await;
        server.data(ADMIN, document, real.clone()).await;
    }
    assert_eq!(server.data("eve", "{ projects { id } }", Value::Null).await, json!({ "projects": [] }));
}

#[tokio::test]
async fn members_come_and_go() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let document = "query($id: ID!) { project(id: $id) { viewerRole } }";
    let variables = json!({ "id": project });
    assert_eq!(server.data("bob", document, variables.clone()).await["project"], Value::Null);
    let bob = || "bob".to_owned();
    world.send("ada", project, AddMember { user: bob(), role: MemberRole::Viewer }).await;
    assert_eq!(server.data("bob", document, variables.clone()).await["project"]["viewerRole"], "VIEWER");
    world.send("ada", project, RemoveMember { user: bob() }).await;
    assert_eq!(server.data("bob", document, variables).await["project"], Value::Null);
}

#[tokio::test]
async fn without_a_known_token_nothing_is_answered() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let url = format!("{}/graphql", server.url);
    let body = json!({ "query": "{ __typename }" });
    for request in [server.http.post(&url), server.http.post(&url).bearer_auth("mallory")] {
        let response = request.json(&body).send().await.unwrap();
        assert_eq!(response.status(), 401);
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "unauthenticated");
    }
    let mut socket = server.connect(json!({})).await;
    assert!(socket.receive().await.get("closed").is_some());
    let mut socket = server.connect(json!({ "authorization": "Bearer mallory" })).await;
    assert!(socket.receive().await.get("closed").is_some());
}

#[tokio::test]
async fn too_much_at_once_is_refused() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let aliases: Vec<_> = (0..31).map(|n| format!("a{n}: viewer {{ user }}")).collect();
    let aliases = aliases.join(" ");
    let deep = format!("{{ projects {}{{ name }}{} }}", "{ tasks { nodes { project ".repeat(4), "} } }".repeat(4));
    let costly = "{ projects { tasks(first: 500) { nodes { runs { iterations { number feedback } task { subtasks { id } } } } } } }";
    for document in [format!("{{ {aliases} }}"), deep, costly.to_owned()] {
        assert_eq!(server.refusal("ada", &document, Value::Null).await, "QUERY_TOO_COMPLEX", "{document}");
    }
    for depth in [100, 2000] {
        let nested = format!("{}x{}", "{ a ".repeat(depth), "}".repeat(depth));
        assert_eq!(server.refusal("ada", &nested, Value::Null).await, "QUERY_TOO_COMPLEX");
    }
    assert_eq!(server.refusal("ada", "{ nonsense }", Value::Null).await, "INVALID_ARGUMENT");
    assert_eq!(server.refusal("ada", "{ task(id: \"x\") { id } }", Value::Null).await, "INVALID_ARGUMENT");
}
