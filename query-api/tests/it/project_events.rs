//! A project's hub over server-sent events.

use std::time::Duration;

use axum::body::BodyDataStream;
use futures::StreamExt;
use muster_domain::command::{AddMember, RemoveMember};
use muster_domain::id::ProjectId;
use muster_domain::model::{MemberRole, Priority, Role};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Server, Stream, World};

#[tokio::test]
async fn connected_comes_first_with_the_active_runs_then_every_event() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "This", Priority::Urgent).await;
    let (_, claim) = world.claim(project, &[Role::Planner]).await;
    let path = format!("/api/projects/{project}/events");
    let mut stream = Stream::new(server.get("ada", &path).await);
    let connected = stream.next().await.unwrap();
    let position = world.position(project).await;
    assert_eq!((connected.event.as_str(), connected.id), ("connected", Some(position)));
    assert_eq!(connected.data["active_runs"][0]["run_id"], json!(claim.run_id));
    assert_eq!(connected.data["active_runs"][0]["task_id"], json!(task));
    world.task("ada", project, "New", Priority::Low).await;
    let message = stream.next().await.unwrap();
    assert_eq!((message.event.as_str(), message.id), ("task.created", Some(position + 1)));
    drop(stream);

    let request = server.http.get(format!("{}{path}", server.url)).bearer_auth("ada");
    let mut stream = Stream::new(request.header("last-event-id", 1).send().await.unwrap());
    assert_eq!(stream.next().await.unwrap().event, "connected");
    let end = world.position(project).await;
    for position in 2..=end {
        assert_eq!(stream.next().await.unwrap().id, Some(position));
    }
    let runs: Value = server.get("ada", &format!("/api/projects/{project}/active-runs")).await.json().await.unwrap();
    assert_eq!(runs["active_runs"][0]["role"], "planner");
}

#[tokio::test]
async fn logs_of_chosen_runs_come_along() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "This", Priority::Urgent).await;
    let (_, claim) = world.claim(project, &[Role::Planner]).await;
    world.output(project, task, claim.run_id, 1..4).await;
    let path = format!("/api/projects/{project}/events?subscribe_logs={}:1", claim.run_id);
    let mut chosen = Stream::new(server.get("ada", &path).await);
    let mut all = Stream::new(server.get("ada", &format!("/api/projects/{project}/events?subscribe_logs=all")).await);
    for stream in [&mut chosen, &mut all] {
        assert_eq!(stream.next().await.unwrap().event, "connected");
    }
    world.output(project, task, claim.run_id, 4..6).await;
    for (stream, lines) in [(&mut chosen, 2..6), (&mut all, 4..6)] {
        for line_number in lines {
            let message = stream.next().await.unwrap();
            assert_eq!((message.event.as_str(), message.id), ("agent.log", None));
            assert_eq!(message.data["line_number"], line_number);
        }
    }
    let foreign = world.project("eve").await;
    let path = format!("/api/projects/{foreign}/events?subscribe_logs={}", claim.run_id);
    assert_eq!(server.get("eve", &path).await.status(), 404);
    let path = format!("/api/projects/{project}/events?subscribe_logs=nonsense");
    assert_eq!(server.get("ada", &path).await.status(), 400);
}

#[tokio::test]
async fn who_follows_many_logs_and_does_not_read_takes_nothing_from_others() {
    let world = World::with_connections(2).await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let runs = world.talkative_runs("ada", project, 20, 3, 0).await;
    let runs: Vec<_> = runs.iter().map(ToString::to_string).collect();
    let path = format!("/api/projects/{project}/events?subscribe_logs={}", runs.join(","));
    let mut body = server.body("ada", &path).await;
    let mut text = String::new();
    let more = async |body: &mut BodyDataStream| {
        let chunk = tokio::time::timeout(Duration::from_secs(30), body.next()).await.expect("no line in time");
        String::from_utf8(chunk.unwrap().unwrap().to_vec()).unwrap()
    };
    while !text.contains("agent.log") {
        text += &more(&mut body).await;
    }

    // From here on nobody reads. Whoever asks is answered, as often as there are connections and once more.
    for _ in 0..3 {
        let answer = server.get("ada", &format!("/api/projects/{project}/active-runs")).await;
        assert_eq!(answer.status(), 200);
    }

    // Whoever goes on reading misses nothing.
    while text.matches("event: agent.log").count() < 60 {
        text += &more(&mut body).await;
    }
}

#[tokio::test]
async fn a_line_that_a_finished_run_never_wrote_is_refused() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    world.task("ada", project, "Done", Priority::Urgent).await;
    let (task, over) = world.plan(project).await;
    world.output(project, task, over, 1..4).await;
    world.task("ada", project, "Live", Priority::Low).await;
    let (_, live) = world.claim(project, &[Role::Planner]).await;
    let follow =
        async |logs: String| server.get("ada", &format!("/api/projects/{project}/events?subscribe_logs={logs}")).await;

    let refused = follow(format!("{}:99,{over}:4", live.run_id)).await;

    assert_eq!(refused.status(), 409);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!((&problem["code"], &problem["current_line_number"]), (&json!("sequence_from_future"), &json!(3)));
    for logs in [format!("{over}:3"), format!("{over}:1"), format!("{}:99", live.run_id)] {
        assert_eq!(follow(logs.clone()).await.status(), 200, "{logs}");
    }
}

#[tokio::test]
async fn strangers_and_too_many_are_refused() {
    let world = World::new().await;
    let server = Server::start_with(&world, |config| config.query.sse_max_connections_per_user = 2).await;
    let project = world.project("ada").await;
    for hidden in [project, ProjectId(Uuid::now_v7())] {
        for path in ["events", "active-runs"] {
            assert_eq!(server.get("eve", &format!("/api/projects/{hidden}/{path}")).await.status(), 403);
        }
    }
    let path = format!("/api/projects/{project}/events");
    let first = server.get("ada", &path).await;
    let second = server.get("ada", &path).await;
    let third = server.get("ada", &path).await;
    assert_eq!(
        (first.status(), second.status(), third.status()),
        (200.try_into().unwrap(), 200.try_into().unwrap(), 429.try_into().unwrap())
    );
    assert_eq!(third.json::<Value>().await.unwrap()["code"], "too_many_connections");
    drop(first);
    muster_test_kit::eventually(Duration::from_secs(30), || async { server.get("ada", &path).await.status() == 200 })
        .await;
}

#[tokio::test]
async fn a_stream_lives_by_its_heartbeat_and_ends_with_membership_time_or_service() {
    let world = World::new().await;
    let server = Server::start_with(&world, |config| config.query.sse_heartbeat_s = 1).await;
    let project = world.project("ada").await;
    let path = format!("/api/projects/{project}/events");
    let mut stream = Stream::new(server.get("ada", &path).await);
    assert_eq!(stream.next_of_any_kind().await.unwrap().event, "connected");
    assert_eq!(stream.next_of_any_kind().await.unwrap().event, "heartbeat");

    let bob = || "bob".to_owned();
    world.send("ada", project, AddMember { user: bob(), role: MemberRole::Viewer }).await;
    let mut removed = Stream::new(server.get("bob", &path).await);
    assert_eq!(removed.next().await.unwrap().event, "connected");
    world.send("ada", project, RemoveMember { user: bob() }).await;
    let last = removed.next().await.unwrap();
    assert_eq!((last.event.as_str(), &last.data["code"]), ("failed", &json!("forbidden")));
    assert_eq!(removed.next().await, None);

    server.shutdown.trigger();
    while stream.next().await.is_some() {}

    let short = Server::start_with(&world, |config| config.query.sse_connection_timeout_m = 0).await;
    let mut stream = Stream::new(short.get("ada", &path).await);
    assert_eq!(stream.next().await.unwrap().event, "connected");
    assert_eq!(stream.next().await, None);
}
