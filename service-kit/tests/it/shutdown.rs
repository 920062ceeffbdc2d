//! The tree of stops and what draining waits for. Signals go to a process of their own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use muster_service_kit::Shutdown;

#[tokio::test]
async fn stopping_reaches_children_and_not_parents() {
    let root = Shutdown::new();
    let child = root.child();
    let sibling = root.child();

    child.trigger();
    assert!(child.is_triggered() && !root.is_triggered() && !sibling.is_triggered());

    root.trigger();
    sibling.triggered().await;
    assert!(sibling.token().is_cancelled());
}

#[tokio::test]
async fn draining_waits_for_the_work_of_children() {
    let root = Shutdown::new();
    let child = root.child();
    let token = child.token();
    let work = child.spawn(async move {
        token.cancelled().await;
        tokio::task::yield_now().await;
        "done"
    });

    assert!(root.drain(Duration::from_secs(30)).await);
    assert!(work.is_finished());
    assert_eq!(work.await.unwrap(), "done");
}

#[tokio::test]
async fn draining_a_child_does_not_wait_for_its_siblings() {
    let root = Shutdown::new();
    let (child, sibling) = (root.child(), root.child());
    sibling.spawn(std::future::pending::<()>());

    assert!(child.drain(Duration::from_secs(30)).await);
    assert!(!root.drain(Duration::from_millis(50)).await, "the sibling's work never ends");
}

const AS_CHILD: &str = "MUSTER_TEST_SHUTDOWN_CHILD";

/// Runs itself again as a child that stops on the first signal only when told to end, so the second one has to.
#[test]
fn the_first_signal_stops_and_the_second_exits() {
    if std::env::var_os(AS_CHILD).is_some() {
        return wait_for_signals();
    }
    for signal in ["TERM", "INT"] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shutdown::the_first_signal_stops_and_the_second_exits", "--nocapture"])
            .env(AS_CHILD, "1")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let pid = child.id().to_string();
        let kill = || assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());

        assert!(lines.any(|line| line == "listening"));
        kill();
        assert!(lines.any(|line| line == "stopping"), "the process is still there after the first signal");
        kill();

        assert_eq!(child.wait().unwrap().code(), Some(130));
    }
}

#[expect(clippy::print_stderr, reason = "the child tells its parent how far it is")]
fn wait_for_signals() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().unwrap();
        eprintln!("listening");
        shutdown.triggered().await;
        eprintln!("stopping");
        std::future::pending::<()>().await;
    });
}
