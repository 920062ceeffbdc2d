//! Plain WebSockets for the queue and for a task.

use muster_domain::command::{AddMember, CancelTask, RemoveMember, Report};
use muster_domain::model::{MemberRole, Priority, Role};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

use crate::support::{Server, Socket, World};

#[tokio::test]
async fn the_queue_is_told_under_its_own_names() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let mut socket = server.plain_socket("ada", &format!("/ws/projects/{project}?after=0")).await.unwrap();
    assert_eq!(socket.receive().await, json!({ "event": "connected", "position": 0 }));
    let task = world.task("ada", project, "This", Priority::Urgent).await;
    world.claim(project, &[Role::Planner]).await;
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "work:assigned") {
        let message = socket.receive().await;
        assert!(message["position"].as_u64().unwrap() > 1);
        names.push(message["event"].as_str().unwrap().to_owned());
        if names.len() == 1 {
            assert_eq!(message["task_id"], json!(task));
        }
    }
    assert_eq!(names[0], "work:added");
    assert!(names.contains(&"agent:spawned".to_owned()), "{names:?}");
}

#[tokio::test]
async fn a_task_is_followed_with_its_logs_to_its_end() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "This", Priority::Urgent).await;
    world.task("ada", project, "Other", Priority::Low).await;
    let mut socket = server.plain_socket("ada", &format!("/ws/{task}")).await.unwrap();
    assert_eq!(socket.receive().await["type"], "connected");
    let (_, claim) = world.claim(project, &[Role::Planner]).await;
    world.output(project, task, claim.run_id, 1..2).await;
    let log = until(&mut socket, "agent_log").await;
    assert_eq!((&log["agent_name"], &log["message"]), (&json!("planner"), &json!("line 1")));
    let progress = Report::Progress { message: "half".to_owned(), percent: Some(50) };
    world.report(project, task, &claim, vec![progress]).await;
    loop {
        let message = until(&mut socket, "progress").await;
        if message["message"] == "half" {
            assert_eq!((&message["phase"], &message["progress"]), (&json!("planner"), &json!(0.5)));
            break;
        }
    }
    world.send("ada", project, CancelTask { task_id: task, reason: None }).await;
    assert_eq!(until(&mut socket, "task_complete").await["status"], "cancelled");
}

#[tokio::test]
async fn who_follows_a_task_and_does_not_read_takes_nothing_from_others() {
    let world = World::with_connections(1).await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let before = world.position(project).await;
    world.task("ada", project, "This", Priority::Urgent).await;
    let (task, planner) = world.plan(project).await;
    world.approve("ada", project, task).await;
    let (of, coder) = world.claim(project, &[Role::Coder]).await;
    assert_eq!(of, task);
    for run in [planner, coder.run_id] {
        world.wide_output(project, task, run, 1..11, 16 * 1024).await;
    }
    // Runs that have ended are followed from their first line, as one after the other is told of.
    world.send("ada", project, CancelTask { task_id: task, reason: None }).await;
    let mut socket = server.plain_narrow("ada", &format!("/ws/{task}?after={before}")).await;
    until(&mut socket, "agent_log").await;

    // From here on nobody reads. Whoever asks is answered, as often as there are connections and once more.
    for _ in 0..2 {
        let answer = server.get("ada", &format!("/api/projects/{project}/active-runs")).await;
        assert_eq!(answer.status(), 200);
    }

    // Whoever goes on reading misses nothing.
    for _ in 1..20 {
        until(&mut socket, "agent_log").await;
    }
}

#[tokio::test]
async fn strangers_do_not_get_in_and_the_removed_are_shown_out() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "This", Priority::Urgent).await;
    for path in [
        format!("/ws/projects/{project}"),
        format!("/ws/projects/{}", Uuid::now_v7()),
        format!("/ws/{task}"),
        format!("/ws/{}", Uuid::now_v7()),
    ] {
        assert_eq!(server.plain_socket("eve", &path).await.err(), Some(403), "{path}");
    }
    let bob = || "bob".to_owned();
    world.send("ada", project, AddMember { user: bob(), role: MemberRole::Viewer }).await;
    let mut socket = server.plain_socket("bob", &format!("/ws/projects/{project}")).await.unwrap();
    assert_eq!(socket.receive().await["event"], "connected");
    world.send("ada", project, RemoveMember { user: bob() }).await;
    assert_eq!(socket.receive().await, json!({ "closed": 1008 }));
    let mut socket = server.plain_socket("ada", &format!("/ws/projects/{project}")).await.unwrap();
    assert_eq!(socket.receive().await["event"], "connected");
    server.shutdown.trigger();
    assert_eq!(socket.receive().await, json!({ "closed": 1012 }));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_dashboards_to_leave() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let mut queue = server.plain_socket("ada", &format!("/ws/projects/{project}")).await.unwrap();
    assert_eq!(queue.receive().await["event"], "connected");
    let document = "subscription($project: ID!) { events(projectId: $project, after: 0) { position } }";
    let mut subscribed = server.subscribe("ada", document, json!({ "project": project })).await;
    assert_eq!(subscribed.receive().await["type"], "next");
    // Neither reads on, nor closes.
    server.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_client_that_does_not_read() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "This", Priority::Urgent).await;
    let client = server.narrow_socket("ada", &format!("/ws/{task}")).await;
    let (_, claim) = world.claim(project, &[Role::Planner]).await;
    // More than the system takes for a client that has room for little.
    world.wide_output(project, task, claim.run_id, 1..101, 60_000).await;
    client.fills().await;
    server.stop().await;
}

async fn until<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>, kind: &str) -> serde_json::Value {
    loop {
        let message = socket.receive().await;
        assert!(message.get("closed").is_none(), "{message}");
        if message["type"] == kind {
            return message;
        }
    }
}
