//! What those see who check the log from outside: the same records, with what was written together told apart.

use std::collections::BTreeSet;

use muster_event_log::raw::{RawLog, RawRecord, View};
use muster_schemas::schema_for;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::harness::{DEADLINE, Harness, PARTITIONS, events, kafka::Kafka, postgres::Postgres, project_in};

/// Appends of 2, 1 and 3 events to partition 1 are seen as such, with their key and their schema.
async fn appends_are_told_apart(harness: &dyn Harness, raw: &RawLog) -> Vec<RawRecord> {
    let log = harness.connect().await;
    let project = project_in(1);
    let mut writer = log.open_writer(1).await.unwrap();
    let mut offsets = Vec::new();
    for (first, count) in [(1, 2), (3, 1), (4, 3)] {
        offsets.extend(writer.append(writer.end(), &events(project, first, count)).await.unwrap().offsets);
    }

    let records = raw.records(View::Committed).await.unwrap();
    assert_eq!(
        records.iter().map(|record| record.offset).collect::<Vec<_>>(),
        offsets.iter().map(|at| at.0).collect::<Vec<_>>()
    );
    assert!(records.iter().all(|record| record.partition == 1 && record.key == Some(project.to_string().into_bytes())));
    let together = records.chunk_by(|one, next| one.append == next.append).map(<[_]>::len).collect::<Vec<_>>();
    assert_eq!(together, [2, 1, 3]);
    let ids: BTreeSet<u32> = records.iter().filter_map(RawRecord::schema_id).collect();
    let schemas = raw.schemas(&ids).await.unwrap();
    let [text] = schemas.values().collect::<Vec<_>>()[..] else { panic!("{schemas:?}") };
    let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(same(text), same(schema_for("task.started").unwrap().json));
    assert!(raw.schemas(&BTreeSet::from([4_000_000])).await.unwrap().is_empty());
    let ends = raw.ends(View::Committed).await.unwrap();
    assert_eq!((ends.len(), ends[&0]), (PARTITIONS as usize, 0));
    assert!(ends[&1] > records.last().unwrap().offset);
    let part = raw.partition(View::Committed, 1, records[1].offset, records[4].offset).await.unwrap();
    assert_eq!(
        part[..2],
        records[1..3]
            .iter()
            .enumerate()
            .map(|(index, record)| {
                // A run that is cut begins where it was cut.
                let append = if index == 0 { part[0].append } else { record.append };
                RawRecord { append, ..record.clone() }
            })
            .collect::<Vec<_>>()
    );
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_postgres() {
    let harness = Postgres::start().await;
    let raw = RawLog::Postgres { url: harness.config.url.clone() };
    appends_are_told_apart(&harness, &raw).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_kafka_with_what_is_undecided_when_asked() {
    let harness = Kafka::start().await;
    let topic = format!("{}.events", harness.config.topic_prefix);
    let raw = RawLog::Kafka {
        bootstrap: harness.config.bootstrap.clone(),
        registry_url: harness.config.registry_url.clone(),
        topic: topic.clone(),
    };
    let records = appends_are_told_apart(&harness, &raw).await;

    let bootstrap = harness.config.bootstrap.clone();
    let open = tokio::task::spawn_blocking(move || {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &bootstrap).set("transactional.id", uuid::Uuid::new_v4().to_string());
        let producer: BaseProducer = client.create().unwrap();
        producer.init_transactions(DEADLINE).unwrap();
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<str, str>::to(&topic).partition(1).payload("undecided")).unwrap();
        producer.flush(DEADLINE).unwrap();
        producer
    });
    let open = open.await.unwrap();
    assert_eq!(raw.records(View::Committed).await.unwrap(), records);
    let all = raw.records(View::Uncommitted).await.unwrap();
    assert_eq!(all[..6], records[..]);
    assert_eq!((all.len(), &all[6].value[..], &all[6].key), (7, &b"undecided"[..], &None));
    tokio::task::spawn_blocking(move || open.abort_transaction(DEADLINE)).await.unwrap().unwrap();
    assert_eq!(raw.records(View::Committed).await.unwrap(), records, "aborted records are not seen");
}
