//! What is in the log and cannot be read as this build's events.

use bytes::Bytes;
use muster_domain::event::EventData;
use muster_domain::time::Timestamp;
use muster_event_log::{DeadLetter, LogOffset};

use crate::harness::{Harness, events, project_in, read_all};

pub async fn an_unknown_type_keeps_its_data(harness: &dyn Harness) {
    let log = harness.connect().await;
    let project = project_in(0);
    let event = events(project, 1, 1).remove(0);
    harness.inject_unknown(0, &event, "cheerful").await;
    let read = read_all(&*log, 0, LogOffset::START).await;
    assert_eq!(read.len(), 1);
    let unknown = read[0].payload.as_ref().unwrap();
    assert_eq!(unknown.event_type(), "task.teleported");
    assert_eq!((unknown.id, unknown.project_id, unknown.position), (event.id, project, 1));
    let EventData::Unknown(unknown) = &unknown.data else { panic!("known?") };
    assert_eq!(unknown.data["mood"], "cheerful");
}

pub async fn poison_is_data_and_the_log_goes_on(harness: &dyn Harness) {
    let log = harness.connect().await;
    let project = project_in(0);
    let mut writer = log.open_writer(0).await.unwrap();
    writer.append(writer.end(), &events(project, 1, 1)).await.unwrap();
    harness.inject_poison(0, project, b"not an event").await;
    harness.inject_poison(0, project, b"\x00\x7f\xff\xff\xffno such schema").await;
    let mut writer = log.open_writer(0).await.unwrap();
    writer.append(writer.end(), &events(project, 2, 1)).await.unwrap();

    let read = read_all(&*log, 0, LogOffset::START).await;
    assert_eq!(read.len(), 4);
    assert_eq!(read[0].payload.as_ref().unwrap().position, 1);
    let poison = read[1].payload.as_ref().unwrap_err();
    assert_eq!(poison.value, Bytes::from_static(b"not an event"));
    assert_eq!(poison.project_id, Some(project));
    assert_eq!(poison.event_type.as_deref(), Some("task.started"));
    assert!(!poison.error.is_empty());
    assert!(read[2].payload.is_err());
    assert_eq!(read[3].payload.as_ref().unwrap().position, 2);
}

pub async fn dead_letters_are_kept(harness: &dyn Harness) {
    let log = harness.connect().await;
    let known = DeadLetter {
        partition: 1,
        offset: LogOffset(42),
        consumer: "board".to_owned(),
        error: "no event".to_owned(),
        attempts: 3,
        failed_at: Timestamp::from_micros(1_700_000_000_000_001),
        event_type: Some("task.started".to_owned()),
        project_id: Some(project_in(1)),
        value: Bytes::from_static(b"\x00\x01\xff"),
        headers: vec![("ce_id".to_owned(), "1".to_owned()), ("traceparent".to_owned(), "2".to_owned())],
    };
    let nameless = DeadLetter { event_type: None, project_id: None, headers: Vec::new(), ..known.clone() };
    log.dead_letter(known.clone()).await.unwrap();
    log.dead_letter(nameless.clone()).await.unwrap();
    let mut kept = harness.dead_letters().await;
    kept.sort_by_key(|letter| letter.project_id.is_none());
    assert_eq!(kept, [known, nameless]);
}
