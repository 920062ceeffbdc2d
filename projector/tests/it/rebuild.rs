//! A rebuild makes the same rows again, while the projector and the queries go on.

use std::sync::Arc;
use std::time::Duration;

use muster_domain::id::ProjectId;
use muster_event_log::EventLog;
use muster_event_log::memory::MemoryLog;
use muster_projector::{Error, Settings};
use muster_read_store::ReadStore;
use tokio_util::sync::CancellationToken;

use crate::support::{Running, append, count, dump, execute, fresh_store_and_url, project, query, reaches};

const SETTINGS: Settings = Settings { batch_max_events: 100, batch_max_wait: Duration::ZERO };

async fn rebuild(log: &MemoryLog, url: &str) -> Result<bool, Error> {
    let log: Arc<dyn EventLog> = Arc::new(log.clone());
    muster_projector::rebuild(log, url, 4, SETTINGS, CancellationToken::new()).await
}

#[tokio::test]
async fn it_is_byte_equal_to_what_was_there() {
    let (log, (store, url)) = (MemoryLog::new(3), fresh_store_and_url().await);
    let projects: Vec<_> = (0..5).map(|number| project(&number.to_string())).collect();
    for project in &projects {
        append(&log, *project, 1..=40).await;
    }
    let running = Running::start(&log, &store);
    for project in &projects {
        reaches(&store, *project, 40).await;
    }
    running.stop().await;
    let before = dump(&url);

    assert!(rebuild(&log, &url).await.unwrap());

    assert_eq!(dump(&url), before);
    let schemas = query(&url, "select string_agg(nspname, ',') from pg_namespace where nspname like 'muster_read%'");
    assert_eq!(schemas.trim(), "muster_read");
}

#[tokio::test]
async fn a_row_that_was_wrong_is_right_afterwards() {
    let (log, (store, url)) = (MemoryLog::new(1), fresh_store_and_url().await);
    let project = project("mended");
    append(&log, project, 1..=10).await;
    let running = Running::start(&log, &store);
    reaches(&store, project, 10).await;
    running.stop().await;
    let before = dump(&url);
    execute(&url, "update muster_read.tasks set title = 'wrong'; delete from muster_read.project_members");
    assert_ne!(dump(&url), before);

    assert!(rebuild(&log, &url).await.unwrap());

    assert_eq!(dump(&url), before);
}

#[tokio::test]
async fn the_projector_and_the_queries_go_on_meanwhile() {
    let (log, (store, url)) = (MemoryLog::new(2), fresh_store_and_url().await);
    let project = project("busy");
    append(&log, project, 1..=200).await;
    let running = Running::start(&log, &store);
    reaches(&store, project, 200).await;
    let reader = tokio::spawn(read_until(store.clone(), project, 400));
    let writer = {
        let log = log.clone();
        tokio::spawn(async move {
            for position in 201..=400 {
                append(&log, project, position..=position).await;
                tokio::task::yield_now().await;
            }
        })
    };

    for _ in 0..3 {
        assert!(rebuild(&log, &url).await.unwrap());
    }

    writer.await.unwrap();
    reader.await.unwrap();
    assert_eq!(count(&store, project).await, 400);
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), []);
    append(&log, project, 401..=410).await;
    reaches(&store, project, 410).await;
    assert_eq!(store.verify_audit_chain(project).await.unwrap().fault, None);
    running.stop().await;
}

/// Asks again and again: every answer is there, and a position never moves back.
async fn read_until(store: ReadStore, project: ProjectId, end: u64) {
    let mut last = 0;
    while last < end {
        let position = store.project_position(project).await.unwrap();
        assert!(position >= last, "{position} after {last}");
        last = position;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_second_rebuild_is_refused_and_a_stopped_one_changes_nothing() {
    let (log, (store, url)) = (MemoryLog::new(1), fresh_store_and_url().await);
    let project = project("once");
    append(&log, project, 1..=5).await;
    let running = Running::start(&log, &store);
    reaches(&store, project, 5).await;
    let before = dump(&url);

    let first = muster_read_store::Rebuild::start(&url, 2).await.unwrap();
    let refused = rebuild(&log, &url).await.unwrap_err();
    assert!(matches!(refused, Error::Store(muster_read_store::Error::RebuildRunning)), "{refused}");
    drop(first);

    let stopped = CancellationToken::new();
    stopped.cancel();
    let log_handle: Arc<dyn EventLog> = Arc::new(log.clone());
    let is_done = muster_projector::rebuild(log_handle, &url, 2, SETTINGS, stopped).await;
    assert!(!is_done.unwrap());
    assert_eq!(dump(&url), before);
    running.stop().await;
}
