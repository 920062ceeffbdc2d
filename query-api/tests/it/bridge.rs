//! Tasks and events over plain HTTP.

use muster_domain::model::Priority;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Server, Stream, World};

#[tokio::test]
async fn tasks_states_and_events_are_read() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    world.task("ada", project, "Low", Priority::Low).await;
    let task = world.task("ada", project, "Urgent", Priority::Urgent).await;
    let hidden = world.project("eve").await;
    world.task("eve", hidden, "Hidden", Priority::Urgent).await;

    let tasks: Value = server.get("ada", "/tasks").await.json().await.unwrap();
    let titles: Vec<_> = tasks["tasks"].as_array().unwrap().iter().map(|task| task["title"].clone()).collect();
    assert_eq!(titles, ["Urgent", "Low"]);
    assert_eq!(tasks["tasks"][0]["priority"], "urgent");

    // The project is chosen before the rows are counted.
    let second = world.project("ada").await;
    world.task("ada", second, "Of the second", Priority::Low).await;
    let tasks: Value = server.get("ada", &format!("/tasks?project_id={second}&limit=1")).await.json().await.unwrap();
    assert_eq!(tasks["tasks"][0]["title"], "Of the second", "{tasks}");
    let tasks: Value = server.get("ada", &format!("/tasks?project_id={hidden}")).await.json().await.unwrap();
    assert_eq!(tasks["tasks"], json!([]));

    let now = world.task_state(project, task).await;
    let state: Value = server.get("ada", &format!("/tasks/{task}/state")).await.json().await.unwrap();
    assert_eq!(state, serde_json::to_value(&now).unwrap());
    let then: Value = server.get("ada", &format!("/tasks/{task}/state?sequence=1")).await.json().await.unwrap();
    assert_eq!(then["sequence"], 1);

    let events: Value = server.get("ada", &format!("/events/{task}?after=1&limit=1")).await.json().await.unwrap();
    assert_eq!(events["events"][0]["sequence"], 2);
    assert_eq!(events["has_more"], now.sequence > 2);
    serde_json::from_value::<muster_domain::event::Event>(events["events"][0].clone()).unwrap();

    for path in ["/tasks/{}/state", "/events/{}", "/events/{}/stream"] {
        for id in [task.0, Uuid::now_v7()] {
            let response = server.get("eve", &path.replace("{}", &id.to_string())).await;
            assert_eq!(response.status(), 403, "{path}");
            assert_eq!(response.json::<Value>().await.unwrap()["code"], "forbidden");
        }
    }
    assert_eq!(server.get("nobody", "/tasks").await.status(), 401);
    let by_address = server.http.get(format!("{}/tasks?token=ada", server.url)).send().await.unwrap();
    assert_eq!(by_address.status(), 200);
}

#[tokio::test]
async fn a_stream_resumes_where_it_was_left() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let other = world.task("ada", project, "Other", Priority::Low).await;
    let task = world.task("ada", project, "This", Priority::Urgent).await;
    let path = format!("/events/{task}/stream");
    let mut stream = Stream::new(server.get("ada", &path).await);
    let first = stream.next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["type"]), ("message", &json!("task.created")));
    assert_eq!(first.data["sequence"], 1);
    assert_eq!(first.id, first.data["position"].as_u64());
    drop(stream);

    world.plan(project).await;
    let request = server.http.get(format!("{}{path}", server.url)).bearer_auth("ada");
    let response = request.header("last-event-id", first.id.unwrap()).send().await.unwrap();
    let mut stream = Stream::new(response);
    world.task("ada", project, "Another", Priority::Low).await;
    world.approve("ada", project, task).await;
    let end = world.task_state(project, task).await.sequence;
    for sequence in 2..=end {
        let message = stream.next().await.unwrap();
        assert_eq!(message.data["sequence"], sequence);
        assert_eq!(message.data["task_id"], json!(task));
        assert_ne!(message.data["task_id"], json!(other));
    }
    let wrong = server.http.get(format!("{}{path}", server.url)).bearer_auth("ada");
    assert_eq!(wrong.header("last-event-id", "x").send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_published_decision_becomes_a_command() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "This", Priority::Urgent).await;
    world.plan(project).await;
    let publish = async |body: Value, key: Option<Uuid>| {
        let mut request = server.http.post(format!("{}/events", server.url)).bearer_auth("ada").json(&body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key.to_string());
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let key = Uuid::now_v7();
    let body = json!({ "type": "user.approved_plan", "task_id": task });
    let (status, outcome) = publish(body.clone(), Some(key)).await;
    assert_eq!((status, &outcome["task_id"]), (202, &json!(task)), "{outcome}");
    assert_eq!(outcome["command_id"], json!(key));
    assert_eq!(publish(body.clone(), Some(key)).await, (202, outcome));
    assert_eq!(publish(body, None).await.0, 409);
    let (_, problem) = publish(json!({ "type": "user.injected_prompt", "task_id": task }), None).await;
    assert_eq!((&problem["code"], &problem["field"]), (&json!("invalid_body"), &json!("data.message")));
    for body in [
        json!({ "type": "task.created", "task_id": task }),
        json!({ "type": "user.approved_plan", "task_id": task, "sequence": 4 }),
        json!({ "type": "user.approved_plan", "task_id": "x" }),
    ] {
        assert_eq!(publish(body, None).await.0, 400);
    }
    let body = json!({ "type": "user.injected_prompt", "task_id": task, "data": { "message": "Use v2" } });
    assert_eq!(publish(body, None).await.0, 202);
    assert_eq!(world.task_state(project, task).await.prompts, ["Use v2"]);
}
