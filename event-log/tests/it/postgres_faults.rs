//! Postgres whose connections are frozen, cut or ended in the middle, and whose disk is full.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_event_log::{Change, Error, EventLog, LogOffset, Member};
use muster_test_kit::{eventually, postgres, shared};
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;

use crate::harness::{DEADLINE, Harness, events, positions, postgres::Postgres, project_in, read_all, take};

/// A predecessor that is frozen within its append keeps the row locked until it is ended, and then has written nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_predecessor_does_not_hold_its_successor_up() {
    let harness = Postgres::start().await;
    let log = harness.connect().await;
    let mut writer = log.open_writer(0).await.unwrap();
    let project = project_in(0);
    writer.append(writer.end(), &events(project, 1, 1)).await.unwrap();
    // A client of the log's that was stopped between two packets, as far as the server can see.
    let options = harness.config.url.parse::<sqlx::postgres::PgConnectOptions>().unwrap();
    let mut frozen = PgConnection::connect_with(&options.application_name("muster-event-log")).await.unwrap();
    let begin = "BEGIN; UPDATE muster_log.partitions SET end_offset = end_offset + 1 WHERE partition = 0";
    sqlx::raw_sql(begin).execute(&mut frozen).await.unwrap();

    // An append in the queue behind it is ended as well or gets through; both are told as they are.
    let queued = tokio::spawn(async move {
        let appended = writer.append(writer.end(), &events(project, 2, 1)).await;
        (writer, appended)
    });
    let mut successor = harness.connect().await.open_writer(0).await.unwrap();

    assert!(sqlx::raw_sql("COMMIT").execute(&mut frozen).await.is_err(), "it was ended");
    let (mut old, appended) = queued.await.unwrap();
    let mut there = positions(&read_all(&*log, 0, LogOffset::START).await);
    match appended {
        Ok(_) => assert_eq!(there, [1, 2]),
        Err(Error::Fenced { .. } | Error::Unavailable { .. }) => assert_eq!(there, [1]),
        Err(Error::Indeterminate { .. }) => assert!(there == [1] || there == [1, 2]),
        Err(error) => panic!("{error}"),
    }
    let next = there.len() as u64 + 1;
    successor.append(successor.end(), &events(project, next, 1)).await.unwrap();
    assert!(old.append(old.end(), &events(project, 9, 1)).await.is_err(), "it is fenced, or in doubt for good");
    there.push(next);
    assert_eq!(positions(&read_all(&*log, 0, LogOffset::START).await), there);
}

/// As above, for a client that is not the log's or not even frozen: the takeover says that it waits, and goes on after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_that_locks_a_partition_is_left_alone() {
    let harness = Postgres::start().await;
    let config = PostgresConfig { lock_timeout_ms: 50, request_timeout_ms: 1000, ..harness.config.clone() };
    let log = PostgresLog::connect(&config).await.unwrap();
    let mut stranger = PgConnection::connect(&harness.config.url).await.unwrap();
    let begin = "BEGIN; SELECT FROM muster_log.partitions WHERE partition = 0 FOR UPDATE";
    sqlx::raw_sql(begin).execute(&mut stranger).await.unwrap();
    let refused = log.open_writer(0).await.map(drop);
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    sqlx::raw_sql("COMMIT").execute(&mut stranger).await.unwrap();
    log.open_writer(0).await.unwrap();
}

/// A machine may be so busy that joining takes longer than a member may be silent. It must not begin anew each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_may_take_longer_than_a_member_may_be_silent() {
    let harness = Postgres::start().await;
    let log = harness.connect().await;
    let mut connection = PgConnection::connect(&harness.config.url).await.unwrap();
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
                    AS 'BEGIN PERFORM pg_sleep(2); NEW.heartbeat_at = clock_timestamp(); RETURN NEW; END';
                CREATE TRIGGER slow BEFORE INSERT ON muster_log.members FOR EACH ROW EXECUTE FUNCTION slow()";
    sqlx::raw_sql(slow).execute(&mut connection).await.unwrap();
    let place = log.join(Member { url: "http://one:1".into(), session_timeout_ms: 1_000 }).await.unwrap();
    let change = tokio::time::timeout(Duration::from_mins(1), place.next()).await;
    assert!(matches!(change, Ok(Some(Change::Take { .. }))), "{change:?}");
}

/// Writes up to `target` in batches of 5, taking over from itself after each failure; checks each time what is there.
async fn write_on(log: &dyn EventLog, target: u64) {
    let (project, mut known) = (project_in(0), 0);
    let deadline = Instant::now() + DEADLINE;
    while known < target {
        assert!(Instant::now() < deadline, "only {known} were acknowledged");
        let Ok(mut writer) = log.open_writer(0).await else { continue };
        let Ok(there) = log.read(0, LogOffset::START, usize::MAX).await else { continue };
        let there = positions(&there);
        assert_eq!(there, (1..=there.len() as u64).collect::<Vec<_>>(), "gapless, and nothing twice");
        let count = there.len() as u64;
        assert!(count == known || count == known + 5, "{count} are there, {known} were acknowledged");
        known = count;
        while known < target && writer.append(writer.end(), &events(project, known + 1, 5)).await.is_ok() {
            known += 5;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_ended_in_the_middle_lose_and_repeat_nothing() {
    let harness = Postgres::start().await;
    let log = harness.connect().await;
    let reader = harness.connect().await;
    let mut subscription = reader.subscribe(0, LogOffset::START).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let ending = tokio::spawn({
        let (url, done) = (harness.config.url.clone(), Arc::clone(&done));
        async move {
            let mut sql = PgConnection::connect(&url).await.unwrap();
            let mut ended = 0;
            while !done.load(Ordering::Relaxed) {
                let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                           WHERE application_name = 'muster-event-log' AND datname = current_database() AND query LIKE '%INSERT%'";
                ended += sqlx::query_scalar::<_, i64>(end).fetch_one(&mut sql).await.unwrap();
                tokio::time::sleep(Duration::from_millis(7)).await;
            }
            ended
        }
    });
    write_on(&*log, 600).await;
    done.store(true, Ordering::Relaxed);
    assert!(ending.await.unwrap() > 0, "some were ended");
    assert_eq!(positions(&take(&mut subscription, 600).await), (1..=600).collect::<Vec<_>>());
}

/// Polling is far away here: a listener whose connection is lost must look again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_goes_on_after_its_listener_is_ended() {
    let harness = Postgres::start().await;
    let (log, reader) = (harness.connect().await, harness.connect().await);
    let project = project_in(0);
    let mut writer = log.open_writer(0).await.unwrap();
    let mut subscription = reader.subscribe(0, LogOffset::START).await.unwrap();
    writer.append(writer.end(), &events(project, 1, 1)).await.unwrap();
    assert_eq!(positions(&take(&mut subscription, 1).await), [1]);
    let mut sql = PgConnection::connect(&harness.config.url).await.unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let ended: i64 = sqlx::query_scalar(end).fetch_one(&mut sql).await.unwrap();
    assert!(ended >= 2, "both handles listen");
    writer.append(writer.end(), &events(project, 2, 1)).await.unwrap();
    assert_eq!(positions(&take(&mut subscription, 1).await), [2]);
}

/// A small file system of its own; none where this process may not mount one.
struct SmallDisk<'p>(&'p Path);

impl<'p> SmallDisk<'p> {
    fn mount(at: &'p Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=0755");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).output().ok()?;
        done.status.success().then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.0).output());
    }
}

#[expect(clippy::print_stdout, reason = "a reader of the test's output must know that nothing was shown")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_appends_and_loses_nothing() {
    let folder = shared::new_folder("log-disk-full");
    let Some(_disk) = SmallDisk::mount(&folder, "160m") else {
        println!("not shown: this process may not mount a small file system");
        return;
    };
    let directory = folder.join("server");
    std::fs::create_dir(&directory).unwrap();
    let options = postgres::Options::throw_away(&directory);
    let mut server = postgres::PostgresServer::start(options.clone()).await.unwrap();
    let port = server.port();
    let config = PostgresConfig { partitions: 1, ..PostgresConfig::new(server.ensure_database("log").unwrap()) };
    let log = PostgresLog::connect(&config).await.unwrap();
    write_on(&log, 50).await;

    let filler = folder.join("filler");
    // Fails at the end, which is the point.
    drop(Command::new("dd").args(["if=/dev/zero", "bs=64k"]).arg(format!("of={}", filler.display())).output());
    let project = project_in(0);
    let mut acknowledged = 50;
    let mut refusals = 0;
    let deadline = Instant::now() + DEADLINE;
    // What still fits is acknowledged; then the answers say that nothing, or nothing certain, was written.
    while refusals < 3 {
        assert!(Instant::now() < deadline, "the disk was never full");
        let Ok(mut writer) = log.open_writer(0).await else {
            refusals += 1;
            continue;
        };
        let mut failed = None;
        while failed.is_none() {
            match writer.append(writer.end(), &events(project, acknowledged + 1, 500)).await {
                Ok(_) => acknowledged += 500,
                Err(error) => failed = Some(error),
            }
        }
        assert!(matches!(failed, Some(Error::Unavailable { .. } | Error::Indeterminate { .. })), "{failed:?}");
        refusals += 1;
        let Ok(there) = log.read(0, LogOffset::START, usize::MAX).await else { continue };
        acknowledged = acknowledged.max(there.len() as u64);
    }

    std::fs::remove_file(&filler).unwrap();
    // Postgres stops itself when it cannot write its log ahead; whoever runs it starts it again.
    if !server.is_running() {
        drop(server);
        server = postgres::PostgresServer::start(postgres::Options { port: Some(port), ..options }).await.unwrap();
    }
    eventually(DEADLINE, || async { log.open_writer(0).await.is_ok() }).await;
    let mut writer = log.open_writer(0).await.unwrap();
    let there = positions(&log.read(0, LogOffset::START, usize::MAX).await.unwrap());
    let count = there.len() as u64;
    assert_eq!(there, (1..=count).collect::<Vec<_>>());
    assert!(
        count == acknowledged || count == acknowledged + 500,
        "{count} are there, {acknowledged} were acknowledged"
    );
    writer.append(writer.end(), &events(project, count + 1, 5)).await.unwrap();
    drop(server);
}
