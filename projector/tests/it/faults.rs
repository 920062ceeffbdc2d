//! Lost connections, crashes and records that end the process.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use muster_domain::id::ProjectId;
use muster_event_log::memory::MemoryLog;
use muster_event_log::{AgentOutput, DeadLetter, Error, EventLog, LogOffset, LogRecord, OutputRecord, PartitionWriter};
use muster_projector::Settings;
use muster_read_store::{DeadLetterState, ReadStore};
use muster_test_kit::eventually;
use tokio_util::sync::CancellationToken;

use crate::support::{
    Running, SOON, append, count, dump, event, execute, fresh_store, fresh_store_and_url, project, reaches,
    reads_everything,
};

type Records<T> = BoxStream<'static, Result<T, Error>>;

#[tokio::test]
async fn lost_connections_are_waited_out() {
    let (log, (store, url)) = (MemoryLog::new(2), fresh_store_and_url().await);
    let project = project("lost");
    let running = Running::start(&log, &store);
    for round in 0..5 {
        append(&log, project, round * 20 + 1..=round * 20 + 20).await;
        let others = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()";
        execute(&url, others);
    }
    reaches(&store, project, 100).await;
    assert_eq!(count(&store, project).await, 100);
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), []);
    running.stop().await;
}

#[tokio::test]
async fn a_record_that_ends_whoever_reads_it_is_set_aside_unread() {
    let (log, store) = (MemoryLog::new(1), fresh_store().await);
    let good = project("good");
    for position in 1..=4 {
        log.inject(0, Ok(event(good, position))).unwrap();
    }
    log.inject(0, Ok(event(project("deadly"), 1))).unwrap();
    for position in 5..=7 {
        log.inject(0, Ok(event(good, position))).unwrap();
    }

    let running = Running::start_on(Arc::new(Trap { log: log.clone(), deadly: LogOffset(4) }), &store);

    reaches(&store, good, 7).await;
    reads_everything(&log, &store).await;
    let letters = store.dead_letters(None, None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].record.log_offset, letters[0].state), (4, DeadLetterState::Parked));
    assert!(letters[0].record.error.contains("ended 3 times"), "{}", letters[0].record.error);
    assert_eq!(count(&store, good).await, 7);
    running.stop().await;
}

/// A log in which one record ends whoever reads it.
struct Trap {
    log: MemoryLog,
    deadly: LogOffset,
}

impl Trap {
    fn spring(deadly: LogOffset, record: &LogRecord) {
        assert!(record.offset != deadly, "this record ends whoever reads it");
    }
}

#[async_trait]
impl EventLog for Trap {
    fn partition_count(&self) -> u32 {
        self.log.partition_count()
    }

    async fn open_writer(&self, partition: u32) -> Result<Box<dyn PartitionWriter>, Error> {
        self.log.open_writer(partition).await
    }

    async fn end(&self, partition: u32) -> Result<LogOffset, Error> {
        self.log.end(partition).await
    }

    async fn read(&self, partition: u32, from: LogOffset, max: usize) -> Result<Vec<LogRecord>, Error> {
        let records = self.log.read(partition, from, max).await?;
        for record in &records {
            Self::spring(self.deadly, record);
        }
        Ok(records)
    }

    async fn subscribe(&self, partition: u32, from: LogOffset) -> Result<Records<LogRecord>, Error> {
        let deadly = self.deadly;
        let records = self.log.subscribe(partition, from).await?;
        Ok(records.inspect_ok(move |record| Self::spring(deadly, record)).boxed())
    }

    async fn append_output(&self, lines: Vec<AgentOutput>) -> Result<(), Error> {
        self.log.append_output(lines).await
    }

    async fn subscribe_output(&self, from: Vec<(u32, LogOffset)>) -> Result<Records<OutputRecord>, Error> {
        self.log.subscribe_output(from).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), Error> {
        self.log.dead_letter(letter).await
    }
}

#[tokio::test]
async fn restarts_with_nothing_to_read_are_no_crashes() {
    let (log, store) = (MemoryLog::new(1), fresh_store().await);
    for _ in 0..8 {
        let running = Running::start(&log, &store);
        eventually(SOON, || async { running.readiness.failing().await.is_empty() }).await;
        running.kill().await;
    }
    let project = project("idle");
    append(&log, project, 1..=3).await;
    let running = Running::start(&log, &store);
    reaches(&store, project, 3).await;
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), []);
    running.stop().await;
}

#[tokio::test]
async fn kills_at_any_point_lose_nothing_and_repeat_nothing() {
    let (log, (store, url)) = (MemoryLog::new(2), fresh_store_and_url().await);
    let projects: Vec<_> = (0..4).map(|number| project(&format!("killed {number}"))).collect();
    for project in &projects {
        append(&log, *project, 1..=150).await;
    }
    let (mut kills, mut last) = (0, 0);
    while last < 600 {
        let running = Running::start(&log, &store);
        // Somewhere inside the next batches, wherever the commit happens to be.
        eventually(SOON, || async { applied(&store, &projects).await > last || last == 600 }).await;
        running.kill().await;
        let now = applied(&store, &projects).await;
        assert!(now >= last, "the read model moved back");
        last = now;
        kills += 1;
    }
    assert!(kills > 3, "{kills} kills hit too little");
    let log: Arc<dyn EventLog> = Arc::new(log);
    let before = dump(&url);
    let done = muster_projector::rebuild(log, &url, 2, Settings::default(), CancellationToken::new()).await;
    assert!(done.unwrap());
    assert_eq!(dump(&url), before, "byte-equal to a fresh rebuild");
    for project in projects {
        assert_eq!(store.verify_audit_chain(project).await.unwrap().fault, None);
    }
}

async fn applied(store: &ReadStore, projects: &[ProjectId]) -> u64 {
    let mut sum = 0;
    for project in projects {
        sum += store.project_position(*project).await.unwrap();
    }
    sum
}
