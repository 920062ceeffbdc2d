//! Ids of other people's projects: whoever is no member gets the same answer, byte for byte, whether they exist or not.

use http::Method;
use muster_domain::id::{ProjectId, TaskId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{ADA, App, BOB, PARTITIONS, ROOT};

/// Every kind of command but the one that makes a project.
fn commands(task: TaskId) -> Vec<Value> {
    let id = "0199d6a0-0000-7000-8000-000000000001";
    let claim = json!({ "type": "claim_work", "session_id": id, "session_key": "s", "roles": ["coder"],
        "lease_duration_ms": 1000, "workspace_dir": "/w", "data_dir": "/d" });
    let renew = json!({ "type": "renew_lease", "task_id": task, "run_id": id, "fencing_token": 1,
        "lease_duration_ms": 1000 });
    vec![
        json!({ "type": "change_settings", "settings": {} }),
        json!({ "type": "add_member", "user": BOB, "role": "owner" }),
        json!({ "type": "remove_member", "user": ADA }),
        json!({ "type": "create_task", "title": "x" }),
        json!({ "type": "create_task", "title": "x", "task_id": task }),
        json!({ "type": "update_task", "task_id": task, "title": "x" }),
        json!({ "type": "dispatch_task" }),
        json!({ "type": "dispatch_task", "task_id": task }),
        json!({ "type": "move_task", "task_id": task, "status": "blocked" }),
        json!({ "type": "approve_plan", "task_id": task }),
        json!({ "type": "reject_plan", "task_id": task, "reason": "no" }),
        json!({ "type": "answer_question", "task_id": task, "question_id": id, "answer": "42" }),
        json!({ "type": "request_retry", "task_id": task }),
        json!({ "type": "inject_prompt", "task_id": task, "message": "x" }),
        json!({ "type": "cancel_task", "task_id": task }),
        json!({ "type": "add_artifact", "task_id": task, "kind": "link", "path": "https://example.org" }),
        claim,
        renew,
        json!({ "type": "expire_leases" }),
        json!({ "type": "report_run", "task_id": task, "run_id": id, "fencing_token": 1, "reports": [] }),
    ]
}

/// What goes to each route, with the ids of a project and of a task.
pub fn requests(project: ProjectId, task: TaskId) -> Vec<(Method, String, Value)> {
    let run = "0199d6a0-0000-7000-8000-000000000001";
    let post = |path: String, body: Value| (Method::POST, path, body);
    let lease = json!({ "task_id": task, "fencing_token": 1 });
    let with = |more: Value| {
        let mut body = lease.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let mut requests = vec![
        (Method::PUT, format!("/api/projects/{project}/settings"), json!({ "settings": {} })),
        (Method::PUT, format!("/api/projects/{project}/members/bob"), json!({ "role": "owner" })),
        (Method::DELETE, format!("/api/projects/{project}/members/ada"), json!({})),
        post(format!("/api/projects/{project}/dispatch"), json!({})),
        post(format!("/api/projects/{project}/tasks"), json!({ "title": "x" })),
        (Method::PATCH, format!("/api/projects/{project}/tasks/{task}"), json!({ "title": "x" })),
        (Method::PATCH, format!("/api/tasks/{task}"), json!({ "title": "x" })),
        post(
            "/api/claims".to_owned(),
            json!({ "session_id": run, "session_key": "s", "roles": ["coder"], "workspace_dir": "/w", "data_dir": "/d",
                "project_ids": [project] }),
        ),
        post(format!("/api/runs/{run}/reports"), with(json!({ "reports": [] }))),
        post(format!("/api/runs/{run}/heartbeat"), lease.clone()),
        post(
            format!("/api/runs/{run}/output"),
            with(json!({ "project_id": project, "first_line_number": 1, "lines": [] })),
        ),
    ];
    for (action, body) in [
        ("approve", json!({})),
        ("reject", json!({ "reason": "no" })),
        ("retry", json!({})),
        ("cancel", json!({})),
        ("dispatch", json!({})),
        ("prompt", json!({ "message": "x", "expected_sequence": 1 })),
        ("answer", json!({ "question_id": run, "answer": "42" })),
        ("move", json!({ "status": "blocked" })),
        ("artifacts", json!({ "kind": "link", "path": "https://example.org" })),
    ] {
        requests.push(post(format!("/api/projects/{project}/tasks/{task}/{action}"), body.clone()));
        requests.push(post(format!("/api/tasks/{task}/{action}"), body));
    }
    for command in commands(task) {
        requests.push(post("/api/commands".to_owned(), json!({ "project_id": project, "command": command })));
        if command.get("task_id").is_some() && command["type"] != "create_task" {
            requests.push(post("/api/commands".to_owned(), json!({ "command": command })));
        }
    }
    requests
}

#[tokio::test]
async fn a_stranger_cannot_tell_what_exists_from_what_does_not() {
    let app = App::start().await;
    let project = app.project().await;
    let task = app.task(project, "Secret").await;
    let there = requests(project, task);
    let nowhere = requests(ProjectId(Uuid::now_v7()), TaskId(Uuid::now_v7()));
    let before = app.events().await.len();
    for ((method, path, body), (_, no_path, no_body)) in there.iter().zip(&nowhere) {
        let foreign = app.send(BOB, method.clone(), path, None, Some(&body.to_string())).await;
        let unknown = app.send(BOB, method.clone(), no_path, None, Some(&no_body.to_string())).await;
        foreign.refused(403, "forbidden");
        assert_eq!((foreign.status, &foreign.body), (unknown.status, &unknown.body), "{method} {path} {body}");
        let names = |answer: &crate::support::Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&foreign), names(&unknown), "{method} {path}");
    }
    let both: Vec<_> = [&there, &nowhere]
        .map(|requests| {
            let commands = requests.iter().filter(|(_, path, _)| path == "/api/commands");
            json!(commands.map(|(_, _, body)| body).collect::<Vec<_>>())
        })
        .into();
    let foreign = app.post_as(BOB, "/api/commands/batch", &both[0]).await.ok();
    let unknown = app.post_as(BOB, "/api/commands/batch", &both[1]).await.ok();
    assert_eq!(foreign.body, unknown.body);
    assert!(foreign.body.as_array().unwrap().iter().all(|result| result["problem"]["code"] == "forbidden"));
    assert_eq!(app.events().await.len(), before, "nothing of it is in the log");
}

#[tokio::test]
async fn the_id_of_a_strangers_project_is_not_to_be_had() {
    let app = App::start().await;
    let project = app.project().await;
    let before = app.events().await;
    let body = json!({ "project_id": project, "name": "Mine", "repository_path": "/repo" });
    let foreign = app.post_as(BOB, "/api/projects", &body).await;
    let other = app.post_as(BOB, &format!("/api/projects/{}/dispatch", ProjectId(Uuid::now_v7())), &json!({})).await;
    assert_eq!(foreign.refused(403, "forbidden").body, other.body, "as every command on what is not there");
    let command = json!({ "type": "create_project", "name": "Mine", "repository_path": "/repo" });
    let request = json!({ "project_id": project, "command": command });
    assert_eq!(app.post_as(BOB, "/api/commands", &request).await.refused(403, "forbidden").body, other.body);
    let batch = app.post_as(BOB, "/api/commands/batch", &json!([request])).await.ok();
    assert_eq!(batch.body[0]["problem"], other.body);
    // What creates nothing in any case tells nothing about the id.
    for wrong in [json!({ "repository_path": "repo" }), json!({ "default_branch": "" })] {
        let create = |id: ProjectId| {
            let mut body = body.clone();
            body["project_id"] = json!(id);
            body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            body
        };
        let taken = app.post_as(BOB, "/api/projects", &create(project)).await;
        let free = app.post_as(BOB, "/api/projects", &create(ProjectId(Uuid::now_v7()))).await;
        assert_eq!((taken.status, &taken.body), (free.status, &free.body));
        assert!(taken.status.is_client_error());
    }
    assert_eq!(app.events().await, before);
    app.post("/api/projects", &body).await.refused(409, "project_exists");
    app.post_as(ROOT, "/api/projects", &body).await.refused(409, "project_exists");
}

/// Bob's project with a task of the same id; in each partition in turn.
async fn twins(app: &App, task: TaskId) -> Vec<ProjectId> {
    let mut twins = Vec::new();
    let mut partitions = std::collections::BTreeSet::new();
    while partitions.len() < PARTITIONS as usize {
        let body = json!({ "name": "Twin", "repository_path": "/repo" });
        let project = app.post_as(BOB, "/api/projects", &body).await.ok().body["project_id"].clone();
        let project: ProjectId = serde_json::from_value(project).unwrap();
        if partitions.insert(app.log.partition_for(project)) {
            let body = json!({ "title": "Twin", "task_id": task });
            app.post_as(BOB, &format!("/api/projects/{project}/tasks"), &body).await.ok();
            twins.push(project);
        }
    }
    twins
}

#[tokio::test]
async fn a_task_of_the_same_id_in_a_strangers_project_is_not_in_the_way() {
    let app = App::start().await;
    let project = app.project().await;
    let task = app.task(project, "Mine").await;
    let twins = twins(&app, task).await;
    let prompt = format!("/api/tasks/{task}/prompt");
    let mine = app.post(&prompt, &json!({ "message": "x" })).await.ok();
    assert_eq!(mine.body["project_id"], json!(project));
    let command = json!({ "command": { "type": "inject_prompt", "task_id": task, "message": "x" } });
    assert_eq!(app.post("/api/commands", &command).await.ok().body["project_id"], json!(project));

    // Whoever may know of several has to say which.
    for user in [BOB, ROOT] {
        let several = app.post_as(user, &prompt, &json!({ "message": "x" })).await;
        assert_eq!(several.refused(400, "invalid_argument").body["field"], "task_id");
        let path = format!("/api/projects/{}/tasks/{task}/prompt", twins[0]);
        let said = app.post_as(user, &path, &json!({ "message": "x" })).await.ok();
        assert_eq!(said.body["project_id"], json!(twins[0]));
    }
}

#[tokio::test]
async fn a_report_finds_the_task_that_has_its_run() {
    let app = App::start().await;
    let project = app.project().await;
    let task = app.task(project, "Mine").await;
    let mut projects = twins(&app, task).await;
    projects.push(project);
    for project in projects {
        let body = json!({ "session_id": Uuid::now_v7(), "session_key": "s", "roles": ["planner"], "workspace_dir": "/w",
            "data_dir": "/d", "project_ids": [project] });
        let order = app.post_as(ROOT, "/api/claims", &body).await.ok().body;
        assert_eq!((&order["task_id"], &order["project_id"]), (&json!(task), &json!(project)));
        let run = order["run_id"].as_str().unwrap();
        let lease = json!({ "task_id": task, "fencing_token": order["fencing_token"] });
        app.post_as(ROOT, &format!("/api/runs/{run}/heartbeat"), &lease).await.ok();
        let mut report = lease.clone();
        report["reports"] = json!([{ "type": "progress", "message": "m", "percent": 1 }]);
        let reported = app.post_as(ROOT, &format!("/api/runs/{run}/reports"), &report).await.ok();
        assert_eq!(reported.body["project_id"], json!(project));
    }
}

#[tokio::test]
async fn members_and_admins_are_told() {
    let app = App::start().await;
    let (project, none) = (app.project().await, ProjectId(Uuid::now_v7()));
    let (task, no_task) = (app.task(project, "Secret").await, TaskId(Uuid::now_v7()));
    let own = app.post(&format!("/api/projects/{project}/tasks/{no_task}/cancel"), &json!({})).await;
    assert_eq!(own.refused(404, "task_not_found").body["id"], json!(no_task));
    app.post_as(ROOT, &format!("/api/tasks/{no_task}/cancel"), &json!({})).await.refused(404, "task_not_found");
    app.post_as(ROOT, &format!("/api/projects/{none}/dispatch"), &json!({})).await.refused(404, "project_not_found");
    app.post_as(ROOT, &format!("/api/tasks/{task}/cancel"), &json!({})).await.ok();
}

#[tokio::test]
async fn a_task_of_another_project_is_none_of_this_one() {
    let app = App::start().await;
    let (project, other) = (app.project().await, app.project().await);
    let (foreign, no_task) = (app.task(other, "There").await, TaskId(Uuid::now_v7()));
    for command in commands(foreign).iter().filter(|command| command.get("task_id").is_some()) {
        if command["type"] == "create_task" {
            continue;
        }
        let mut unknown = command.clone();
        unknown["task_id"] = json!(no_task);
        let request = |command: &Value| json!({ "project_id": project, "command": command });
        let there = app.post("/api/commands", &request(command)).await;
        let nowhere = app.post("/api/commands", &request(&unknown)).await;
        there.refused(404, "task_not_found");
        let strip = |body: &Value, id: TaskId| body.to_string().replace(&id.to_string(), "id");
        assert_eq!(strip(&there.body, foreign), strip(&nowhere.body, no_task), "{command}");
    }
}
