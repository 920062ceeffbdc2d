//! Queries that ask for what is not there, or for too much.

use serde_json::json;

use super::Project;
use crate::support::graphql;
use crate::support::server::shared;

const NOBODY: &str = "0199d6a0-0000-7000-8000-00000000ffff";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_null_and_what_is_no_id_is_refused() {
    let server = shared().await;
    let document = "query($id: ID!) { project(id: $id) { name } task(id: $id) { title } run(id: $id) { role } }";
    let data = graphql::run(server, document, json!({ "id": NOBODY })).await.data();
    assert_eq!(data, json!({ "project": null, "task": null, "run": null }));
    graphql::run(server, document, json!({ "id": "no-id" })).await.assert_refused("INVALID_ARGUMENT", 400);
    let document = "query($id: ID!) { tasks(projectId: $id) { nodes { title } } }";
    graphql::run(server, document, json!({ "id": NOBODY })).await.assert_refused("FORBIDDEN", 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_is_none_or_asks_too_much_is_refused() {
    let server = shared().await;
    let broken = graphql::run(server, "query { projects { ", json!({})).await;
    assert!(!broken.errors.is_empty(), "{broken:?}");
    let unknown = graphql::run(server, "query { projects { colour } }", json!({})).await;
    assert!(!unknown.errors.is_empty(), "{unknown:?}");
    let aliases: Vec<_> = (0..500).map(|number| format!("p{number}: projects {{ name }}")).collect();
    let many = graphql::run(server, &format!("query {{ {} }}", aliases.join(" ")), json!({})).await;
    assert!(!many.errors.is_empty() && many.data.is_null(), "{many:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_never_comes_is_waited_for_and_then_refused() {
    let server = shared().await;
    let project = Project::new(server, &[], json!({})).await;
    let document = "query($id: ID!) { project(id: $id, minPosition: 1000) { name } }";
    let refused = graphql::run(server, document, json!({ "id": project.id })).await;
    refused.assert_refused("POSITION_NOT_REACHED", 503);
}
