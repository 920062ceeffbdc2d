//! A bad record stops its project and no other, and nothing is lost: log minus read model = dead letters (I8).

use std::sync::Arc;
use std::time::Duration;

use muster_domain::id::ProjectId;
use muster_event_log::memory::MemoryLog;
use muster_event_log::{EventLog, Poison};
use muster_projector::Settings;
use muster_read_store::{DeadLetter, DeadLetterState, ReadStore, Release};
use muster_test_kit::{eventually, eventually_some};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Running, SOON, count, event, execute, fresh_store, fresh_store_and_url, project, reaches, reads_everything,
};

fn poison(project_id: Option<ProjectId>) -> Poison {
    Poison {
        error: "not Avro".to_owned(),
        event_type: Some("task.created".to_owned()),
        project_id,
        position: None,
        value: vec![1, 2, 3].into(),
        headers: vec![("ce_type".to_owned(), "task.created".to_owned())],
    }
}

async fn letter_in(store: &ReadStore, state: DeadLetterState) -> DeadLetter {
    eventually_some(SOON, || async {
        store.dead_letters(None, None, 10).await.unwrap().into_iter().find(|letter| letter.state == state)
    })
    .await
}

/// A log in which the record that should be position 3 of `bad` cannot be read, between events of `good`.
fn log_with_poison(bad: ProjectId, good: ProjectId) -> MemoryLog {
    let log = MemoryLog::new(1);
    for position in 1..=8 {
        let payload = if position == 3 { Err(poison(Some(bad))) } else { Ok(event(bad, position)) };
        log.inject(0, payload).unwrap();
        log.inject(0, Ok(event(good, position))).unwrap();
    }
    log
}

#[tokio::test]
async fn an_unreadable_record_parks_only_its_project() {
    let (bad, good) = (project("bad"), project("good"));
    let (log, store) = (log_with_poison(bad, good), fresh_store().await);

    let running = Running::start(&log, &store);
    reaches(&store, good, 8).await;
    reads_everything(&log, &store).await;

    assert_eq!(store.project_position(bad).await.unwrap(), 2);
    let letter = letter_in(&store, DeadLetterState::Parked).await;
    assert_eq!((letter.record.project_id, letter.record.log_offset), (Some(bad), 4));
    assert_eq!(letter.record.raw, [1, 2, 3]);
    let topic = log.dead_letters();
    assert_eq!((topic.len(), topic[0].offset.0, topic[0].project_id), (1, 4, Some(bad)));
    running.stop().await;
}

#[tokio::test]
async fn a_discarded_record_lets_the_rest_go_on() {
    let (bad, good) = (project("bad"), project("good"));
    let (log, store) = (log_with_poison(bad, good), fresh_store().await);
    let running = Running::start(&log, &store);
    let letter = letter_in(&store, DeadLetterState::Parked).await;
    reads_everything(&log, &store).await;

    store.request_release(letter.dead_letter_id, Release::Discard).await.unwrap();

    reaches(&store, bad, 8).await;
    assert_eq!(count(&store, bad).await, 7);
    letter_in(&store, DeadLetterState::Discarded).await;
    log.inject(0, Ok(event(bad, 9))).unwrap();
    reaches(&store, bad, 9).await;
    running.stop().await;
}

#[tokio::test]
async fn a_retry_that_fails_parks_again_with_one_more_attempt() {
    let (bad, good) = (project("bad"), project("good"));
    let (log, store) = (log_with_poison(bad, good), fresh_store().await);
    let running = Running::start(&log, &store);
    let letter = letter_in(&store, DeadLetterState::Parked).await;
    reads_everything(&log, &store).await;

    store.request_release(letter.dead_letter_id, Release::Retry).await.unwrap();

    eventually(SOON, || async {
        let letter = store.dead_letter(letter.dead_letter_id).await.unwrap().unwrap();
        letter.state == DeadLetterState::Parked && letter.attempts == 2
    })
    .await;
    assert_eq!(store.project_position(bad).await.unwrap(), 2);
    running.stop().await;
}

#[tokio::test]
async fn an_event_the_store_refuses_is_applied_by_a_retry_once_it_may() {
    let (bad, good) = (project("refused"), project("good"));
    let (log, (store, url)) = (MemoryLog::new(1), fresh_store_and_url().await);
    let check = format!("check (title <> 'task 5' or project_id <> '{bad}')");
    execute(&url, &format!("alter table muster_read.tasks add constraint no_five {check}"));
    for position in 1..=8 {
        log.inject(0, Ok(event(bad, position))).unwrap();
        log.inject(0, Ok(event(good, position))).unwrap();
    }
    let running = Running::start(&log, &store);
    reaches(&store, good, 8).await;
    reads_everything(&log, &store).await;
    assert_eq!(store.project_position(bad).await.unwrap(), 4);
    let letter = letter_in(&store, DeadLetterState::Parked).await;
    assert!(letter.record.error.contains("no_five"), "{}", letter.record.error);
    running.stop().await;

    execute(&url, "alter table muster_read.tasks drop constraint no_five");
    store.request_release(letter.dead_letter_id, Release::Retry).await.unwrap();
    let running = Running::start(&log, &store);

    reaches(&store, bad, 8).await;
    letter_in(&store, DeadLetterState::Retried).await;
    assert_eq!(count(&store, bad).await, 8);
    assert_eq!(store.verify_audit_chain(bad).await.unwrap().fault, None);
    running.stop().await;
}

#[tokio::test]
async fn a_skipped_position_is_a_dead_letter() {
    let (bad, log, store) = (project("gap"), MemoryLog::new(1), fresh_store().await);
    for position in [1, 2, 4, 5] {
        log.inject(0, Ok(event(bad, position))).unwrap();
    }
    let running = Running::start(&log, &store);
    let letter = letter_in(&store, DeadLetterState::Parked).await;
    assert!(letter.record.error.contains("expected position 3"), "{}", letter.record.error);
    reads_everything(&log, &store).await;
    assert_eq!(store.project_position(bad).await.unwrap(), 2);
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap().len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn a_record_of_no_known_project_parks_nobody() {
    let (good, log, store) = (project("good"), MemoryLog::new(1), fresh_store().await);
    log.inject(0, Err(poison(None))).unwrap();
    log.inject(0, Ok(event(good, 1))).unwrap();
    let running = Running::start(&log, &store);
    reaches(&store, good, 1).await;
    assert_eq!(store.parked(0).await.unwrap(), []);
    letter_in(&store, DeadLetterState::Parked).await;
    running.stop().await;
}

#[tokio::test]
async fn what_was_discarded_stays_out_of_a_rebuild() {
    let (bad, good) = (project("bad"), project("good"));
    let (log, (store, url)) = (log_with_poison(bad, good), fresh_store_and_url().await);
    let running = Running::start(&log, &store);
    let letter = letter_in(&store, DeadLetterState::Parked).await;
    reads_everything(&log, &store).await;
    store.request_release(letter.dead_letter_id, Release::Discard).await.unwrap();
    reaches(&store, bad, 8).await;

    let settings = Settings { batch_max_events: 3, batch_max_wait: Duration::ZERO };
    let handle: Arc<dyn EventLog> = Arc::new(log.clone());
    assert!(muster_projector::rebuild(handle, &url, 2, settings, CancellationToken::new()).await.unwrap());

    assert_eq!(store.project_position(bad).await.unwrap(), 8);
    assert_eq!(count(&store, bad).await, 7);
    assert_eq!(store.parked(0).await.unwrap(), []);
    letter_in(&store, DeadLetterState::Discarded).await;
    assert_eq!(log.dead_letters().len(), 1);
    running.stop().await;
}
