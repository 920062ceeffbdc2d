//! Lost connections, crashes and records that end the process.

use muster_event_log::memory::MemoryLog;
use muster_read_store::DeadLetterState;
use muster_test_kit::eventually;

use crate::support::{
    Running, SOON, append, count, event, execute, fresh_store, fresh_store_and_url, project, reaches, reads_everything,
};

#[tokio::test]
async fn lost_connections_are_waited_out() {
    let (log, (store, url)) = (MemoryLog::new(2), fresh_store_and_url().await);
    let project = project("lost");
    let running = Running::start(&log, &store);
    for round in 0..5 {
        append(&log, project, round * 20 + 1..=round * 20 + 20).await;
        let others = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        execute(&url, others);
    }
    reaches(&store, project, 100).await;
    assert_eq!(count(&store, project).await, 100);
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), []);
    running.stop().await;
}

#[tokio::test]
async fn a_record_that_ends_the_process_is_set_aside_unread() {
    let (log, store) = (MemoryLog::new(1), fresh_store().await);
    let (bad, good) = (project("crash"), project("good"));
    log.inject(0, Ok(event(bad, 1))).unwrap();
    for position in 1..=3 {
        log.inject(0, Ok(event(good, position))).unwrap();
    }
    // Five starts that never came to an end.
    for _ in 0..5 {
        store.claim_partition(0).await.unwrap();
    }

    let running = Running::start(&log, &store);

    reaches(&store, good, 3).await;
    reads_everything(&log, &store).await;
    let letters = store.dead_letters(None, None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].record.log_offset, letters[0].state), (0, DeadLetterState::Parked));
    assert!(letters[0].record.error.contains("ended 6 times"), "{}", letters[0].record.error);
    assert_eq!(store.project_position(bad).await.unwrap(), 0);
    running.stop().await;
}

#[tokio::test]
async fn restarts_with_nothing_to_read_are_no_crashes() {
    let (log, store) = (MemoryLog::new(1), fresh_store().await);
    for _ in 0..8 {
        let running = Running::start(&log, &store);
        eventually(SOON, || async { running.readiness.failing().await.is_empty() }).await;
        running.kill().await;
    }
    let project = project("idle");
    append(&log, project, 1..=3).await;
    let running = Running::start(&log, &store);
    reaches(&store, project, 3).await;
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), []);
    running.stop().await;
}
