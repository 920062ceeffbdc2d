//! Instances that are killed, frozen or cut off: their partitions go to the others, and they hear of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_event_log::{Error, EventLog};
use muster_test_kit::eventually;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use crate::harness::instance::{Board, DEADLINE, Instance, SHORT_SESSION_TIMEOUT_MS, settled};
use crate::harness::postgres::Postgres;
use crate::harness::proxy::Proxy;
use crate::harness::servers::{OwnKafka, OwnPostgres};
use crate::harness::{Harness, PARTITIONS, events, project_in};

const AT_ONCE: Duration = Duration::ZERO;

/// `cut` is held up beyond the session timeout. Its partitions go to `steady`, it hears that it lost them, it can no
/// longer write, and it shares again once it is back.
async fn is_expelled_and_returns(steady_log: Arc<dyn EventLog>, cut_log: Arc<dyn EventLog>, proxy: &Proxy) {
    let board = Arc::new(Board::default());
    let steady = Instance::join(&*steady_log, "steady", &board, AT_ONCE).await;
    settled(&[&steady]).await;
    let cut = Instance::join_for(&*cut_log, "cut", &board, AT_ONCE, SHORT_SESSION_TIMEOUT_MS).await;
    settled(&[&steady, &cut]).await;
    let (kept, partition) = (steady.held(), *cut.held().first().unwrap());
    let mut zombie = cut_log.open_writer(partition).await.unwrap();

    proxy.hold();
    eventually(DEADLINE, || async { steady.held().len() == PARTITIONS as usize }).await;
    assert!(steady.lost().is_empty(), "what the steady one had it kept: {kept:?}");
    let owners = steady.membership.refresh().await.unwrap();
    assert!(owners.values().all(|url| **url == *steady.url), "{owners:?}");
    let _owner = steady_log.open_writer(partition).await.unwrap();

    proxy.release();
    let late = events(project_in(partition), 1, 1);
    let refused = tokio::time::timeout(DEADLINE, zombie.append(zombie.end(), &late)).await.expect("an answer");
    assert!(matches!(refused, Err(Error::Fenced { .. } | Error::Indeterminate { .. })), "{refused:?}");
    eventually(DEADLINE, || async { cut.lost().contains(&partition) }).await;
    settled(&[&steady, &cut]).await;
    steady.leave().await;
    settled(&[&cut]).await;
    cut.leave().await;
}

/// A proxy in front of the database, and the URL that leads through it.
async fn behind_a_proxy(harness: &Postgres) -> (Proxy, String) {
    let (server, database) = harness.config.url.rsplit_once('/').unwrap();
    let (server, port) = server.rsplit_once(':').unwrap();
    let proxy = Proxy::start(Some(port.parse().unwrap())).await;
    let url = format!("{server}:{}/{database}", proxy.port);
    (proxy, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_cut_off_from_postgres_is_expelled_and_returns() {
    let harness = Postgres::start().await;
    let (proxy, url) = behind_a_proxy(&harness).await;
    let cut = PostgresLog::connect(&PostgresConfig { url, ..harness.config.clone() }).await.unwrap();
    is_expelled_and_returns(harness.connect().await, Arc::new(cut), &proxy).await;
}

/// A server that was replaced by another says nothing more on the connections to it, and ends none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_went_silent_make_room_for_others() {
    let harness = Postgres::start().await;
    let (proxy, url) = behind_a_proxy(&harness).await;
    let config = PostgresConfig { url, max_connections: 4, request_timeout_ms: 1_000, ..harness.config.clone() };
    let log = PostgresLog::connect(&config).await.unwrap();
    let looks = Mutex::new(PgConnection::connect(&harness.config.url).await.unwrap());
    let mut lock = PgConnection::connect(&harness.config.url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE muster_log.partitions").execute(&mut lock).await.unwrap();
    let asked: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let log = log.clone();
                async move { log.end(0).await }
            })
        })
        .collect();
    eventually(DEADLINE, || async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%end_offset%'";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut *looks.lock().await).await.unwrap() == 3
    })
    .await;
    proxy.hold_those_there();
    for question in asked {
        question.abort();
    }
    lock.close().await.unwrap();

    eventually(DEADLINE, || async { log.end(0).await.is_ok() }).await;
    let answers = join_all((0..8).map(|_| log.end(0))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_cut_off_from_kafka_is_expelled_and_returns() {
    let (server, proxy, through) = OwnKafka::behind_a_proxy("log-cut-off").await;
    let through = KafkaConfig {
        bootstrap: through,
        transaction_timeout_ms: 3_000,
        request_timeout_ms: 10_000,
        ..server.config.clone()
    };
    let cut = Arc::new(KafkaLog::connect(&through).await.unwrap());
    is_expelled_and_returns(server.log().await, cut, &proxy).await;
}

/// A server that crashes takes no instance with it: they share again when it is back.
async fn outlive_a_crash(logs: [Arc<dyn EventLog>; 2], crash: impl Future<Output = ()>) {
    let board = Arc::new(Board::default());
    let [one, other] = &logs;
    let one = Instance::join(&**one, "one", &board, AT_ONCE).await;
    let other = Instance::join(&**other, "other", &board, AT_ONCE).await;
    settled(&[&one, &other]).await;
    crash.await;
    settled(&[&one, &other]).await;
    // Also by the servers' own word, not only as last seen.
    for instance in [&one, &other] {
        eventually(DEADLINE, || async {
            instance.membership.refresh().await.is_ok_and(|owners| {
                owners.len() == PARTITIONS as usize && owners.values().any(|url| **url == *instance.url)
            })
        })
        .await;
    }
    settled(&[&one, &other]).await;
    one.leave().await;
    settled(&[&other]).await;
    other.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_outlive_a_crash_of_postgres() {
    let mut server = OwnPostgres::start("log-members-postgres").await;
    outlive_a_crash([server.log().await, server.log().await], server.crash()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_outlive_a_crash_of_kafka() {
    let mut server = OwnKafka::start("log-members-kafka").await;
    outlive_a_crash([server.log().await, server.log().await], server.crash()).await;
}

/// A killed process says nothing, but its connection ends: the next instance need not wait for the session timeout,
/// which is longer than this test may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_instance_on_postgres_is_followed_at_once() {
    let harness = Postgres::start().await;
    let (board, session_timeout_ms) = (Arc::new(Board::default()), 3_600_000);
    let (one, other) = (harness.connect().await, harness.connect().await);
    let killed = Instance::join_for(&*one, "killed", &board, AT_ONCE, session_timeout_ms).await;
    settled(&[&killed]).await;
    killed.kill();
    drop(one);
    assert_eq!(board.held_by("http://killed:1"), BTreeSet::new());
    let next = Instance::join_for(&*other, "next", &board, AT_ONCE, session_timeout_ms).await;
    settled(&[&next]).await;

    // And one that stands by notices by itself.
    let (log, third) = (harness.connect().await, harness.connect().await);
    let third = Instance::join_for(&*third, "third", &board, AT_ONCE, session_timeout_ms).await;
    settled(&[&next, &third]).await;
    next.kill();
    drop((other, log));
    settled(&[&third]).await;
}
