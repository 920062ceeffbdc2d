//! The program that runs a command with servers around it, as a shell sees it.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test itself does")]

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use muster_test_kit::{eventually, process};

/// Prints what the command under test needs to know, then does what the test wants.
fn with_servers(script: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster-test-servers"));
    command.args(["--without-kafka", "--", "sh", "-c", script]);
    command
}

fn output(script: &str) -> Output {
    with_servers(script).output().unwrap()
}

fn port_of(url: &str) -> u16 {
    let (_, after) = url.rsplit_once(':').unwrap();
    after.split('/').next().unwrap().trim().parse().unwrap()
}

fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// Starts a command that never ends by itself, and returns it with the port of its Postgres.
async fn started(file: &std::path::Path) -> (Child, u16) {
    let script = format!("echo $MUSTER_TEST_POSTGRES_URL > {0}.new; mv {0}.new {0}; exec sleep 1000", file.display());
    let child = with_servers(&script).stdout(Stdio::null()).spawn().unwrap();
    eventually(Duration::from_mins(1), || async { file.exists() }).await;
    let port = port_of(&std::fs::read_to_string(file).unwrap());
    assert!(listens(port));
    (child, port)
}

#[test]
fn the_command_finds_postgres_and_its_exit_code_is_passed_on() {
    let done = output("echo $MUSTER_TEST_POSTGRES_URL; exit 7");
    assert_eq!(done.status.code(), Some(7));
    let port = port_of(&String::from_utf8(done.stdout).unwrap());
    assert!(!listens(port), "stopped with the command");
}

#[test]
fn the_addresses_are_written_to_a_file_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("env");
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster-test-servers"));
    command.arg("--without-kafka").arg("--env-file").arg(&file).args(["--", "true"]);
    assert!(command.status().unwrap().success());
    assert!(std::fs::read_to_string(file).unwrap().starts_with("MUSTER_TEST_POSTGRES_URL=postgres://"));
}

#[test]
fn a_command_that_does_not_exist_is_an_error_that_names_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster-test-servers"));
    let done = command.args(["--without-kafka", "--", "/no/such/command"]).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8(done.stderr).unwrap().contains("/no/such/command"));
}

#[tokio::test]
async fn a_request_to_stop_reaches_the_command_and_then_stops_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, port) = started(&folder.path().join("url")).await;
    process::signal(child.id(), libc::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(!listens(port));
}

#[tokio::test]
async fn nothing_outlives_being_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, port) = started(&folder.path().join("url")).await;
    process::signal(child.id(), libc::SIGKILL).unwrap();
    child.wait().unwrap();
    eventually(Duration::from_mins(1), || async { !listens(port) }).await;
}
