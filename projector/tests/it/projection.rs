//! Every event of every partition becomes rows, once, across restarts.

use muster_event_log::EventLog;
use muster_event_log::memory::MemoryLog;
use muster_test_kit::eventually;

use crate::support::{Running, SOON, append, count, event, fresh_store, project, reaches, reads_everything};

#[tokio::test]
async fn what_was_there_and_what_comes_is_applied() {
    let (log, store) = (MemoryLog::new(4), fresh_store().await);
    let projects: Vec<_> = (0..8).map(|number| project(&number.to_string())).collect();
    for project in &projects {
        append(&log, *project, 1..=25).await;
    }

    let running = Running::start(&log, &store);
    for project in &projects {
        reaches(&store, *project, 25).await;
        append(&log, *project, 26..=40).await;
    }
    for project in &projects {
        reaches(&store, *project, 40).await;
        assert_eq!(count(&store, *project).await, 40);
    }
    running.stop().await;
}

#[tokio::test]
async fn it_is_ready_once_it_has_caught_up() {
    let (log, store) = (MemoryLog::new(3), fresh_store().await);
    append(&log, project("ready"), 1..=30).await;

    let running = Running::start(&log, &store);

    eventually(SOON, || async { running.readiness.failing().await.is_empty() }).await;
    assert_eq!(store.project_position(project("ready")).await.unwrap(), 30);
    running.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped() {
    let (log, store) = (MemoryLog::new(2), fresh_store().await);
    let project = project("restart");
    for round in 0..3 {
        append(&log, project, round * 15 + 1..=round * 15 + 15).await;
        let running = Running::start(&log, &store);
        reaches(&store, project, round * 15 + 15).await;
        running.stop().await;
        let claim = store.claim_partition(log.partition_for(project)).await.unwrap();
        assert_eq!(claim.attempts, 1, "a stop in good order is no crash");
        store.forget_attempts(log.partition_for(project)).await.unwrap();
    }
    reads_everything(&log, &store).await;
    assert_eq!(count(&store, project).await, 45);
}

#[tokio::test]
async fn two_projectors_share_a_store() {
    let (log, store) = (MemoryLog::new(2), fresh_store().await);
    let (one, two) = (Running::start(&log, &store), Running::start(&log, &store));
    let project = project("shared");
    for position in 1..=60 {
        append(&log, project, position..=position).await;
    }
    reaches(&store, project, 60).await;
    assert_eq!(count(&store, project).await, 60);
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), []);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn an_event_that_comes_twice_is_applied_once() {
    let (log, store) = (MemoryLog::new(1), fresh_store().await);
    let project = project("twice");
    for position in [1, 2, 2, 1, 3] {
        log.inject(0, Ok(event(project, position))).unwrap();
    }
    let running = Running::start(&log, &store);
    reaches(&store, project, 3).await;
    reads_everything(&log, &store).await;
    assert_eq!(count(&store, project).await, 3);
    running.stop().await;
}
