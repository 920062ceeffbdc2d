//! Snapshots: kept and given back as they were, or not at all.

use bytes::Bytes;

use crate::harness::Harness;

/// `size` bytes that depend on `seed`, and that no compression makes small.
fn content(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}

pub async fn there_is_no_snapshot_at_first(harness: &dyn Harness) {
    let log = harness.connect().await;
    assert_eq!(log.snapshot(0).await.unwrap(), None);
    assert!(log.snapshot(99).await.is_err());
    assert!(log.put_snapshot(99, Bytes::new()).await.is_err());
    log.put_snapshot(0, Bytes::new()).await.unwrap();
    assert_eq!(log.snapshot(0).await.unwrap(), Some(Bytes::new()));
}

pub async fn the_newest_snapshot_wins_and_partitions_have_their_own(harness: &dyn Harness) {
    let log = harness.connect().await;
    for round in 0..5u64 {
        // Of one chunk and of several, by turns, so that the slots hold more than is wanted.
        for partition in 0..2u32 {
            let size = if round % 3 == 0 { 5_000_000 } else { 1000 };
            let snapshot = content(round * 10 + u64::from(partition), size);
            log.put_snapshot(partition, snapshot.clone()).await.unwrap();
            // A process that starts later finds it.
            assert!(harness.connect().await.snapshot(partition).await.unwrap() == Some(snapshot), "round {round}");
        }
        assert_eq!(log.snapshot(2).await.unwrap(), None);
    }
}

pub async fn a_large_snapshot_comes_back(harness: &dyn Harness) {
    let log = harness.connect().await;
    for size in [899_999, 900_000, 900_001, 50_000_000] {
        let snapshot = content(size as u64, size);
        log.put_snapshot(1, snapshot.clone()).await.unwrap();
        assert!(log.snapshot(1).await.unwrap() == Some(snapshot), "{size} bytes");
    }
}

pub async fn a_damaged_snapshot_is_left_out(harness: &dyn Harness) {
    let log = harness.connect().await;
    let put = async |seed: u64| {
        let snapshot = content(seed, 2_000_000);
        log.put_snapshot(0, snapshot.clone()).await.unwrap();
        snapshot
    };
    put(1).await;
    if !harness.damage_snapshot(0).await {
        return;
    }
    assert!(log.snapshot(0).await.unwrap().is_none(), "there is no other");
    let whole = put(2).await;
    assert!(log.snapshot(0).await.unwrap() == Some(whole.clone()), "a damaged one does not hold up the next");
    put(3).await;
    assert!(harness.damage_snapshot(0).await);
    assert!(log.snapshot(0).await.unwrap() == Some(whole), "the one before is there still");
    let last = put(4).await;
    assert!(log.snapshot(0).await.unwrap() == Some(last));
}

/// As after a hand-over: the old owner is not done when the new one begins.
pub async fn rivals_leave_a_whole_snapshot(harness: &dyn Harness) {
    let (one, other) = (harness.connect().await, harness.connect().await);
    for round in 0..3u64 {
        let candidates = [content(round * 2, 4_000_000), content(round * 2 + 1, 3_000_000)];
        let [first, second] = &candidates;
        let (done, too) = tokio::join!(one.put_snapshot(0, first.clone()), other.put_snapshot(0, second.clone()));
        done.unwrap();
        too.unwrap();
        let read = one.snapshot(0).await.unwrap().expect("one of them is whole");
        assert!(candidates.contains(&read), "round {round}");
    }
}
