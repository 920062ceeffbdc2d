//! The tree of stops and what draining waits for. Signals go to a process of their own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use muster_service_kit::Shutdown;
use tokio::runtime;

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
        return wait_for_signals(&runtime::Builder::new_current_thread().enable_all().build().unwrap());
    }
    for signal in ["TERM", "INT"] {
        second_signal_exits("the_first_signal_stops_and_the_second_exits", signal);
    }
}

#[test]
fn the_second_signal_exits_though_every_worker_is_busy() {
    if std::env::var_os(AS_CHILD).is_some() {
        let busy = runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
        let (started, spinning) = mpsc::channel();
        for _ in 0..WORKERS {
            let started = started.clone();
            busy.spawn(async move {
                started.send(()).unwrap();
                loop {
                    std::thread::yield_now();
                }
            });
        }
        (0..WORKERS).for_each(|_| spinning.recv().unwrap());
        return wait_for_signals(&busy);
    }
    second_signal_exits("the_second_signal_exits_though_every_worker_is_busy", "INT");
}

const WORKERS: usize = 2;

fn second_signal_exits(test: &str, signal: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("shutdown::{test}"), "--nocapture"])
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

    let ended = (0..3_000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(10));
        child.try_wait().unwrap()
    });
    if ended.is_none() {
        child.kill().unwrap();
    }
    assert_eq!(ended.expect("the process ends by its second signal").code(), Some(130));
}

#[expect(clippy::print_stderr, reason = "the child tells its parent how far it is")]
fn wait_for_signals(runtime: &runtime::Runtime) {
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().unwrap();
        eprintln!("listening");
        shutdown.triggered().await;
        eprintln!("stopping");
        std::future::pending::<()>().await;
    });
}
