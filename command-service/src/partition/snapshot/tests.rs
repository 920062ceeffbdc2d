//! A snapshot must be the fold, and everything must work without it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use muster_event_log::memory::MemoryLog;
use muster_event_log::{EventLog, LogOffset};
use parking_lot::RwLock;

use super::super::ledger::Ledger;
use super::super::replay::catch_up;
use super::super::testing::{Accepted, Chance, history, log_of};
use super::{Image, Snapshots};
use crate::settings::Settings;

const WINDOW: usize = 50;

fn settings() -> Arc<Settings> {
    Arc::new(Settings {
        idempotency_window: WINDOW,
        idempotency_partition_window: 2 * WINDOW,
        finished_tasks_in_memory: 3,
        ..Settings::default()
    })
}

async fn caught_up(log: &MemoryLog) -> Ledger {
    let log: Arc<dyn EventLog> = Arc::new(log.clone());
    let ledger = RwLock::new(Ledger::new(&settings()));
    catch_up(&log, 0, &ledger, &mut HashSet::new()).await.unwrap();
    ledger.into_inner()
}

/// The ledger after the first `events` of a history, as bytes.
async fn snapshot_after(history: &[Accepted]) -> Vec<u8> {
    caught_up(&log_of(history).await).await.image(0).unwrap().encode().unwrap()
}

#[track_caller]
fn assert_same_answers(one: &Ledger, other: &Ledger, history: &[Accepted]) {
    for accepted in history {
        let remembered = one.remembered(&accepted.key);
        assert_eq!(remembered, other.remembered(&accepted.key));
        assert!(remembered.is_none_or(|remembered| remembered.is_of(&accepted.digest)));
    }
}

#[tokio::test]
async fn what_is_restored_and_read_on_is_the_fold_of_the_whole_history() {
    let mut statuses = BTreeMap::new();
    for seed in 0..30 {
        let history = history(seed, 150);
        let log = log_of(&history).await;
        let mut whole = caught_up(&log).await;
        for cut in [1, Chance(seed).below(history.len()).max(1), history.len()] {
            let bytes = snapshot_after(&history[..cut]).await;
            log.put_snapshot(0, Bytes::from(bytes)).await.unwrap();
            let mut restored = caught_up(&log).await;
            let tail: usize = history[cut..].iter().map(|accepted| accepted.events.len()).sum();
            assert_eq!(restored.events_since_snapshot(), tail, "only the tail was read");
            assert_same_answers(&restored, &whole, &history);
            assert_eq!(restored.image(0), whole.image(0));
        }
        for task in whole.projects().values().flat_map(|state| state.tasks.values()) {
            *statuses.entry(task.status.as_str()).or_insert(0) += 1;
        }
    }
    for status in ["inbox", "blocked", "in_flight", "review", "done", "cancelled", "plan_review"] {
        assert!(statuses.contains_key(status), "no task came to {status}: {statuses:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_left_out_and_the_history_read() {
    let history = history(7, 40);
    let log = log_of(&history).await;
    let mut whole = caught_up(&log).await;
    let whole_events = whole.events_since_snapshot();
    let expected = whole.image(0).unwrap();
    let good = snapshot_after(&history[..20]).await;
    let image = Image::decode(&good).unwrap();
    let changed = |change: &dyn Fn(&mut Image)| {
        let mut image = image.clone();
        change(&mut image);
        image.encode().unwrap()
    };
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let mut other_format = good.clone();
    other_format[8] += 1;
    let mut other_build = good.clone();
    other_build[15] ^= 1;
    let unusable = [
        Vec::new(),
        b"not a snapshot".to_vec(),
        flipped,
        good[..good.len() - 1].to_vec(),
        other_format,
        other_build,
        changed(&|image| image.partition = 1),
        changed(&|image| image.next = LogOffset(1_000_000)),
        changed(&|image| image.next = image.next.next()),
        changed(&|image| image.idempotency_window.project -= 1),
        changed(&|image| image.idempotency_window.partition -= 1),
        changed(&|image| {
            let readable = history[0].events[0].project_id;
            image.unreadable.insert(readable, (LogOffset(1), "once".to_owned()));
        }),
    ];
    for (index, bytes) in unusable.into_iter().enumerate() {
        log.put_snapshot(0, Bytes::from(bytes)).await.unwrap();
        let mut ledger = caught_up(&log).await;
        assert_eq!(ledger.events_since_snapshot(), whole_events, "{index}");
        assert_eq!(ledger.image(0).unwrap(), expected, "{index}");
    }
    log.put_snapshot(0, Bytes::from(good)).await.unwrap();
    assert!(caught_up(&log).await.events_since_snapshot() < whole_events);
}

#[tokio::test]
async fn one_is_taken_when_enough_was_committed_and_never_two_at_once() {
    let history = history(3, 60);
    let log = log_of(&history).await;
    let ledger = RwLock::new(caught_up(&log).await);
    let kept: Arc<dyn EventLog> = Arc::new(log.clone());
    Snapshots::new(0).take_if_due(&kept, 0, &ledger);
    Snapshots::new(1_000_000).take_if_due(&kept, 0, &ledger);
    let mut snapshots = Snapshots::new(10);
    snapshots.take_if_due(&kept, 0, &ledger);
    assert_eq!(ledger.read().events_since_snapshot(), 0);
    let under_way = Arc::clone(&snapshots.under_way);
    muster_test_kit::eventually(std::time::Duration::from_secs(20), || {
        let under_way = Arc::clone(&under_way);
        async move { !under_way.load(std::sync::atomic::Ordering::Acquire) }
    })
    .await;
    let image = Image::decode(&log.snapshot(0).await.unwrap().unwrap()).unwrap();
    assert_eq!(image, ledger.write().image(0).unwrap());
}
