//! The same key gives the same answer, and another command under it is refused.

use serde_json::json;
use uuid::Uuid;

use super::Project;
use crate::support::server::shared;
use crate::support::{graphql, rest};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_one_command_on_every_interface() {
    let server = shared().await;
    let project = Project::new(server, &[], json!({})).await;
    let path = format!("/api/projects/{}/tasks", project.id);
    let key = Uuid::now_v7().to_string();
    let first = rest::post_with_key(server, &path, &key, &json!({ "title": "Once" })).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = rest::post_with_key(server, &path, &key, &json!({ "title": "Once" })).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let other = rest::post_with_key(server, &path, &key, &json!({ "title": "Another" })).await;
    other.assert_problem(409, "idempotency_key_reused");

    let document = "mutation($input: CreateTaskInput!, $key: ID) {
        createTask(input: $input, idempotencyKey: $key) { taskId position }
    }";
    let variables = json!({ "input": { "projectId": project.id, "title": "Once" }, "key": key });
    let data = graphql::run(server, document, variables).await.data();
    assert_eq!(data["createTask"]["taskId"], first.body["task_id"]);
    let variables = json!({ "input": { "projectId": project.id, "title": "Another" }, "key": key });
    graphql::run(server, document, variables).await.assert_refused("IDEMPOTENCY_KEY_REUSED", 409);

    let position = first.body["position"].as_u64().unwrap();
    let read = "query($id: ID!, $min: Int) { tasks(projectId: $id, minPosition: $min) { nodes { title } } }";
    let data = graphql::run(server, read, json!({ "id": project.id, "min": position })).await.data();
    assert_eq!(data["tasks"]["nodes"], json!([{ "title": "Once" }]));
}
