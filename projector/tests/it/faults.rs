//! Lost connections, crashes and records that end the process.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use muster_domain::id::ProjectId;
use muster_event_log::memory::MemoryLog;
use muster_event_log::{AgentOutput, DeadLetter, Error, EventLog, LogOffset, LogRecord, OutputRecord, PartitionWriter};
use muster_projector::Settings;
use muster_read_store::{DeadLetterState, ReadStore};
use muster_test_kit::eventually;
use tokio::sync::Notify;
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

    let trap = Trap { log: log.clone(), partition: 0, deadly: LogOffset(4), process: None };
    let running = Running::start_on(Arc::new(trap), &store);

    reaches(&store, good, 7).await;
    reads_everything(&log, &store).await;
    let letters = store.dead_letters(None, None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].record.log_offset, letters[0].state), (4, DeadLetterState::Parked));
    assert!(letters[0].record.error.contains("ended 3 times"), "{}", letters[0].record.error);
    assert_eq!(count(&store, good).await, 7);
    running.stop().await;
}

#[tokio::test]
async fn a_record_that_ends_the_process_counts_against_no_other_partition() {
    let (log, store) = (MemoryLog::new(2), fresh_store().await);
    let good = project("good");
    append(&log, good, 1..=7).await;
    let deadly = 1 - log.partition_for(good);
    log.inject(deadly, Ok(event(project("deadly"), 1))).unwrap();
    let ended = Arc::new(Notify::new());
    let trap = Trap { log: log.clone(), partition: deadly, deadly: LogOffset(0), process: Some(ended.clone()) };
    let trap = Arc::new(trap);

    loop {
        let running = Running::start_on(trap.clone(), &store);
        tokio::select! {
            () = ended.notified() => running.kill().await,
            () = reads_everything(&log, &store) => break running.stop().await,
        }
    }

    let letters = store.dead_letters(None, None, 10).await.unwrap();
    let set_aside: Vec<_> = letters.iter().map(|letter| (letter.record.partition, letter.record.log_offset)).collect();
    assert_eq!(set_aside, [(deadly, 0)]);
    assert_eq!(count(&store, good).await, 7);
}

#[tokio::test]
async fn a_process_that_ends_where_there_is_nothing_to_read_sets_nothing_aside() {
    let (log, store) = (MemoryLog::new(1), fresh_store().await);
    let ended = Arc::new(Notify::new());
    let trap = Trap { log: log.clone(), partition: 0, deadly: LogOffset(0), process: Some(ended.clone()) };
    let trap = Arc::new(trap);
    for _ in 0..10 {
        let running = Running::start_on(trap.clone(), &store);
        tokio::time::timeout(SOON, ended.notified()).await.expect("it looks where it stands");
        running.kill().await;
    }
    assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), []);

    let project = project("late");
    append(&log, project, 1..=3).await;
    let running = Running::start(&log, &store);
    reaches(&store, project, 3).await;
    running.stop().await;
}

/// A log in which one record ends whoever reads it, or looks for it before it is there.
struct Trap {
    log: MemoryLog,
    partition: u32,
    deadly: LogOffset,
    /// It ends the whole process, which this tells, and not only the task that reads it. Other partitions are slow then:
    /// what they read is still on its way when the process ends.
    process: Option<Arc<Notify>>,
}

impl Trap {
    async fn spring(partition: u32, offset: LogOffset, deadly: (u32, LogOffset), process: Option<&Notify>) {
        match process {
            None => assert!((partition, offset) != deadly, "this record ends whoever reads it"),
            Some(process) if (partition, offset) == deadly => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                process.notify_one();
                std::future::pending::<()>().await;
            }
            Some(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
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
        let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
        for offset in if offsets.is_empty() { vec![from] } else { offsets } {
            Self::spring(partition, offset, (self.partition, self.deadly), self.process.as_deref()).await;
        }
        Ok(records)
    }

    async fn subscribe(&self, partition: u32, from: LogOffset) -> Result<Records<LogRecord>, Error> {
        let (deadly, process) = ((self.partition, self.deadly), self.process.clone());
        let records = self.log.subscribe(partition, from).await?;
        let springs = move |record: LogRecord| {
            let process = process.clone();
            async move {
                Self::spring(partition, record.offset, deadly, process.as_deref()).await;
                Ok(record)
            }
        };
        Ok(records.and_then(springs).boxed())
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
        assert_eq!(store.dead_letters(None, None, 10).await.unwrap(), [], "every record is fine");
        let before = left(&log, &store).await;
        let running = Running::start(&log, &store);
        // Somewhere inside the next batches, wherever the commit happens to be. Each partition moves: one that is killed
        // again and again before it does would set its next record aside.
        eventually(SOON, || async {
            std::iter::zip(&before, left(&log, &store).await).all(|(before, now)| *before == 0 || now < *before)
        })
        .await;
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

/// What each partition has still to apply.
async fn left(log: &MemoryLog, store: &ReadStore) -> Vec<i64> {
    let mut left = Vec::new();
    for partition in 0..log.partition_count() {
        left.push(log.end(partition).await.unwrap().0 - store.next_offset(partition).await.unwrap());
    }
    left
}

async fn applied(store: &ReadStore, projects: &[ProjectId]) -> u64 {
    let mut sum = 0;
    for project in projects {
        sum += store.project_position(*project).await.unwrap();
    }
    sum
}
