//! A runner that was killed, and the one that comes after it.

use std::process::{Command, Stdio};

use muster_client::domain::id::{ProjectId, RunId, TaskId};
use muster_runner::control::Lease;
use muster_runner::git::Repository;
use muster_runner::layout::Layout;
use muster_runner::record::SessionRecord;
use serde_json::json;
use uuid::Uuid;

use crate::support::{World, marked_processes, settings};

#[tokio::test(flavor = "multi_thread")]
async fn processes_and_worktrees_of_a_dead_runner_are_removed_at_the_start() {
    let mut world = World::new(&json!({}), settings(&[]));
    let session_id = Uuid::now_v7();
    let session = Layout::create(world.data.path()).unwrap().session(session_id);
    session.create().unwrap();
    let lease = Lease {
        project_id: ProjectId(Uuid::now_v7()),
        task_id: TaskId(Uuid::now_v7()),
        run_id: RunId(Uuid::now_v7()),
        fencing_token: 1,
    };
    let repository = Repository::open(world.repository.path()).await.unwrap();
    let tip = repository.tip_of("main").await.unwrap();
    let tree = repository.add_worktree(&session.workspace(), &tip).await.unwrap();
    SessionRecord::new(session_id, lease, world.repository.path()).note(&tree, &session).unwrap();
    let mut orphan = Command::new("sleep")
        .arg("600")
        .env("MUSTER_SESSION_ID", session_id.to_string())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(world.repository.worktrees().len(), 1);
    assert_eq!(marked_processes(&session_id.to_string()).len(), 1);

    let card = world.card("After", &[]);
    world.run_until(card, "done").await;
    assert_eq!(marked_processes(&session_id.to_string()), Vec::<String>::new());
    orphan.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_has_one_runner() {
    let mut world = World::new(&json!({}), settings(&[]));
    let card = world.card("First", &[]);
    world.start();
    world.until(|plane| plane.task(card).status.as_str() == "done").await;
    let second = muster_runner::run(world.settings.clone(), world.plane.clone(), muster_service_kit::Shutdown::new());
    let error = second.await.unwrap_err().to_string();
    assert!(error.contains("another runner uses it"), "{error}");
    world.stop().await;
}
