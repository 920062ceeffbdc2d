//! Commands that are malformed, too large, or about what does not exist.

use reqwest::Method;
use serde_json::json;

use super::Project;
use crate::support::server::{STRANGER_TOKEN, shared};
use crate::support::{graphql, rest};

const NOBODY: &str = "0199d6a0-0000-7000-8000-00000000ffff";

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_told_from_what_is_not_yours_to_members_only() {
    let server = shared().await;
    let project = Project::new(server, &[], json!({})).await;
    let body = json!({ "title": "x" });
    rest::post(server, &format!("/api/projects/{NOBODY}/tasks"), &body).await.assert_problem(403, "forbidden");
    let path = format!("/api/projects/{}/tasks/{NOBODY}/cancel", project.id);
    rest::post(server, &path, &json!({})).await.assert_problem(404, "task_not_found");
    let foreign = [("authorization", format!("Bearer {STRANGER_TOKEN}"))];
    let http = reqwest::Client::new();
    for id in [project.id.as_str(), NOBODY] {
        let url = format!("{}/api/projects/{id}/tasks", server.url());
        let request = http.post(url).header(foreign[0].0, &foreign[0].1).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 403, "{id}");
    }
    let document = "mutation($input: CancelTaskInput!) { cancelTask(input: $input) { position } }";
    let refused = graphql::run(server, document, json!({ "input": { "taskId": NOBODY } })).await;
    let code = refused.errors[0]["extensions"]["code"].clone();
    assert!(code == "FORBIDDEN" || code == "TASK_NOT_FOUND", "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_title_of_a_megabyte_is_refused_whole() {
    let server = shared().await;
    let project = Project::new(server, &[], json!({})).await;
    let path = format!("/api/projects/{}/tasks", project.id);
    let long = "a".repeat(1_000_000);
    let answer = rest::post(server, &path, &json!({ "title": long })).await;
    assert!(matches!(answer.status, 413 | 422), "{}", answer.status);
    let answer = rest::post(server, &path, &json!({ "title": "a".repeat(501) })).await;
    assert_eq!(answer.status, 422, "{answer:?}");
    let larger = "a".repeat(2_000_000);
    rest::post(server, &path, &json!({ "title": larger })).await.assert_problem(413, "body_too_large");
    let document = "mutation($input: CreateTaskInput!) { createTask(input: $input) { position } }";
    let input = json!({ "input": { "projectId": project.id, "title": "a".repeat(501) } });
    let refused = graphql::run(server, document, input).await;
    assert_eq!(refused.errors[0]["extensions"]["status"], json!(422), "{refused:?}");
    let read = "query($id: ID!) { project(id: $id) { position } }";
    let data = graphql::run(server, read, json!({ "id": project.id })).await.data();
    assert_eq!(data["project"]["position"], json!(1), "nothing of it is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_command_say_what_is_wrong_with_them() {
    let server = shared().await;
    let project = Project::new(server, &[], json!({})).await;
    let path = format!("/api/projects/{}/tasks", project.id);
    let send = |body: &str| rest::send(server, Method::POST, &path, &[], body.to_owned());
    send("{\"title\": ").await.assert_problem(400, "malformed_json");
    let unknown = send(r#"{"title": "x", "colour": "red"}"#).await;
    unknown.assert_problem(400, "unknown_field");
    assert_eq!(unknown.body["field"], json!("colour"), "{unknown:?}");
    send("{}").await.assert_problem(400, "invalid_body");
    let text = [("content-type", "text/plain")];
    let http = reqwest::Client::new();
    let request = http.post(format!("{}{path}", server.url())).bearer_auth(server.token());
    let answer = request.header(text[0].0, text[0].1).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 415);
    rest::send(server, Method::DELETE, "/api/commands", &[], String::new())
        .await
        .assert_problem(405, "method_not_allowed");
    rest::post(server, "/api/no-such-thing", &json!({})).await.assert_problem(404, "route_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_needs_a_repository_and_commands_that_exist() {
    let server = shared().await;
    let folder = tempfile::tempdir().unwrap();
    let no_repository = json!({ "name": "x", "repository_path": folder.path() });
    rest::post(server, "/api/projects", &no_repository).await.assert_problem(422, "not_a_git_repository");
    let project = Project::new(server, &[], json!({})).await;
    let missing = json!([{ "name": "tests", "command": ["./no-such-script.sh"] }]);
    let path = project.repository.path_text();
    let no_command = json!({ "name": "x", "repository_path": path, "settings": { "verification": missing } });
    rest::post(server, "/api/projects", &no_command).await.assert_problem(422, "verification_command_not_found");
    let document = "mutation($input: CreateProjectInput!) { createProject(input: $input) { position } }";
    let input = json!({ "input": { "name": "x", "repositoryPath": folder.path() } });
    graphql::run(server, document, input).await.assert_refused("NOT_A_GIT_REPOSITORY", 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_that_is_not_the_current_one_is_refused_with_the_current_one() {
    let server = shared().await;
    let project = Project::new(server, &[], json!({})).await;
    let task = project.task(server, "A card").await;
    let prompt = |expected: u64| json!({ "message": "hi", "expected_sequence": expected });
    let path = format!("/api/tasks/{task}/prompt");
    assert_eq!(rest::post(server, &path, &prompt(2)).await.status, 200);
    let stale = rest::post(server, &path, &prompt(2)).await;
    stale.assert_problem(409, "sequence_mismatch");
    assert!(stale.body.to_string().contains('3'), "the current one is told: {stale:?}");
    rest::post(server, &path, &prompt(9)).await.assert_problem(409, "sequence_from_future");
    let document =
        "mutation($input: InjectPromptInput!) { injectPrompt(input: $input, expectedSequence: 1) { position } }";
    let input = json!({ "input": { "taskId": task, "message": "hi" } });
    graphql::run(server, document, input).await.assert_refused("SEQUENCE_MISMATCH", 409);
}
