//! A dead letter parks its project and no other; it is retried or discarded, never lost.

use std::sync::Arc;

use muster_domain::event::Event;
use muster_read_store::{DeadLetterState, Error, Gaps, ParkOutcome, Poisoned, ReadStore, Release};
use serde_json::json;

use crate::support::{dump, fresh_store};
use crate::tale::{Tale, whole_tale};

fn poisoned(tale: &Tale, log_offset: i64) -> Poisoned {
    Poisoned {
        partition: 0,
        log_offset,
        project_id: Some(tale.project_id),
        task_id: None,
        event_type: Some("task.created".to_owned()),
        error: "not Avro \u{0}".to_owned(),
        raw: vec![0, 1, 2],
        headers: json!({"ce_type": "task.created"}),
    }
}

fn events(records: &[(i64, Arc<Event>)]) -> Vec<Arc<Event>> {
    records.iter().map(|(_, event)| Arc::clone(event)).collect()
}

/// A tale of which the record at index 5 cannot be read.
async fn parked_tale(store: &ReadStore, name: &str) -> (Tale, Vec<(i64, Arc<Event>)>) {
    let tale = whole_tale(name);
    let records = tale.records();
    store.apply_batch(0, &records[..5], records[4].0 + 1).await.unwrap();
    assert_eq!(store.park(&poisoned(&tale, records[5].0)).await.unwrap(), ParkOutcome::Parked);
    (tale, records)
}

#[tokio::test]
async fn only_the_project_of_a_dead_letter_waits() {
    let store = fresh_store().await;
    let (tale, records) = parked_tale(&store, "parked").await;
    let other = whole_tale("other");
    let mixed: Vec<_> = records[6..].iter().cloned().chain((1000..).zip(other.events.iter().cloned())).collect();

    let applied = store.apply_batch(0, &mixed, 2000).await.unwrap();

    assert_eq!((applied.events, applied.skipped), (other.events.len(), records.len() - 6));
    assert_eq!(store.project_position(tale.project_id).await.unwrap(), 5);
    assert_eq!(store.project_position(other.project_id).await.unwrap(), other.events.len() as u64);
    let letters = store.dead_letters(Some(tale.project_id), None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].state, letters[0].attempts), (DeadLetterState::Parked, 1));
    assert_eq!(letters[0].record.raw, [0, 1, 2]);
    assert_eq!(letters[0].record.error, "not Avro \u{fffd}");
    assert_eq!(store.park(&poisoned(&tale, 2001)).await.unwrap(), ParkOutcome::Waits);
    assert_eq!(store.next_offset(0).await.unwrap(), 2002);
}

#[tokio::test]
async fn a_retry_applies_what_waited() {
    let store = fresh_store().await;
    let (tale, records) = parked_tale(&store, "retried").await;
    store.apply_batch(0, &records[6..], 1000).await.unwrap();
    let letter = store.dead_letters(None, None, 10).await.unwrap().remove(0);
    assert_eq!(store.parked(0).await.unwrap()[0].release, None);

    store.request_release(letter.dead_letter_id, Release::Retry).await.unwrap();
    let mut parked = store.parked(0).await.unwrap().remove(0);
    assert_eq!((parked.release, parked.from_offset), (Some(Release::Retry), records[5].0));
    let (first, finished) =
        store.apply_released(&parked, &events(&records[5..10]), records[9].0 + 1, Gaps::Refuse).await.unwrap();
    assert_eq!((first.events, finished), (5, false));
    parked = store.parked(0).await.unwrap().remove(0);
    let (_, finished) = store.apply_released(&parked, &events(&records[10..]), 1000, Gaps::Refuse).await.unwrap();

    assert!(finished);
    assert_eq!(store.parked(0).await.unwrap(), []);
    let letter = store.dead_letter(letter.dead_letter_id).await.unwrap().unwrap();
    assert_eq!(letter.state, DeadLetterState::Retried);
    let whole = fresh_store().await;
    whole.apply_batch(0, &records, 1000).await.unwrap();
    assert_eq!(dump(&store).await, dump(&whole).await);
    assert_eq!(store.verify_audit_chain(tale.project_id).await.unwrap().fault, None);
}

#[tokio::test]
async fn a_discarded_record_leaves_one_gap_and_no_second() {
    let store = fresh_store().await;
    let (tale, records) = parked_tale(&store, "discarded").await;
    store.apply_batch(0, &records[6..], 1000).await.unwrap();
    let letter = store.dead_letters(None, None, 10).await.unwrap().remove(0);
    store.request_release(letter.dead_letter_id, Release::Discard).await.unwrap();
    let parked = store.parked(0).await.unwrap().remove(0);

    let mut two_gaps = events(&records[6..]);
    two_gaps.remove(3);
    let error = store.apply_released(&parked, &two_gaps, 1000, Gaps::AllowFirst).await.unwrap_err();
    assert!(matches!(error, Error::PositionGap { .. }), "{error}");
    let (applied, finished) =
        store.apply_released(&parked, &events(&records[6..]), 1000, Gaps::AllowFirst).await.unwrap();

    assert_eq!((applied.events, finished), (records.len() - 6, true));
    let letter = store.dead_letter(letter.dead_letter_id).await.unwrap().unwrap();
    assert_eq!(letter.state, DeadLetterState::Discarded);
    assert_eq!(store.verify_audit_chain(tale.project_id).await.unwrap().fault, None);
}

#[tokio::test]
async fn a_retry_that_fails_parks_again() {
    let store = fresh_store().await;
    let (tale, records) = parked_tale(&store, "failed again").await;
    store.apply_batch(0, &records[6..], 1000).await.unwrap();
    let letter = store.dead_letters(None, None, 10).await.unwrap().remove(0);
    store.request_release(letter.dead_letter_id, Release::Retry).await.unwrap();
    let parked = store.parked(0).await.unwrap().remove(0);

    store.repark(&parked, &poisoned(&tale, records[5].0)).await.unwrap();

    let letter = store.dead_letter(letter.dead_letter_id).await.unwrap().unwrap();
    assert_eq!((letter.state, letter.attempts), (DeadLetterState::Parked, 2));
    assert_eq!(store.parked(0).await.unwrap()[0].release, None);

    store.request_release(letter.dead_letter_id, Release::Discard).await.unwrap();
    let parked = store.parked(0).await.unwrap().remove(0);
    store.repark(&parked, &poisoned(&tale, records[9].0)).await.unwrap();

    let parked = store.parked(0).await.unwrap().remove(0);
    assert_eq!((parked.from_offset, parked.log_offset), (records[9].0, records[9].0));
    let states: Vec<_> = store.dead_letters(None, None, 10).await.unwrap().iter().map(|letter| letter.state).collect();
    assert_eq!(states, [DeadLetterState::Parked, DeadLetterState::Discarded]);
}

#[tokio::test]
async fn only_a_parked_letter_can_be_released() {
    let store = fresh_store().await;
    let (_, records) = parked_tale(&store, "once").await;
    let nameless = Poisoned { project_id: None, log_offset: records[6].0, ..poisoned(&Tale::new("x"), 0) };
    assert_eq!(store.park(&nameless).await.unwrap(), ParkOutcome::Parked);
    let letters = store.dead_letters(None, None, 10).await.unwrap();
    let (nameless, named) = (letters[0].dead_letter_id, letters[1].dead_letter_id);

    store.request_release(named, Release::Retry).await.unwrap();
    for release in [Release::Retry, Release::Discard] {
        let error = store.request_release(named, release).await.unwrap_err();
        assert!(matches!(error, Error::NotParked { .. }));
    }
    assert!(store.request_release(nameless, Release::Retry).await.is_err(), "nothing waits behind it");
    store.request_release(nameless, Release::Discard).await.unwrap();

    let nameless = store.dead_letter(nameless).await.unwrap().unwrap();
    assert_eq!(nameless.state, DeadLetterState::Discarded);
    assert_eq!(store.dead_letter(12345).await.unwrap(), None);
}
