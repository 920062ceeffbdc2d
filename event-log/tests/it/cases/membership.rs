//! Instances that divide the partitions between each other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::harness::instance::{Board, Instance, settled};
use crate::harness::{Harness, PARTITIONS};

const AT_ONCE: Duration = Duration::ZERO;

pub async fn one_alone_has_everything(harness: &dyn Harness) {
    let (log, board) = (harness.connect().await, Arc::new(Board::default()));
    for _ in 0..2 {
        let alone = Instance::join(&*log, "alone", &board, AT_ONCE).await;
        settled(&[&alone]).await;
        let owners = alone.membership.refresh().await.unwrap();
        assert!(owners.values().all(|url| **url == *alone.url) && owners.len() == PARTITIONS as usize, "{owners:?}");
        let membership = Arc::clone(&alone.membership);
        alone.leave().await;
        assert!(!membership.has_heirs().await.unwrap(), "nobody is there");
    }
    assert_eq!(board.shared(), Vec::<String>::new());
}

/// Each has its own connection, as processes have. What moves is given back, however long that takes, before another is
/// told to take it; what need not move stays.
pub async fn partitions_move_without_a_moment_of_two_owners(harness: &dyn Harness) {
    let (board, effort) = (Arc::new(Board::default()), Duration::from_millis(300));
    let (one, other, third) = (harness.connect().await, harness.connect().await, harness.connect().await);
    let one = Instance::join(&*one, "one", &board, effort).await;
    settled(&[&one]).await;
    let other = Instance::join(&*other, "other", &board, effort).await;
    settled(&[&one, &other]).await;
    let before = one.held();
    let third = Instance::join(&*third, "third", &board, effort).await;
    settled(&[&one, &other, &third]).await;
    assert!(one.held().is_subset(&before), "{before:?} became {:?}", one.held());
    let kept = one.held();
    let membership = Arc::clone(&other.membership);
    other.leave().await;
    assert!(membership.has_heirs().await.unwrap(), "two others are there");
    settled(&[&one, &third]).await;
    assert!(one.held().is_superset(&kept), "{kept:?} became {:?}", one.held());
    one.leave().await;
    settled(&[&third]).await;
    third.leave().await;
    assert_eq!(board.shared(), Vec::<String>::new());
}

pub async fn joining_and_leaving_in_a_storm_settles(harness: &dyn Harness) {
    let board = Arc::new(Board::default());
    let log = harness.connect().await;
    let steady = Instance::join(&*log, "steady", &board, AT_ONCE).await;
    let mut storm = tokio::task::JoinSet::new();
    for name in 0..3 {
        let (log, board) = (harness.connect().await, Arc::clone(&board));
        storm.spawn(async move {
            for round in 0..3 {
                let instance = Instance::join(&*log, &format!("{name}-{round}"), &board, AT_ONCE).await;
                tokio::time::sleep(Duration::from_millis(50 * (name + round))).await;
                instance.leave().await;
            }
        });
    }
    while let Some(done) = storm.join_next().await {
        done.unwrap();
    }
    settled(&[&steady]).await;
    assert_eq!(steady.lost(), BTreeSet::new());
    let last = Instance::join(&*log, "last", &board, AT_ONCE).await;
    settled(&[&steady, &last]).await;
    assert_eq!(board.shared(), Vec::<String>::new());
}
