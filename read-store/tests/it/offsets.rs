//! An offset never moves back (I6), and applying again changes nothing.

use std::future::poll_fn;
use std::task::Poll;

use muster_read_store::{Error, ReadStore};
use muster_test_kit::fresh_database;

use crate::support::{dump, fresh_store, scalar};
use crate::tale::whole_tale;

#[tokio::test]
async fn applying_again_changes_nothing() {
    let store = fresh_store().await;
    let records = whole_tale("again").records();
    store.apply_batch(0, &records, 1000).await.unwrap();
    let before = dump(&store).await;

    let repeated = store.apply_batch(0, &records, 1000).await.unwrap();
    let from_the_middle = store.apply_batch(0, &records[10..20], records[19].0 + 1).await.unwrap();

    assert_eq!((repeated.events, repeated.skipped), (0, records.len()));
    assert_eq!((from_the_middle.events, from_the_middle.skipped), (0, 10));
    assert_eq!(dump(&store).await, before);
    assert_eq!(store.next_offset(0).await.unwrap(), 1000);
}

#[tokio::test]
async fn an_overlap_is_applied_once() {
    let store = fresh_store().await;
    let records = whole_tale("overlap").records();
    store.apply_batch(0, &records[..30], records[29].0 + 1).await.unwrap();

    let applied = store.apply_batch(0, &records[20..], 1000).await.unwrap();

    assert_eq!((applied.events, applied.skipped), (records.len() - 30, 10));
    let other = fresh_store().await;
    other.apply_batch(0, &records, 1000).await.unwrap();
    assert_eq!(dump(&store).await, dump(&other).await);
}

#[tokio::test]
async fn events_behind_a_lost_offset_are_known_by_their_position() {
    let store = fresh_store().await;
    let records = whole_tale("copied").records();
    store.apply_batch(0, &records, 1000).await.unwrap();
    let before = dump(&store).await;
    let moved: Vec<_> = records.iter().map(|(offset, event)| (offset + 5000, event.clone())).collect();

    let applied = store.apply_batch(0, &moved, 9000).await.unwrap();

    assert_eq!((applied.events, applied.skipped), (0, records.len()));
    assert_eq!(dump(&store).await, before);
    assert_eq!(store.next_offset(0).await.unwrap(), 9000);
}

/// Given up when it waits for the first time, for the second, and so on until it is done.
#[tokio::test]
async fn a_batch_that_is_given_up_leaves_no_transaction_open() {
    let store = ReadStore::connect(&fresh_database("read-store").await, 1).await.unwrap();
    let records = whole_tale("given up").records();
    for waits in 1.. {
        let mut batch = Box::pin(store.apply_batch(0, &records, 1000));
        let mut left = waits;
        poll_fn(|context| {
            left -= 1;
            match batch.as_mut().poll(context) {
                Poll::Pending if left > 0 => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        drop(batch);

        assert_ne!(began(&store).await, began(&store).await, "one transaction for all, given up in wait {waits}");
        if store.next_offset(0).await.unwrap() == 1000 {
            assert!(waits > 3, "{waits} waits are too few to be given up in between");
            break;
        }
    }
}

/// When the transaction began that asks.
async fn began(store: &ReadStore) -> String {
    scalar(store, "select transaction_timestamp()::text").await
}

#[tokio::test]
async fn a_batch_that_fails_leaves_nothing() {
    let store = fresh_store().await;
    let mut records = whole_tale("gap").records();
    records.remove(20);
    let before = dump(&store).await;

    let error = store.apply_batch(0, &records, 1000).await.unwrap_err();

    assert!(matches!(error, Error::PositionGap { expected: 21, found: 22, .. }), "{error}");
    assert!(error.is_data());
    assert_eq!(dump(&store).await, before);
    assert_eq!(store.next_offset(0).await.unwrap(), 0);
}

#[tokio::test]
async fn starts_are_counted_until_the_partition_moves() {
    let store = fresh_store().await;
    for attempts in 1..=3 {
        let claim = store.claim_partition(5).await.unwrap();
        assert_eq!((claim.next_offset, claim.attempts), (0, attempts));
    }
    assert_eq!(store.begin_record(5).await.unwrap(), 1);
    assert_eq!(store.begin_record(5).await.unwrap(), 2);
    let records = whole_tale("starts").records();

    store.apply_batch(5, &records[..1], 1).await.unwrap();

    let claim = store.claim_partition(5).await.unwrap();
    assert_eq!((claim.next_offset, claim.attempts), (1, 1));
    assert_eq!(store.begin_record(5).await.unwrap(), 1, "a record that is finished starts the count anew");
    store.forget_attempts(5).await.unwrap();
    assert_eq!(store.begin_record(5).await.unwrap(), 1);
    assert_eq!(store.claim_partition(5).await.unwrap().attempts, 1);
}

#[tokio::test]
async fn two_projectors_on_one_partition_apply_each_event_once() {
    let store = fresh_store().await;
    let records = whole_tale("race").records();
    let apply = |store: muster_read_store::ReadStore| {
        let records = records.clone();
        tokio::spawn(async move {
            let mut events = 0;
            for chunk in records.chunks(7) {
                let next = chunk.last().unwrap().0 + 1;
                events += store.apply_batch(0, chunk, next).await.unwrap().events;
            }
            events
        })
    };
    store.claim_partition(0).await.unwrap();

    let (one, two) = tokio::join!(apply(store.clone()), apply(store.clone()));

    assert_eq!(one.unwrap() + two.unwrap(), records.len());
    let other = fresh_store().await;
    other.apply_batch(0, &records, 1000).await.unwrap();
    assert_eq!(dump(&store).await, dump(&other).await);
}
