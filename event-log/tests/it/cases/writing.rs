//! Appending.

use std::sync::Arc;
use std::time::Duration;

use muster_domain::event::{Event, EventData, UnknownEvent};
use muster_event_log::{Error, LogOffset};
use muster_schemas::samples;

use crate::harness::{Harness, events, positions, project_in, read_all};

pub async fn an_append_is_read_back(harness: &dyn Harness) {
    let log = harness.connect().await;
    let written = events(project_in(0), 1, 3);
    let mut writer = log.open_writer(0).await.unwrap();
    let appended = writer.append(writer.end(), &written).await.unwrap();
    assert_eq!(appended.end, writer.end());
    assert!(appended.offsets.is_sorted_by(|a, b| a < b));

    let read = read_all(&*log, 0, LogOffset::START).await;
    assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), appended.offsets);
    assert_eq!(read.iter().map(|record| record.payload.clone().unwrap()).collect::<Vec<_>>(), written);
    assert!(log.end(0).await.unwrap() > appended.offsets[2]);
    assert!(read_all(&*log, 1, LogOffset::START).await.is_empty());
}

pub async fn every_event_type_passes_through(harness: &dyn Harness) {
    let log = harness.connect().await;
    let project = project_in(1);
    let written: Vec<_> = (1..)
        .zip(samples::sample_events())
        .map(|(position, event)| Arc::new(Event { project_id: project, position, ..event }))
        .collect();
    let mut writer = log.open_writer(1).await.unwrap();
    writer.append(writer.end(), &written).await.unwrap();
    let read = read_all(&*harness.connect().await, 1, LogOffset::START).await;
    assert_eq!(read.into_iter().map(|record| record.payload.unwrap()).collect::<Vec<_>>(), written);
}

pub async fn a_stale_expected_end_is_refused(harness: &dyn Harness) {
    let log = harness.connect().await;
    let project = project_in(0);
    let mut writer = log.open_writer(0).await.unwrap();
    let before = writer.end();
    let appended = writer.append(before, &events(project, 1, 1)).await.unwrap();
    let refused = writer.append(before, &events(project, 2, 1)).await;
    assert!(
        matches!(refused, Err(Error::WrongExpectedEnd { expected, actual, .. }) if expected == before && actual == appended.end),
        "{refused:?}"
    );
    // The writer is none the worse for it.
    writer.append(appended.end, &events(project, 2, 1)).await.unwrap();
    assert_eq!(positions(&read_all(&*log, 0, LogOffset::START).await), [1, 2]);
}

pub async fn a_batch_with_one_bad_event_leaves_nothing(harness: &dyn Harness) {
    let log = harness.connect().await;
    let mut batch = events(project_in(0), 1, 5);
    let data =
        EventData::Unknown(UnknownEvent { event_type: "never.heard_of".to_owned(), data: serde_json::Value::Null });
    batch.push(Arc::new(Event { data, ..(*batch[0]).clone() }));
    let mut writer = log.open_writer(0).await.unwrap();
    let refused = writer.append(writer.end(), &batch).await;
    assert!(matches!(refused, Err(Error::Encode(_))), "{refused:?}");
    batch.pop();
    writer.append(writer.end(), &batch).await.unwrap();
    assert_eq!(positions(&read_all(&*log, 0, LogOffset::START).await), [1, 2, 3, 4, 5]);
}

pub async fn a_cancelled_append_leaves_all_or_nothing(harness: &dyn Harness) {
    const BATCH: u64 = 50;
    let log = harness.connect().await;
    let project = project_in(0);
    let mut next = 1;
    for round in 0..8 {
        let mut writer = log.open_writer(0).await.unwrap();
        let end = writer.end();
        let batch = events(project, next, BATCH);
        let patience = Duration::from_micros(200 << round);
        let answer = tokio::time::timeout(patience, writer.append(end, &batch)).await;
        if answer.is_err() {
            // The outcome is open: the old writer must not pretend otherwise.
            let again = writer.append(end, &batch).await;
            assert!(matches!(again, Err(Error::Indeterminate { .. }) | Ok(_)), "{again:?}");
        }
        drop(writer);
        let successor = log.open_writer(0).await.unwrap();
        let read = positions(&read_all(&*log, 0, LogOffset::START).await);
        let count = read.len() as u64;
        assert_eq!(read, (1..=count).collect::<Vec<_>>());
        assert!(count == next - 1 || count == next - 1 + BATCH, "{count} of {next}");
        assert!(answer.is_err() || count == next - 1 + BATCH, "an acknowledged append is missing");
        next = count + 1;
        drop(successor);
    }
}

pub async fn a_large_batch_is_one_append(harness: &dyn Harness) {
    let log = harness.connect().await;
    let mut writer = log.open_writer(2).await.unwrap();
    let appended = writer.append(writer.end(), &events(project_in(2), 1, 5000)).await.unwrap();
    assert_eq!(appended.offsets.len(), 5000);
    let read = positions(&read_all(&*harness.connect().await, 2, LogOffset::START).await);
    assert_eq!(read, (1..=5000).collect::<Vec<_>>());
}

pub async fn partitions_are_written_at_once(harness: &dyn Harness) {
    let log = harness.connect().await;
    let writers = (0..3).map(|partition| {
        let log = Arc::clone(&log);
        tokio::spawn(async move {
            let project = project_in(partition);
            let mut writer = log.open_writer(partition).await.unwrap();
            for position in 1..=40 {
                writer.append(writer.end(), &events(project, position, 1)).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    for partition in 0..3 {
        let read = positions(&read_all(&*log, partition, LogOffset::START).await);
        assert_eq!(read, (1..=40).collect::<Vec<_>>(), "partition {partition}");
    }
}

pub async fn an_event_too_large_is_refused(harness: &dyn Harness) {
    let log = harness.connect().await;
    let project = project_in(0);
    let mut event = samples::sample_event("user.injected_prompt", project, 1).unwrap();
    let EventData::UserInjectedPrompt(prompt) = &mut event.data else { panic!("another type") };
    prompt.message = "x".repeat(8 << 20);
    let mut writer = log.open_writer(0).await.unwrap();
    let refused = writer.append(writer.end(), &[Arc::new(event)]).await;
    assert!(matches!(refused, Err(Error::TooLarge { .. })), "{:?}", refused.map(|_| ()));
    writer.append(writer.end(), &events(project, 1, 1)).await.unwrap();
    assert_eq!(positions(&read_all(&*log, 0, LogOffset::START).await), [1]);
}
