//! One writer following another.

use std::sync::Arc;

use muster_event_log::{Error, EventLog, LogOffset, PartitionWriter};
use tokio::sync::Mutex;

use crate::harness::{Harness, events, positions, project_in, read_all};

pub async fn a_second_writer_fences_the_first(harness: &dyn Harness) {
    let (one, other) = (harness.connect().await, harness.connect().await);
    let project = project_in(0);
    let mut zombie = one.open_writer(0).await.unwrap();
    zombie.append(zombie.end(), &events(project, 1, 1)).await.unwrap();

    let mut owner = other.open_writer(0).await.unwrap();
    for _ in 0..2 {
        let refused = zombie.append(zombie.end(), &events(project, 2, 3)).await;
        assert!(matches!(refused, Err(Error::Fenced { partition: 0 })), "{refused:?}");
    }
    owner.append(owner.end(), &events(project, 2, 1)).await.unwrap();
    assert_eq!(positions(&read_all(&*one, 0, LogOffset::START).await), [1, 2]);
}

pub async fn a_new_writer_sees_all_its_predecessor_committed(harness: &dyn Harness) {
    let project = project_in(0);
    for round in 0..5 {
        let (one, other) = (harness.connect().await, harness.connect().await);
        let mut writer = one.open_writer(0).await.unwrap();
        writer.append(writer.end(), &events(project, round * 20 + 1, 20)).await.unwrap();
        other.open_writer(0).await.unwrap();
        let read = positions(&read_all(&*other, 0, LogOffset::START).await);
        assert_eq!(read, (1..=round * 20 + 20).collect::<Vec<_>>());
    }
}

/// A writer, however often another gets in between.
async fn open(log: &dyn EventLog) -> Box<dyn PartitionWriter> {
    loop {
        match log.open_writer(0).await {
            Ok(writer) => return writer,
            Err(Error::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Takes the partition over again and again, reads where the log stands, and writes on until fenced.
async fn rival(log: Arc<dyn EventLog>, written: Arc<Mutex<Vec<u64>>>, target: u64) {
    let project = crate::harness::project_in(0);
    loop {
        let mut writer = open(&*log).await;
        for _ in 0..10 {
            // Fresh projects, so that only fencing, not a clash of positions, can keep a rival's events out.
            let position = uuid::Uuid::new_v4().as_u64_pair().0 >> 1;
            match writer.append(writer.end(), &events(project, position, 1)).await {
                Ok(_) => {
                    let mut written = written.lock().await;
                    written.push(position);
                    if written.len() as u64 >= target {
                        return;
                    }
                }
                Err(Error::Fenced { .. }) => break,
                // Only a successor can tell: what its predecessor left is decided when it is open.
                Err(Error::Indeterminate { .. }) => {
                    drop(open(&*log).await);
                    if positions(&read_all(&*log, 0, LogOffset::START).await).contains(&position) {
                        written.lock().await.push(position);
                    }
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub async fn rivals_leave_exactly_what_was_acknowledged(harness: &dyn Harness) {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut rivals = Vec::new();
    for _ in 0..3 {
        rivals.push(tokio::spawn(rival(harness.connect().await, Arc::clone(&acknowledged), 60)));
    }
    for rival in rivals {
        rival.await.unwrap();
    }
    let mut acknowledged = acknowledged.lock().await.clone();
    let mut read = positions(&read_all(&*harness.connect().await, 0, LogOffset::START).await);
    acknowledged.sort_unstable();
    read.sort_unstable();
    assert_eq!(read, acknowledged);
}
