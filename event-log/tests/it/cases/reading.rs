//! Reading and subscribing.

use muster_event_log::{Error, LogOffset};

use crate::harness::{Harness, events, positions, project_in, read_all, take};

pub async fn a_reader_starts_where_it_is_told(harness: &dyn Harness) {
    let log = harness.connect().await;
    let mut writer = log.open_writer(0).await.unwrap();
    let appended = writer.append(writer.end(), &events(project_in(0), 1, 10)).await.unwrap();
    let middle = log.read(0, appended.offsets[4], 3).await.unwrap();
    assert_eq!(positions(&middle), [5, 6, 7]);
    let rest = log.read(0, middle[2].offset.next(), 100).await.unwrap();
    assert_eq!(positions(&rest), [8, 9, 10]);
    let end = log.end(0).await.unwrap();
    assert!(log.read(0, end, 100).await.unwrap().is_empty());
    assert!(log.read(0, LogOffset(end.0 + 1000), 100).await.unwrap().is_empty());
    assert!(log.read(0, LogOffset::START, 0).await.unwrap().is_empty());
}

pub async fn a_subscription_replays_and_then_follows(harness: &dyn Harness) {
    let (writing, reading) = (harness.connect().await, harness.connect().await);
    let project = project_in(0);
    let mut writer = writing.open_writer(0).await.unwrap();
    let first = writer.append(writer.end(), &events(project, 1, 700)).await.unwrap();

    let mut whole = reading.subscribe(0, LogOffset::START).await.unwrap();
    let mut late = reading.subscribe(0, first.offsets[690]).await.unwrap();
    let mut local = writing.subscribe(0, writing.end(0).await.unwrap()).await.unwrap();
    assert_eq!(positions(&take(&mut whole, 700).await), (1..=700).collect::<Vec<_>>());
    assert_eq!(positions(&take(&mut late, 10).await), (691..=700).collect::<Vec<_>>());

    for position in (701..=720).step_by(2) {
        writer.append(writer.end(), &events(project, position, 2)).await.unwrap();
        for stream in [&mut whole, &mut late, &mut local] {
            assert_eq!(positions(&take(stream, 2).await), [position, position + 1]);
        }
    }
}

pub async fn a_subscriber_that_reconnects_misses_and_repeats_nothing(harness: &dyn Harness) {
    const COUNT: u64 = 300;
    const BATCH: u64 = 3;
    let log = harness.connect().await;
    let writing = tokio::spawn(async move {
        let project = project_in(0);
        let mut writer = log.open_writer(0).await.unwrap();
        for position in (1..=COUNT).step_by(3) {
            writer.append(writer.end(), &events(project, position, BATCH)).await.unwrap();
        }
    });
    let mut seen = Vec::new();
    let mut next = LogOffset::START;
    while seen.last() != Some(&COUNT) {
        let log = harness.connect().await;
        let mut stream = log.subscribe(0, next).await.unwrap();
        // 25 does not divide by the batch, so that the subscriber also leaves in the middle of one; 12 times is all.
        let some = take(&mut stream, 25).await;
        next = some.last().unwrap().offset.next();
        seen.extend(positions(&some));
    }
    writing.await.unwrap();
    assert_eq!(seen, (1..=COUNT).collect::<Vec<_>>());
    let log = harness.connect().await;
    assert!(read_all(&*log, 0, next).await.is_empty());
}

pub async fn an_unknown_partition_is_an_error(harness: &dyn Harness) {
    let log = harness.connect().await;
    let count = log.partition_count();
    assert!(matches!(log.end(count).await, Err(Error::NoPartition { .. })));
    assert!(matches!(log.read(count, LogOffset::START, 1).await, Err(Error::NoPartition { .. })));
    assert!(matches!(log.open_writer(count).await.map(|_| ()), Err(Error::NoPartition { .. })));
    let subscription = log.subscribe(count, LogOffset::START).await;
    assert!(matches!(subscription.map(drop), Err(Error::NoPartition { .. })));
    let output = log.subscribe_output(vec![(count, LogOffset::START)]).await;
    assert!(matches!(output.map(drop), Err(Error::NoPartition { .. })));
}
