//! Servers that crash under a writer and a subscriber: nothing acknowledged is lost, nothing is there twice.

use std::sync::Arc;
use std::time::Duration;

use muster_domain::id::ProjectId;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_event_log::{Error, EventLog, LogOffset, PartitionWriter};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::harness::instance::DEADLINE;
use crate::harness::servers::{OwnKafka, OwnPostgres};
use crate::harness::{PARTITIONS, events, positions, project_in, read_all};

const BATCH: u64 = 5;
/// Positions written before the crash, and in all.
const BEFORE: u64 = 50;
const TARGET: u64 = 150;

/// `call` until it is not answered with "not available".
async fn patiently<T, F>(mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn everything(log: &dyn EventLog) -> Vec<u64> {
    let mut read = Vec::new();
    let mut from = LogOffset::START;
    loop {
        let batch = patiently(|| log.read(0, from, 100)).await;
        let Some(last) = batch.last() else { return read };
        from = last.offset.next();
        read.extend(positions(&batch));
    }
}

/// Writes up to `TARGET`, taking over from itself whenever an append fails, and checks each time what the log holds.
async fn write(log: Arc<dyn EventLog>, project: ProjectId, acknowledged: watch::Sender<u64>) {
    loop {
        let mut writer: Box<dyn PartitionWriter> = patiently(|| log.open_writer(0)).await;
        let read = everything(&*log).await;
        let there = read.len() as u64;
        let known = *acknowledged.borrow();
        assert_eq!(read, (1..=there).collect::<Vec<_>>(), "gapless, and nothing twice");
        assert!(there >= known, "{there} are there, {known} were acknowledged");
        assert!(there == known || there == known + BATCH, "an append is all or nothing: {there} after {known}");
        let mut next = there + 1;
        while next <= TARGET {
            match writer.append(writer.end(), &events(project, next, BATCH)).await {
                Ok(_) => drop(acknowledged.send_replace(next + BATCH - 1)),
                Err(Error::Indeterminate { .. } | Error::Unavailable { .. } | Error::Fenced { .. }) => break,
                Err(error) => panic!("{error}"),
            }
            next += BATCH;
        }
        if next > TARGET {
            return;
        }
    }
}

/// Follows up to `TARGET`, subscribing anew from where it was whenever the subscription fails.
async fn follow(log: Arc<dyn EventLog>) -> Vec<u64> {
    use futures::StreamExt;
    let (mut seen, mut next) = (Vec::new(), LogOffset::START);
    loop {
        let mut stream = patiently(|| log.subscribe(0, next)).await;
        while let Some(Ok(record)) = tokio::time::timeout(DEADLINE, stream.next()).await.expect("something comes") {
            next = record.offset.next();
            seen.push(record.payload.expect("an event").position);
            if seen.len() as u64 == TARGET {
                return seen;
            }
        }
    }
}

/// Nothing is lost while `crash` happens to the server under `log` and until it is back.
async fn survive(log: Arc<dyn EventLog>, crash: impl Future<Output = ()>) {
    let (sender, mut acknowledged) = watch::channel(0);
    let following = tokio::spawn(follow(Arc::clone(&log)));
    let writing = tokio::spawn(write(Arc::clone(&log), project_in(0), sender));
    acknowledged.wait_for(|position| *position >= BEFORE).await.unwrap();
    crash.await;
    tokio::time::timeout(DEADLINE, writing).await.expect("in time").unwrap();
    let seen = tokio::time::timeout(DEADLINE, following).await.expect("in time").unwrap();
    assert_eq!(seen, (1..=TARGET).collect::<Vec<_>>());
    assert_eq!(positions(&read_all(&*log, 0, LogOffset::START).await), (1..=TARGET).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_crashes() {
    let mut server = OwnPostgres::start("log-crash-postgres").await;
    survive(server.log().await, server.crash()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_crashes() {
    let mut server = OwnKafka::start("log-crash-kafka").await;
    survive(server.log().await, server.crash()).await;
}

/// A writer that hangs in the middle of a transaction holds no successor up, and its events never appear.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_left_open_is_aborted_by_the_successor() {
    let servers = muster_test_kit::shared_kafka().await;
    let prefix = format!("open-{}", uuid::Uuid::new_v4().simple());
    let config = KafkaConfig {
        partitions: PARTITIONS,
        topic_prefix: prefix.clone(),
        ..KafkaConfig::new(&servers.bootstrap, &servers.registry_url)
    };
    let log = KafkaLog::connect(&config).await.unwrap();
    let project = project_in(0);
    let mut writer = log.open_writer(0).await.unwrap();
    writer.append(writer.end(), &events(project, 1, 2)).await.unwrap();

    // The same transactional id, as a process that is stopped at the worst moment. Ten minutes to its time-out.
    let hang = tokio::task::spawn_blocking(move || {
        let zombie: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &servers.bootstrap)
            .set("transactional.id", format!("{prefix}-0"))
            .set("transaction.timeout.ms", "600000")
            .create()
            .unwrap();
        zombie.init_transactions(DEADLINE).unwrap();
        zombie.begin_transaction().unwrap();
        let topic = format!("{prefix}.events");
        for _ in 0..3 {
            zombie.send(BaseRecord::<str, str>::to(&topic).partition(0).key("k").payload("never seen")).unwrap();
        }
        zombie.flush(DEADLINE).unwrap();
        zombie
    });
    let zombie = hang.await.unwrap();

    let mut successor = log.open_writer(0).await.unwrap();
    assert_eq!(positions(&read_all(&log, 0, LogOffset::START).await), [1, 2]);
    successor.append(successor.end(), &events(project, 3, 1)).await.unwrap();
    assert_eq!(positions(&read_all(&log, 0, LogOffset::START).await), [1, 2, 3]);
    let refused = writer.append(writer.end(), &events(project, 3, 1)).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    let late = tokio::task::spawn_blocking(move || zombie.commit_transaction(Duration::from_secs(30)));
    assert!(late.await.unwrap().is_err());
    assert_eq!(positions(&read_all(&log, 0, LogOffset::START).await), [1, 2, 3]);
}
