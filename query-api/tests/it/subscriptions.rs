//! What is told live: once, in order, from anywhere, whatever others do.

use std::sync::Arc;
use std::time::Duration;

use muster_domain::command::{AddMember, RemoveMember};
use muster_domain::id::ProjectId;
use muster_domain::model::{MemberRole, Priority};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Server, Socket, World};

const EVENTS: &str = "subscription($project: ID!, $after: Int) {
    events(projectId: $project, after: $after) { position type taskId data } }";

async fn follow(server: &Server, project: ProjectId, after: u64) -> Socket {
    server.subscribe("ada", EVENTS, json!({ "project": project, "after": after })).await
}

async fn positions(socket: &mut Socket, until: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    while seen.last() != Some(&until) {
        seen.push(socket.next().await["events"]["position"].as_u64().unwrap());
    }
    seen
}

#[tokio::test]
async fn history_first_then_live_without_gap_or_repetition_while_others_write() {
    let world = World::new().await;
    // A ring far smaller than the history, so that subscribers have to change over from one to the other.
    // Some begin ahead of what is written, and wait for it, on a busy machine for long.
    let busy = |config: &mut muster_service_kit::Config| {
        config.query.subscriber_buffer = 5;
        config.query.min_position_timeout_ms = 60_000;
    };
    let server = Arc::new(Server::start_with(&world, busy).await);
    let project = world.project("ada").await;
    world.task("ada", project, "first", Priority::Low).await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                for n in 0..25 {
                    world.task("ada", project, &format!("{writer} {n}"), Priority::Low).await;
                }
            })
        })
        .collect();
    let mut readers = Vec::new();
    for after in [0, 1, 3, 17, 40] {
        let server = Arc::clone(&server);
        let world = Arc::clone(&world);
        readers.push(tokio::spawn(async move {
            // Reconnects a few times, each time from where it was.
            let mut seen = Vec::new();
            let mut last = after;
            for stop in [25, 60, 100] {
                let mut socket = follow(&server, project, last).await;
                seen.extend(positions(&mut socket, stop.max(last + 1)).await);
                last = *seen.last().unwrap();
            }
            let mut socket = follow(&server, project, last).await;
            muster_test_kit::eventually(Duration::from_mins(1), || async { world.position(project).await >= 200 })
                .await;
            let end = 200;
            seen.extend(positions(&mut socket, end).await);
            assert_eq!(seen, (after + 1..=end).collect::<Vec<_>>());
        }));
    }
    for task in writers.into_iter().chain(readers) {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_holds_up_nobody_and_misses_nothing() {
    let world = World::new().await;
    let server = Server::start_with(&world, |config| config.query.subscriber_buffer = 10).await;
    let project = world.project("ada").await;
    let mut slow = follow(&server, project, 0).await;
    let mut quick = follow(&server, project, 0).await;
    assert_eq!(positions(&mut slow, 1).await, [1]);
    let text = "x".repeat(30_000);
    for n in 0..100 {
        let command = muster_domain::command::CreateTask {
            task_id: None,
            title: format!("task {n}"),
            description: text.clone(),
            acceptance_criteria: Vec::new(),
            priority: Priority::Low,
            complexity: muster_domain::model::Complexity::S,
            blocked_by: Vec::new(),
            interactive: false,
        };
        world.send("ada", project, command).await;
    }
    let end = world.position(project).await;
    // The quick one gets everything while the slow one has read nothing of it.
    assert_eq!(positions(&mut quick, end).await, (1..=end).collect::<Vec<_>>());
    assert_eq!(positions(&mut slow, end).await, (2..=end).collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_position_it_starts_now_and_ahead_it_waits() {
    let world = World::new().await;
    let server = Server::start_with(&world, |config| config.query.min_position_timeout_ms = 20_000).await;
    let project = world.project("ada").await;
    world.task("ada", project, "old", Priority::Low).await;
    let end = world.position(project).await;
    let document = "subscription($project: ID!) { events(projectId: $project) { position } }";
    let mut live = server.subscribe("ada", document, json!({ "project": project })).await;
    let mut ahead = follow(&server, project, end + 1).await;
    // The subscription is in place once an event reaches it; write until then.
    let writing = tokio::spawn({
        let world = Arc::clone(&world);
        async move {
            loop {
                world.task("ada", project, "new", Priority::Low).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    assert!(live.next().await["events"]["position"].as_u64().unwrap() > end);
    writing.abort();
    assert_eq!(positions(&mut ahead, end + 2).await, [end + 2]);
}

#[tokio::test]
async fn a_position_from_the_future_is_refused_wherever_it_is_named() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "old", Priority::Low).await;
    let current = world.position(project).await;
    let changes = "subscription($project: ID!, $after: Int) { taskChanged(projectId: $project, after: $after) { id } }";
    for document in [EVENTS, changes] {
        let variables = json!({ "project": project, "after": 99_999_999 });
        let mut socket = server.subscribe("ada", document, variables).await;
        let refused = socket.receive().await;
        assert_eq!(code(&refused), "SEQUENCE_FROM_FUTURE", "{refused}");
        let errors = refused["payload"].get("errors").unwrap_or(&refused["payload"]);
        assert_eq!(errors[0]["extensions"]["current_position"], current);
    }
    for path in [format!("/api/projects/{project}/events"), format!("/events/{task}/stream")] {
        let by_header = server.http.get(format!("{}{path}", server.url)).header("last-event-id", 99_999_999);
        let by_query = server.http.get(format!("{}{path}?after={}", server.url, current + 1));
        for request in [by_header, by_query] {
            let response = request.bearer_auth("ada").send().await.unwrap();
            assert_eq!(response.status(), 409, "{path}");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["code"], "sequence_from_future");
            assert_eq!(problem["current_position"], current);
        }
        // Where it is, is no future.
        let at_the_end = server.get("ada", &format!("{path}?after={current}")).await;
        assert_eq!(at_the_end.status(), 200, "{path}");
    }
    let listed = server.get("ada", &format!("/events/{task}?after=99999999")).await;
    assert_eq!(listed.status(), 409);
    let problem: Value = listed.json().await.unwrap();
    assert_eq!(problem["code"], "sequence_from_future");
    let sequence = problem["current_sequence"].as_u64().unwrap();
    let at_the_end: Value = server.get("ada", &format!("/events/{task}?after={sequence}")).await.json().await.unwrap();
    assert_eq!(at_the_end["events"], json!([]));
    for path in [format!("/ws/projects/{project}?after=99999999"), format!("/ws/{task}?after=99999999")] {
        assert_eq!(server.plain_socket("ada", &path).await.err(), Some(409), "{path}");
    }
}

#[tokio::test]
async fn who_subscribes_often_and_does_not_read_takes_nothing_from_others() {
    let world = World::with_connections(2).await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let runs = world.talkative_runs("ada", project, 20, 10, 16 * 1024).await;
    let mut socket = server.connect_narrow(json!({ "authorization": "Bearer ada" })).await;
    assert_eq!(socket.receive().await["type"], "connection_ack");
    let document = "subscription($run: ID!) { agentOutput(runId: $run) { lineNumber content } }";
    for run in &runs {
        let payload = json!({ "query": document, "variables": { "run": run } });
        socket.send(&json!({ "id": run, "type": "subscribe", "payload": payload })).await;
    }
    socket.next().await;

    // From here on nobody reads. Whoever asks is answered, as often as there are connections and once more.
    for _ in 0..3 {
        let position =
            server.data("ada", "query($id: ID!) { project(id: $id) { position } }", json!({ "id": project }));
        assert_eq!(position.await["project"]["position"], world.position(project).await);
    }

    // Whoever goes on reading misses nothing.
    for _ in 1..200 {
        socket.next().await;
    }
}

#[tokio::test]
async fn a_socket_carries_so_many_operations_and_no_more() {
    let world = World::new().await;
    let server = Server::start_with(&world, |config| config.query.socket_max_operations = 2).await;
    let project = world.project("ada").await;
    let payload = json!({ "query": EVENTS, "variables": { "project": project, "after": 0 } });
    let begin = |id: &str| json!({ "id": id, "type": "subscribe", "payload": payload });
    let mut socket = server.subscribe("ada", EVENTS, json!({ "project": project, "after": 0 })).await;
    assert_eq!(socket.next().await["events"]["position"], 1);
    socket.send(&begin("2")).await;
    assert_eq!(socket.next().await["events"]["position"], 1);

    socket.send(&begin("3")).await;
    let refused = socket.receive().await;
    assert_eq!((&refused["id"], code(&refused)), (&json!("3"), json!("TOO_MANY_CONNECTIONS")));
    let over = socket.receive().await;
    assert_eq!((&over["id"], &over["type"]), (&json!("3"), &json!("complete")));

    // What ends makes room, by the client's will and by its own.
    socket.send(&json!({ "id": "1", "type": "complete" })).await;
    assert_eq!(socket.receive().await["type"], "complete");
    for id in ["4", "5"] {
        let query = json!({ "query": "{ projects { id } }" });
        socket.send(&json!({ "id": id, "type": "subscribe", "payload": query })).await;
        assert_eq!(socket.next().await["projects"], json!([{ "id": project }]));
        assert_eq!(socket.receive().await["type"], "complete");
    }
}

#[tokio::test]
async fn a_subscription_is_to_one_field() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    for fields in [
        "a: events(projectId: $project) { position } b: events(projectId: $project) { position }",
        "events(projectId: $project) { position } ...More",
    ] {
        let document = format!(
            "subscription($project: ID!) {{ {fields} }}
             fragment More on Subscription {{ taskChanged(projectId: $project) {{ id }} }}"
        );
        let mut socket = server.subscribe("ada", &document, json!({ "project": project })).await;
        let refused = socket.receive().await;
        assert_eq!(code(&refused), "INVALID_ARGUMENT");
        assert!(refused.to_string().contains("A subscription selects one field"), "{refused}");
    }
}

#[tokio::test]
async fn a_position_that_is_on_its_way_is_waited_for() {
    let world = World::new().await;
    let server = Arc::new(Server::start_with(&world, |config| config.query.min_position_timeout_ms = 20_000).await);
    let project = world.project("ada").await;
    world.hold_back().await;
    world.task("ada", project, "answered, not projected", Priority::Low).await;
    let known = world.position(project).await;
    let waiting = tokio::spawn({
        let server = Arc::clone(&server);
        async move { server.get("ada", &format!("/api/projects/{project}/events?after={known}")).await.status() }
    });
    world.catch_up().await;
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn events_of_one_task_only() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let first = world.task("ada", project, "first", Priority::Low).await;
    world.task("ada", project, "second", Priority::Low).await;
    let document = "subscription($project: ID!, $task: ID!) {
        events(projectId: $project, after: 0, taskId: $task) { taskId sequence } }";
    let mut socket = server.subscribe("ada", document, json!({ "project": project, "task": first })).await;
    let count = world.task_state(project, first).await.sequence;
    for sequence in 1..=count {
        assert_eq!(socket.next().await["events"], json!({ "taskId": first, "sequence": sequence }));
    }
}

#[tokio::test]
async fn a_changed_task_is_told_as_it_is_after_the_change() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "Write it", Priority::Low).await;
    let document = "subscription($project: ID!, $after: Int) { taskChanged(projectId: $project, after: $after) {
        id status sequence runs { role } } }";
    let after = world.position(project).await;
    let mut socket = server.subscribe("ada", document, json!({ "project": project, "after": after })).await;
    world.plan(project).await;
    let end = world.task_state(project, task).await.sequence;
    loop {
        let changed = socket.next().await["taskChanged"].take();
        assert_eq!(changed["id"], json!(task));
        if changed["sequence"] == end {
            assert_eq!(changed["status"], "PLAN_REVIEW");
            assert_eq!(changed["runs"], json!([{ "role": "PLANNER" }]));
            break;
        }
    }
}

#[tokio::test]
async fn output_is_followed_from_any_line() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    world.task("ada", project, "Write it", Priority::Low).await;
    let (task, run) = world.plan(project).await;
    world.output(project, task, run, 1..4).await;
    let document =
        "subscription($run: ID!, $after: Int) { agentOutput(runId: $run, after: $after) { lineNumber content } }";
    let mut ahead = server.subscribe("ada", document, json!({ "run": run, "after": 99_999 })).await;
    let refused = ahead.receive().await;
    assert_eq!(code(&refused), "SEQUENCE_FROM_FUTURE", "{refused}");
    let mut socket = server.subscribe("ada", document, json!({ "run": run, "after": 1 })).await;
    assert_eq!(socket.next().await["agentOutput"], json!({ "lineNumber": 2, "content": "line 2" }));
    world.output(project, task, run, 4..1500).await;
    for line_number in 3..1500 {
        assert_eq!(socket.next().await["agentOutput"]["lineNumber"], line_number);
    }
}

#[tokio::test]
async fn strangers_are_refused_and_the_removed_see_no_more() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    for hidden in [project, ProjectId(Uuid::now_v7())] {
        let mut socket = server.subscribe("eve", EVENTS, json!({ "project": hidden, "after": 0 })).await;
        assert_eq!(code(&socket.receive().await), "FORBIDDEN");
    }
    let bob = || "bob".to_owned();
    world.send("ada", project, AddMember { user: bob(), role: MemberRole::Viewer }).await;
    let mut socket = server.subscribe("bob", EVENTS, json!({ "project": project, "after": 0 })).await;
    assert_eq!(socket.next().await["events"]["position"], 1);
    assert_eq!(socket.next().await["events"]["position"], 2);
    world.send("ada", project, RemoveMember { user: bob() }).await;
    world.task("ada", project, "secret", Priority::Low).await;
    let end = socket.receive().await;
    assert_eq!(code(&end), "FORBIDDEN", "{end}");
    assert_eq!(socket.receive().await["type"], "complete");
}

fn code(message: &Value) -> Value {
    let errors = message["payload"].get("errors").unwrap_or(&message["payload"]);
    errors[0]["extensions"]["code"].clone()
}

#[tokio::test]
async fn subscriptions_also_come_as_server_sent_events() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let body = json!({ "query": EVENTS, "variables": { "project": project, "after": 0 } });
    let request = server.http.post(format!("{}/graphql", server.url)).bearer_auth("ada").json(&body);
    let mut response = request.header("accept", "text/event-stream").send().await.unwrap();
    let chunk = response.chunk().await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&chunk).into_owned();
    assert!(text.starts_with("event: next\ndata: {\"data\":{\"events\":{\"position\":1,"), "{text}");
}
