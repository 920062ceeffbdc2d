//! The stop of an instance beside another: its callers notice nothing, whoever takes its partitions, and when.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_domain::id::ProjectId;
use muster_event_log::EventLog;
use muster_event_log::memory::MemoryLog;
use muster_test_kit::eventually;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{ADA, Instance, PATIENCE, Pair, SharedLog};

const CLIENTS: usize = 24;

fn memory(partitions: u32) -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::new(partitions))
}

/// A task through the second instance. It must be made.
fn task_at_two(pair: &Arc<Pair>, project: ProjectId) -> JoinHandle<()> {
    let pair = Arc::clone(pair);
    tokio::spawn(async move {
        pair.two.post(&format!("/api/projects/{project}/tasks"), &json!({ "title": "x" })).await.ok();
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_waits_for_an_heir_that_owned_nothing() {
    let pair = Arc::new(Pair::start(memory(1)).await);
    pair.board.give(0, &pair.two.url).await;
    let project = pair.two.project_in(0).await;
    pair.board.hands_out_by_hand.store(true, Ordering::SeqCst);
    let leaving = tokio::spawn({
        let pair = Arc::clone(&pair);
        async move {
            pair.two.service.leave(PATIENCE).await;
            pair.two.stop_now().await;
        }
    });
    // Nobody owns the partition, and only the other member can take it.
    eventually(PATIENCE, || async { pair.board.has_left(&pair.two.url) }).await;
    let waiting: Vec<_> = (0..CLIENTS).map(|_| task_at_two(&pair, project)).collect();
    // The heir is as slow as a rebalance is.
    eventually(PATIENCE, || async { pair.board.asked_for_heirs() >= 3 || leaving.is_finished() }).await;
    pair.board.give(0, &pair.one.url).await;
    for waiting in waiting {
        waiting.await.expect("a request failed");
    }
    leaving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_has_stopped_still_learns_who_owns_what() {
    let pair = Arc::new(Pair::divided(memory(2)).await);
    let project = pair.two.project_in(1).await;
    pair.board.hands_out_by_hand.store(true, Ordering::SeqCst);
    pair.two.stop_now().await;
    assert_eq!(pair.board.owner(1), None);
    let waiting = task_at_two(&pair, project);
    tokio::task::yield_now().await;
    pair.board.give(1, &pair.one.url).await;
    waiting.await.expect("the request failed");
}

/// Sends one task after the other over a connection that is kept, until it is told to go. None may fail.
async fn keep_sending(url: String, project: ProjectId, answered: mpsc::UnboundedSender<()>) {
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).build().unwrap();
    loop {
        let request = client.post(format!("{url}/api/projects/{project}/tasks"));
        let request = request.bearer_auth(format!("token-of-{ADA}")).json(&json!({ "title": "x" }));
        let answer = request.send().await.expect("a request was cut off");
        let leaves = answer.headers().get("connection").is_some_and(|value| value == "close");
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap_or_default());
        answer.bytes().await.expect("an answer was cut off");
        if leaves {
            return;
        }
        let _ = answered.send(());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_over_a_kept_connection_fails_while_an_instance_stops() {
    let log = SharedLog::over(memory(2));
    let one = Instance::start_draining(Arc::new(log.clone())).await;
    let two = Instance::start_draining(Arc::new(log.clone())).await;
    for instance in [&one, &two] {
        log.board.wait_for(&instance.url).await;
    }
    for partition in 0..2 {
        log.board.give(partition, &two.url).await;
    }
    let projects = [two.project_in(0).await, two.project_in(1).await];
    let (answered, mut seen) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        clients.spawn(keep_sending(two.url.clone(), projects[n % 2], answered.clone()));
    }
    for _ in 0..10 * CLIENTS {
        tokio::time::timeout(PATIENCE, seen.recv()).await.unwrap().unwrap();
    }
    let (service, drain) = (two.service.clone(), two.drain.clone());
    let stopping = tokio::spawn(async move { service.hand_over(&drain, PATIENCE).await });
    while let Some(left) = tokio::time::timeout(PATIENCE, clients.join_next()).await.unwrap() {
        left.expect("a request failed");
    }
    eventually(PATIENCE, || async { (0..2).all(|partition| log.board.owner(partition).as_ref() == Some(&one.url)) })
        .await;
    // Who comes to the old address in the drain time is answered as well.
    let answer = reqwest::get(format!("{}/api/partitions", two.url)).await.unwrap();
    assert_eq!(answer.headers()["connection"], "close");
    two.drain.end();
    stopping.await.unwrap();
    two.stop_now().await;
    one.drain.end();
}
