//! The server dies in the middle of a run, as when the machine loses power, and is started again.

use std::process::Stdio;

use muster_test_kit::eventually;
use muster_test_kit::process::spawn_attached;

use crate::demo::{Played, check_nothing_left, check_repository, demo_command};
use crate::support::WITHIN;
use crate::support::cli::Ran;
use crate::support::server::DevServer;

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_an_agent_works_it_ends_once_after_the_restart() {
    let server = DevServer::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.jsonl");
    let mut demo = demo_command(&server, folder.path());
    demo.stdout(std::fs::File::create(&out).unwrap()).stderr(Stdio::inherit());
    let mut demo = spawn_attached(demo).unwrap();

    // The planner's agent and the first coder's have started: the coder is at work.
    let started = || std::fs::read_to_string(&out).unwrap_or_default().matches("\"agent.started\"").count();
    eventually(WITHIN, || async { started() >= 2 }).await;
    let port = server.port();
    let data = server.kill();
    let server = DevServer::start_on(&data, &port, &[]).await;

    let status = tokio::task::spawn_blocking(move || demo.wait()).await.unwrap().unwrap();
    let ran =
        Ran { code: status.code().unwrap_or(-1), out: std::fs::read_to_string(&out).unwrap(), err: String::new() };
    assert_eq!(ran.code, 0, "{ran:?}");
    let played = Played::read(&ran);
    played.check_once_and_in_order();
    played.check_surfaces(&server).await;
    check_repository(&folder.path().join("greeter")).await;
    check_nothing_left(&server).await;
}
