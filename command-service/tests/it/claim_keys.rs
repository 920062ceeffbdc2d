//! One key claims once, in whichever project and at whichever instance, whatever was lost, delayed or frozen on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_command_service::Settings;
use muster_domain::id::ProjectId;
use muster_event_log::memory::MemoryLog;
use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_event_log::{EventLog, partition_of};
use muster_test_kit::{eventually, fresh_database, wait};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::support::{ADA, Answer, App, FaultyLog, PATIENCE, Pair, assert_gapless};

/// For how long something that must not happen is waited for.
const MOMENT: Duration = Duration::from_millis(400);

fn claim_body(wait_ms: u64, projects: Option<&[ProjectId]>) -> Value {
    json!({
        "session_id": Uuid::now_v7(), "session_key": "runner-1", "roles": ["planner"], "project_ids": projects,
        "workspace_dir": "/w", "data_dir": "/d", "wait_ms": wait_ms,
    })
}

/// A key of Ada's whose claims belong to the owner of that partition.
fn key_at(partition: u32, count: u32) -> Uuid {
    let keys = std::iter::repeat_with(Uuid::now_v7);
    keys.into_iter().find(|key| partition_of(&format!("{ADA}/{key}"), count) == partition).unwrap()
}

async fn task(app: &App, project: ProjectId, priority: &str) -> Value {
    let body = json!({ "title": priority, "priority": priority });
    app.post(&format!("/api/projects/{project}/tasks"), &body).await.ok().body["task_id"].clone()
}

/// The first instance owns partition 0, the second 1. On a machine that is busy they wait for each other all the same.
async fn patient_pair(log: Arc<dyn EventLog>) -> Arc<Pair> {
    let (handover_patience, recovery_patience) = (PATIENCE, PATIENCE);
    let pair = Pair::with(log, Settings { handover_patience, recovery_patience, ..Settings::default() }).await;
    pair.board.give(0, &pair.one.url).await;
    pair.board.give(1, &pair.two.url).await;
    Arc::new(pair)
}

/// Work in partitions 0 and 1, the first more urgent. The urgent task.
async fn work_in_both(pair: &Pair) -> Value {
    let (near, far) = (pair.one.project_in(0).await, pair.one.project_in(1).await);
    task(&pair.one, far, "low").await;
    task(&pair.one, near, "urgent").await
}

async fn assigned(app: &App) -> usize {
    let events = app.events().await;
    assert_gapless(&events);
    events.iter().filter(|event| event.event_type() == "work.assigned").count()
}

fn claim(pair: &Arc<Pair>, second: bool, key: Uuid, body: &Value) -> tokio::task::JoinHandle<Answer> {
    let (pair, body) = (Arc::clone(pair), body.clone());
    tokio::spawn(async move { pair.each()[usize::from(second)].post_with_key(key, "/api/claims", &body).await })
}

async fn happens(condition: impl Fn() -> bool) -> bool {
    wait::until(MOMENT, || async { condition().then_some(()) }).await.is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_written_is_not_claimed_again_when_its_caller_has_gone() {
    let log = FaultyLog::new(2);
    let pair = patient_pair(Arc::new(log.clone())).await;
    let urgent = work_in_both(&pair).await;
    // Carried out by the owner of the key itself, and by another instance for it.
    for home in [0, 1] {
        let (key, body) = (key_at(home, 2), claim_body(0, None));
        let gate = log.close_gate().await;
        let gone = claim(&pair, home == 1, key, &body);
        eventually(PATIENCE, || async { log.waiting() == 1 }).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        let again = claim(&pair, home == 1, key, &body);
        assert!(!happens(|| log.waiting() > 1 || again.is_finished()).await, "the key claims in another project");
        log.open_gate(&gate).await;
        let order = again.await.unwrap().ok().body;
        if home == 0 {
            assert_eq!(order["task_id"], urgent);
            task(&pair.one, order["project_id"].as_str().unwrap().parse().unwrap(), "urgent").await;
        }
        assert_eq!(assigned(&pair.one).await, 1 + home as usize);
    }
}

/// Claims in partition 0 by a key of the second instance, and loses the answer. What was answered, and the same again.
async fn claimed_and_lost(pair: &Arc<Pair>) -> (Answer, impl Fn() -> tokio::task::JoinHandle<Answer> + use<>) {
    let urgent = work_in_both(pair).await;
    let (key, body) = (key_at(1, 2), claim_body(0, None));
    let first = pair.two.post_with_key(key, "/api/claims", &body).await.ok();
    assert_eq!(first.body["task_id"], urgent);
    let pair = Arc::clone(pair);
    (first, move || claim(&pair, true, key, &body))
}

/// Gives partition 0 to the second instance, and does not tell the first: it is dead, or asleep. Until the second knows
/// that the first is to be asked no more.
async fn replace_the_first(pair: &Pair) {
    pair.board.steal(0, &pair.two.url);
    eventually(PATIENCE, || async { pair.two.service.partitions()[0].owner.as_ref() == Some(&pair.two.url) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_waits_for_what_a_partition_that_changes_hands_knows() {
    let log = FaultyLog::new(2);
    let pair = patient_pair(Arc::new(log.clone())).await;
    let (first, again) = claimed_and_lost(&pair).await;
    log.hold_reads(true);
    replace_the_first(&pair).await;
    let again = again();
    eventually(PATIENCE, || async { log.reads_held() > 0 }).await;
    assert!(!happens(|| again.is_finished()).await, "it was answered before the history was read");
    log.hold_reads(false);
    assert_eq!(again.await.unwrap().ok().body, first.body);
    assert_eq!(assigned(&pair.two).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_was_not_told_yet_repeats_what_it_gave_before() {
    let log = FaultyLog::new(2);
    let pair = patient_pair(Arc::new(log.clone())).await;
    let (first, again) = claimed_and_lost(&pair).await;
    log.hold_reads(true);
    // The second takes the partition over, and has not seen yet that it is nobody else's.
    pair.board.have_taken(0, &pair.two.url);
    eventually(PATIENCE, || async { log.reads_held() > 0 }).await;
    let early = tokio::time::timeout(PATIENCE, again()).await.expect("the first instance answers").unwrap().ok();
    assert_eq!((&early.body, log.reads_held() > 0), (&first.body, true));
    replace_the_first(&pair).await;
    log.hold_reads(false);
    assert_eq!(again().await.unwrap().ok().body, first.body);
    assert_eq!(assigned(&pair.two).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_known_over_a_log_in_postgres_when_its_partition_has_changed_hands() {
    let config = PostgresConfig { partitions: 2, ..PostgresConfig::new(fresh_database("command").await) };
    let pair = patient_pair(Arc::new(PostgresLog::connect(&config).await.unwrap())).await;
    let (first, again) = claimed_and_lost(&pair).await;
    replace_the_first(&pair).await;
    assert_eq!(again().await.unwrap().ok().body, first.body);
    assert_eq!(assigned(&pair.two).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_was_delayed_on_its_way_comes_too_late() {
    let log = FaultyLog::new(2);
    let pair = patient_pair(Arc::new(log.clone())).await;
    work_in_both(&pair).await;
    let (key, body) = (key_at(1, 2), claim_body(0, None));
    let ask = async |from: &str| pair.one.asked_by(from, key, "/internal/offers", &body).await.ok().body;
    let pass_on = |ticket: &Value| {
        let (pair, body) = (Arc::clone(&pair), body.clone());
        let path = format!("/internal/claims?ticket={}", ticket.as_str().unwrap());
        tokio::spawn(async move { pair.one.asked_by(&pair.two.url, key, &path, &body).await })
    };
    let early = ask(&pair.two.url).await;
    assert_eq!((&early["partitions"], &early["knows_key"]), (&json!([0]), &json!(false)));
    // One that does not own the key's partition, and may believe that it does, learns nothing and takes nothing away.
    assert_eq!(ask("http://127.0.0.1:1").await["partitions"], json!([]));
    let late = ask(&pair.two.url).await;
    pass_on(&early["ticket"]).await.unwrap().refused(503, "unavailable");
    assert_eq!(assigned(&pair.one).await, 0);

    // While it is being written, nobody is told that the key is free.
    let gate = log.close_gate().await;
    let under_way = pass_on(&late["ticket"]);
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    assert_eq!(ask(&pair.two.url).await["partitions"], json!([]));
    log.open_gate(&gate).await;
    under_way.await.unwrap().ok();
    assert_eq!(ask(&pair.two.url).await["knows_key"], true);
    assert_eq!(assigned(&pair.one).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_instance_holds_up_only_what_it_may_know_of() {
    let settings = Settings { handover_patience: Duration::from_secs(3), ..Settings::default() };
    let pair = Arc::new(Pair::with(Arc::new(MemoryLog::new(3)), settings).await);
    for (partition, url) in [(0, &pair.one.url), (1, &pair.two.url), (2, &pair.two.url)] {
        pair.board.give(partition, url).await;
    }
    let (near, far) = (pair.one.project_in(0).await, pair.one.project_in(1).await);
    let waiting = claim(&pair, false, key_at(0, 3), &claim_body(20_000, None));
    assert!(!happens(|| waiting.is_finished()).await);
    // It takes connections, as the kernel does for a process that is stopped, and says nothing.
    let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    pair.board.give(2, &format!("http://{}", frozen.local_addr().unwrap())).await;

    // Nobody knew the key of the one that waits, so it need not ask again.
    let urgent = task(&pair.one, near, "urgent").await;
    assert_eq!(tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().ok().body["task_id"], urgent);
    // A claim that names its projects asks those who have them.
    for project in [near, far] {
        let wanted = task(&pair.one, project, "high").await;
        let order = pair.one.post_with_key(key_at(0, 3), "/api/claims", &claim_body(0, Some(&[project]))).await.ok();
        assert_eq!(order.body["task_id"], wanted);
    }
    // Whether another new key was used is not known; it must not be guessed.
    task(&pair.one, near, "high").await;
    let unknown = pair.one.post_with_key(key_at(0, 3), "/api/claims", &claim_body(0, None)).await;
    assert_eq!(unknown.refused(503, "unavailable").headers["retry-after"], "1");
    assert_eq!(assigned(&pair.one).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_waits_at_a_busy_instance_hears_of_work_elsewhere() {
    let pair = Arc::new(Pair::divided(Arc::new(MemoryLog::new(2))).await);
    let (near, far) = (pair.one.project_in(0).await, pair.one.project_in(1).await);
    let waiting = claim(&pair, false, key_at(0, 2), &claim_body(20_000, Some(&[far])));
    let (stop, tasks) = (Arc::new(AtomicBool::new(false)), format!("/api/projects/{near}/tasks"));
    let busy = tokio::spawn({
        let (pair, stop) = (Arc::clone(&pair), Arc::clone(&stop));
        async move {
            while !stop.load(Ordering::SeqCst) {
                pair.one.post(&tasks, &json!({ "title": "Busy" })).await.ok();
            }
        }
    });
    let wanted = task(&pair.two, far, "low").await;
    let order = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().ok();
    assert_eq!(order.body["task_id"], wanted);
    stop.store(true, Ordering::SeqCst);
    busy.await.unwrap();
}
