//! Instances that divide the partitions between each other: any answers for all, and none writes what is another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use http::Method;
use muster_command_service::Settings;
use muster_event_log::EventLog;
use muster_event_log::memory::MemoryLog;
use muster_test_kit::eventually;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    ADA, Answer, App, BOB, Fault, FaultyLog, Instance, PATIENCE, Pair, ROOT, SharedLog, assert_gapless,
};

fn memory(partitions: u32) -> Arc<dyn EventLog> {
    Arc::new(MemoryLog::new(partitions))
}

fn owner(answer: &Answer) -> &str {
    answer.headers["muster-owner"].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_command_never_goes_to_two_tasks_of_one_id_at_two_instances() {
    let pair = Pair::divided(memory(2)).await;
    let (near, far) = (pair.one.project_in(0).await, pair.one.project_in(1).await);
    let task = Uuid::now_v7();
    for project in [near, far] {
        let body = json!({ "title": "Twin", "task_id": task });
        pair.one.post(&format!("/api/projects/{project}/tasks"), &body).await.ok();
    }
    let (key, before) = (Uuid::now_v7(), pair.one.events().await.len());
    for app in pair.each() {
        let path = format!("/api/tasks/{task}/prompt");
        let several = app.post_with_key(key, &path, &json!({ "message": "x" })).await;
        assert_eq!(several.refused(400, "invalid_argument").body["field"], "task_id");
    }
    assert_eq!(pair.one.events().await.len(), before);
    let path = format!("/api/projects/{far}/tasks/{task}/prompt");
    pair.one.post_with_key(key, &path, &json!({ "message": "x" })).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_instance_takes_any_request_and_says_who_owns() {
    let pair = Pair::divided(memory(3)).await;
    for (partition, url) in [(0, &pair.one.url), (1, &pair.two.url), (2, &pair.two.url)] {
        for app in pair.each() {
            let project = app.project_in(partition).await;
            let tasks = format!("/api/projects/{project}/tasks");
            let key = Uuid::now_v7();
            let first = app.post_with_key(key, &tasks, &json!({ "title": "One" })).await.ok();
            assert_eq!(owner(&first), url);
            for again in pair.each() {
                let again = again.post_with_key(key, &tasks, &json!({ "title": "One" })).await.ok();
                assert_eq!((&again.body, owner(&again)), (&first.body, url.as_str()));
                assert_eq!(again.headers["idempotency-replayed"], "true");
            }
            let task = first.body["task_id"].as_str().unwrap();
            for app in pair.each() {
                app.post(&format!("/api/tasks/{task}/prompt"), &json!({ "message": "x" })).await.ok();
                let command = json!({ "type": "update_task", "task_id": task, "title": "Two" });
                app.post("/api/commands", &json!({ "command": command })).await.ok();
                // Who may not know of it learns nothing, wherever it is.
                let path = format!("/api/tasks/{task}/cancel");
                let foreign = app.post_as(BOB, &path, &json!({})).await;
                let unknown = app.post_as(BOB, &format!("/api/tasks/{}/cancel", Uuid::now_v7()), &json!({})).await;
                assert_eq!(
                    (foreign.status, foreign.body["code"].clone()),
                    (unknown.status, unknown.body["code"].clone())
                );
                app.post_as(BOB, &tasks, &json!({ "title": "x" })).await.refused(403, "forbidden");
                app.post_as(ROOT, &format!("/api/tasks/{}/cancel", Uuid::now_v7()), &json!({}))
                    .await
                    .refused(404, "task_not_found");
            }
        }
    }
    let partitions = pair.one.send(ADA, Method::GET, "/api/partitions", None, None).await.ok().body;
    let seen: Vec<_> =
        partitions.as_array().unwrap().iter().map(|it| (it["state"].clone(), it["owner"].clone())).collect();
    let (one, two) = (&pair.one.url, &pair.two.url);
    assert_eq!(json!(seen), json!([["serving", one], ["idle", two], ["idle", two]]));
    assert_gapless(&pair.one.events().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_passed_on_is_not_passed_on_again() {
    let pair = Pair::divided(memory(2)).await;
    let project = pair.one.project_in(1).await;
    let path = format!("/api/projects/{project}/tasks");
    let answer = pair.one.asked_by("1", Uuid::now_v7(), &path, &json!({ "title": "x" })).await;
    assert_eq!(answer.refused(503, "unavailable").headers["muster-not-owner"], "true");
    // Nor does the header open any door.
    let body = json!({ "title": "x" }).to_string();
    assert_eq!(pair.one.send("", Method::POST, &path, None, Some(&body)).await.status, 401);
    assert_eq!(pair.one.send("", Method::GET, "/internal/tasks/x", None, None).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_owner_a_request_waits_then_is_told() {
    let settings = Settings { handover_patience: Duration::from_millis(100), ..Settings::default() };
    let pair = Pair::with(memory(1), settings).await;
    let create = json!({ "name": "Demo", "repository_path": "/repo" });
    let answer = pair.one.post("/api/projects", &create).await;
    assert_eq!(answer.refused(503, "unavailable").headers["retry-after"], "1");
    assert_eq!(answer.body["in_doubt"], false);
    pair.board.give(0, "http://127.0.0.1:1").await;
    pair.one.post("/api/projects", &create).await.refused(503, "unavailable");

    let pair = Arc::new(Pair::start(memory(1)).await);
    let waiting = tokio::spawn({
        let pair = Arc::clone(&pair);
        async move { pair.one.project_in(0).await }
    });
    tokio::task::yield_now().await;
    pair.board.give(0, &pair.two.url).await;
    waiting.await.unwrap();
    assert_eq!(pair.one.events().await.len(), 1);
}

/// Sends commands through both instances until it is told to stop. Every answer must be 200.
async fn load(pair: Arc<Pair>, projects: Vec<String>, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>, seed: usize) {
    let mut n = seed;
    while !stop.load(Ordering::SeqCst) {
        n += 1;
        let app = pair.each()[n % 2];
        let tasks = format!("/api/projects/{}/tasks", projects[n % projects.len()]);
        let task = app.post(&tasks, &json!({ "title": format!("Task {n}") })).await.ok().body["task_id"].clone();
        let prompt = format!("/api/tasks/{}/prompt", task.as_str().unwrap());
        pair.each()[(n / 2) % 2].post(&prompt, &json!({ "message": "x" })).await.ok();
        answered.fetch_add(2, Ordering::SeqCst);
    }
}

/// Starts load, and gives the way to end it: how many commands were answered.
fn under_load(pair: &Arc<Pair>, projects: &[String]) -> impl AsyncFnOnce() -> usize + use<> {
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|seed| {
            let (pair, projects) = (Arc::clone(pair), projects.to_vec());
            tokio::spawn(load(pair, projects, Arc::clone(&stop), Arc::clone(&answered), seed))
        })
        .collect();
    async move || {
        // Some of it after everything was done.
        let before = answered.load(Ordering::SeqCst);
        eventually(PATIENCE, || async { answered.load(Ordering::SeqCst) > before + 20 }).await;
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.unwrap();
        }
        answered.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_partitions_go_to_and_fro() {
    let pair = Arc::new(Pair::divided(memory(2)).await);
    let projects = [pair.one.project_in(0).await.to_string(), pair.one.project_in(1).await.to_string()];
    let stop = under_load(&pair, &projects);
    for round in 0..10 {
        let (one, two) = (&pair.one.url, &pair.two.url);
        let (first, second) = if round % 2 == 0 { (two, one) } else { (one, two) };
        pair.board.give(0, first).await;
        pair.board.give(1, second).await;
        eventually(PATIENCE, || async { pair.one.service.is_recovered() && pair.two.service.is_recovered() }).await;
    }
    let answered = stop().await;
    let events = pair.one.events().await;
    assert_gapless(&events);
    let commands: std::collections::HashSet<_> = events.iter().map(|event| event.command_id).collect();
    assert_eq!(commands.len(), answered + 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_an_instance_leaves() {
    let pair = Arc::new(Pair::divided(memory(4)).await);
    let projects = join_all((0..4).map(|partition| pair.one.project_in(partition))).await;
    let projects: Vec<String> = projects.iter().map(ToString::to_string).collect();
    let stop = under_load(&pair, &projects);
    pair.two.service.leave(PATIENCE).await;
    for partition in 0..4 {
        assert_eq!(pair.board.owner(partition).as_ref(), Some(&pair.one.url));
    }
    let answered = stop().await;
    let events = pair.one.events().await;
    assert_gapless(&events);
    let commands: std::collections::HashSet<_> = events.iter().map(|event| event.command_id).collect();
    assert_eq!(commands.len(), answered + 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_asks_before_it_takes_anything_back() {
    let log = FaultyLog::new(1);
    let pair = Pair::divided(Arc::new(log.clone())).await;
    let project = pair.one.project_in(0).await;
    assert_eq!(pair.board.opened(0), 1);
    // The partition is another's, and the first instance was not told: it was asleep.
    pair.board.steal(0, &pair.two.url);
    eventually(PATIENCE, || async { pair.board.opened(0) == 2 }).await;
    let tasks = format!("/api/projects/{project}/tasks");
    for n in 0..5 {
        let answer = pair.one.post(&tasks, &json!({ "title": format!("Task {n}") })).await.ok();
        assert_eq!(owner(&answer), pair.two.url);
    }
    pair.board.tell_lost(0, &pair.one.url);
    pair.one.post(&tasks, &json!({ "title": "Late" })).await.ok();
    assert_eq!(pair.board.opened(0), 2, "the zombie took the partition back");
    assert_gapless(&pair.one.events().await);
    // Given to it again, it knows what happened meanwhile.
    pair.board.give(0, &pair.one.url).await;
    let answer = pair.two.post(&tasks, &json!({ "title": "Again" })).await.ok();
    assert_eq!(owner(&answer), pair.one.url);
    assert_gapless(&pair.one.events().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zombie_takes_no_output_of_a_run_that_others_have_ended() {
    let pair = Pair::divided(memory(1)).await;
    let project = pair.one.project_in(0).await;
    let task = urgent_task(&pair.one, project, "high").await;
    let order = pair.one.post("/api/claims", &claim_body(0)).await.ok().body;
    let path = format!("/api/runs/{}/output", order["run_id"].as_str().unwrap());
    let output = |first: u64| {
        let line = json!({ "timestamp": "2026-01-01T00:00:00Z", "stream": "stdout", "content": "x" });
        json!({
            "project_id": project, "task_id": task, "fencing_token": order["fencing_token"],
            "first_line_number": first, "lines": [line],
        })
    };
    pair.one.post(&path, &output(1)).await.ok();
    // Asleep while the partition became another's, which ended the run.
    pair.board.steal(0, &pair.two.url);
    eventually(PATIENCE, || async { pair.board.opened(0) == 2 }).await;
    let cancel = format!("/api/tasks/{}/cancel", task.as_str().unwrap());
    assert_eq!(owner(&pair.two.post(&cancel, &json!({})).await.ok()), pair.two.url);
    pair.one.post(&path, &output(2)).await.refused(409, "stale_fencing_token");
}

/// What became of a command at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Done,
    /// Refused as `unavailable`.
    Undone {
        in_doubt: bool,
    },
}

/// Commands at one instance, each a task, each by a key of its own.
struct Sent {
    pair: Arc<Pair>,
    tasks: String,
    keys: Vec<Uuid>,
}

impl Sent {
    async fn answer(pair: &Pair, tasks: &str, key: Uuid) -> Answer {
        pair.one.post_with_key(key, tasks, &json!({ "title": key.to_string() })).await
    }

    fn send(&mut self) -> tokio::task::JoinHandle<Told> {
        let (pair, tasks, key) = (Arc::clone(&self.pair), self.tasks.clone(), Uuid::now_v7());
        self.keys.push(key);
        tokio::spawn(async move {
            let answer = Self::answer(&pair, &tasks, key).await;
            if answer.status == 200 {
                return Told::Done;
            }
            let refused = answer.refused(503, "unavailable");
            assert_eq!(refused.headers["retry-after"], "1");
            Told::Undone { in_doubt: refused.body["in_doubt"].as_bool().unwrap() }
        })
    }

    /// Asked again, each is done, and each is there once.
    async fn settle(self, label: &str) {
        for key in &self.keys {
            Self::answer(&self.pair, &self.tasks, *key).await.ok();
        }
        let events = self.pair.one.events().await;
        assert_gapless(&events);
        assert_eq!(events.len(), 1 + 2 * self.keys.len(), "{label}");
    }
}

/// The first instance owns the only partition, writes one command, has decided a second, and a third waits for it: one
/// event fills an append. Which of the last two came first is not known.
async fn three_under_way(log: &FaultyLog) -> (Sent, [tokio::task::JoinHandle<Told>; 3]) {
    let (handover_patience, recovery_patience) = (PATIENCE, PATIENCE);
    let settings = Settings { batch_max_events: 1, handover_patience, recovery_patience, ..Settings::default() };
    let pair = Arc::new(Pair::with(Arc::new(log.clone()), settings).await);
    pair.board.give(0, &pair.one.url).await;
    let tasks = format!("/api/projects/{}/tasks", pair.one.project_in(0).await);
    let mut sent = Sent { pair, tasks, keys: Vec::new() };
    log.close_gate().await;
    let written = sent.send();
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    let later = [sent.send(), sent.send()];
    let one = &sent.pair.one;
    eventually(PATIENCE, || async { one.service.partitions()[0].waiting_commands == 1 }).await;
    let [second, third] = later;
    (sent, [written, second, third])
}

/// Two answers of which it is not known who was first.
fn sorted(mut told: [Told; 2]) -> [Told; 2] {
    told.sort_unstable_by_key(|told| *told == Told::Done);
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_being_written_when_an_append_failed_is_answered_truly_and_once() {
    for (fault, written) in
        [(Fault::WrittenButLost, Told::Done), (Fault::LostUnwritten, Told::Undone { in_doubt: false })]
    {
        let log = FaultyLog::new(1);
        let (sent, [first, second, third]) = three_under_way(&log).await;
        log.fail_next(&[fault]).await;
        log.open_gates().await;
        // The owner has read what became of its append, and undone what it had decided beyond it; what waited goes on.
        assert_eq!(first.await.unwrap(), written, "{fault:?}");
        let later = sorted([second.await.unwrap(), third.await.unwrap()]);
        assert_eq!(later, [Told::Undone { in_doubt: false }, Told::Done], "{fault:?}");
        sent.settle(&format!("{fault:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_being_written_when_the_partition_was_lost_is_answered_truly_and_once() {
    for (told, fault) in
        [(false, None), (true, None), (true, Some(Fault::WrittenButLost)), (true, Some(Fault::LostUnwritten))]
    {
        let label = format!("{told}, {fault:?}");
        let log = FaultyLog::new(1);
        let (sent, [first, second, third]) = three_under_way(&log).await;
        let (one, two, board) = (&sent.pair.one, &sent.pair.two, &sent.pair.board);
        board.steal(0, &two.url);
        if told {
            board.tell_lost(0, &one.url);
            // All three go to the second, where one is being written, one is decided and one waits.
            eventually(PATIENCE, || async {
                one.service.partitions()[0].state == "idle"
                    && two.service.partitions()[0].waiting_commands == 1
                    && log.waiting() == 2
            })
            .await;
        } else {
            // What the first writes is refused by the log.
            eventually(PATIENCE, || async { two.service.partitions()[0].state == "serving" }).await;
        }
        if let Some(fault) = fault {
            log.fail_next(&[fault]).await;
        }
        log.open_gates().await;
        let answers = [first.await.unwrap(), second.await.unwrap(), third.await.unwrap()];
        let undone = answers.iter().filter(|told| **told != Told::Done).count();
        // What is in the log is found there; what was decided beyond it is undone.
        let expected = match fault {
            None => 0,
            Some(Fault::WrittenButLost) => 1,
            Some(_) => 2,
        };
        assert_eq!(undone, expected, "{label}: {answers:?}");
        // The second did nothing of what it says it did not; only of the one that the first was writing is that in doubt.
        let may_be = [true, false, false].map(|in_doubt| [Told::Done, Told::Undone { in_doubt }]);
        for (answer, may_be) in answers.iter().zip(&may_be) {
            assert!(may_be.contains(answer), "{label}: {answers:?}");
        }
        sent.settle(&label).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_divided_among_the_owners_and_answered_in_order() {
    let pair = Pair::divided(memory(3)).await;
    let mut projects = Vec::new();
    for partition in 0..3 {
        projects.push(pair.one.project_in(partition).await);
    }
    let task = pair.two.task(projects[2], "Known").await;
    let mut items: Vec<Value> = (0..30)
        .map(|n| {
            let command = json!({ "type": "create_task", "title": format!("Task {n}") });
            json!({ "command_id": Uuid::now_v7(), "project_id": projects[n % 3], "command": command })
        })
        .collect();
    items.push(json!({ "command": { "type": "update_task", "task_id": task, "title": "New" } }));
    items.push(json!({ "command": { "type": "cancel_task", "task_id": Uuid::now_v7() } }));
    items.push(json!({ "command": { "type": "create_project", "name": "Another", "repository_path": "/repo" } }));
    let body = json!(items);
    let mut before: Option<Value> = None;
    for app in pair.each() {
        let answer = app.post("/api/commands/batch", &body).await.ok().body;
        let results = answer.as_array().unwrap();
        assert_eq!(results.len(), items.len());
        for (item, result) in items.iter().zip(results).take(30) {
            assert_eq!(result["outcome"]["command_id"], item["command_id"]);
            assert_eq!(result["outcome"]["project_id"], item["project_id"]);
        }
        assert_eq!(results[30]["outcome"]["task_id"], json!(task));
        assert!(results[31]["problem"]["code"].is_string(), "{}", results[31]);
        assert!(results[32]["outcome"]["project_id"].is_string());
        let first: Value = results[..30].into();
        assert_eq!(before.get_or_insert_with(|| first.clone()), &first);
    }
    let events = pair.one.events().await;
    assert_gapless(&events);
    for project in &projects {
        let titles: Vec<_> = events
            .iter()
            .filter(|event| event.project_id == *project)
            .filter_map(|event| match &event.data {
                muster_domain::event::EventData::TaskCreated(task) => task.title.strip_prefix("Task ")?.parse().ok(),
                _ => None,
            })
            .collect::<Vec<u32>>();
        assert!(titles.is_sorted() && titles.len() == 10, "{titles:?}");
    }
}

fn claim_body(wait_ms: u64) -> Value {
    json!({
        "session_id": Uuid::now_v7(), "session_key": "runner-1", "roles": ["planner"],
        "workspace_dir": "/w", "data_dir": "/d", "wait_ms": wait_ms,
    })
}

async fn urgent_task(app: &App, project: impl std::fmt::Display, priority: &str) -> Value {
    let body = json!({ "title": priority, "priority": priority });
    app.post(&format!("/api/projects/{project}/tasks"), &body).await.ok().body["task_id"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_gets_the_most_urgent_work_wherever_it_is_and_once() {
    let pair = Pair::divided(memory(2)).await;
    let (near, far) = (pair.one.project_in(0).await, pair.one.project_in(1).await);
    let expected = [
        urgent_task(&pair.one, far, "urgent").await,
        urgent_task(&pair.one, near, "high").await,
        urgent_task(&pair.one, far, "medium").await,
        urgent_task(&pair.one, near, "low").await,
    ];
    for task in &expected {
        // The same key at the same time at both, and again after it.
        let (key, body) = (Uuid::now_v7(), claim_body(0));
        let both = pair.each().map(|app| app.post_with_key(key, "/api/claims", &body));
        let both = join_all(both).await;
        for answer in both {
            assert_eq!(&answer.ok().body["task_id"], task);
        }
        let [one, two] = pair.each().map(|app| app.post_with_key(key, "/api/claims", &body));
        let (one, two) = (one.await.ok(), two.await.ok());
        assert_eq!(one.body, two.body);
    }
    for app in pair.each() {
        assert_eq!(app.post("/api/claims", &claim_body(0)).await.status, 204);
        let mut foreign = claim_body(0);
        foreign["project_ids"] = json!([far]);
        app.post_as(BOB, "/api/claims", &foreign).await.refused(403, "forbidden");
    }
    let assigned = pair.one.events().await.iter().filter(|event| event.event_type() == "work.assigned").count();
    assert_eq!(assigned, expected.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_keeps_its_answer_when_everything_changes_hands() {
    let pair = Pair::divided(memory(2)).await;
    let project = pair.one.project_in(1).await;
    let task = urgent_task(&pair.one, project, "high").await;
    urgent_task(&pair.one, project, "low").await;
    let (key, body) = (Uuid::now_v7(), claim_body(0));
    let first = pair.one.post_with_key(key, "/api/claims", &body).await.ok();
    assert_eq!(first.body["task_id"], task);
    pair.board.give(0, &pair.two.url).await;
    pair.board.give(1, &pair.one.url).await;
    for app in pair.each() {
        assert_eq!(app.post_with_key(key, "/api/claims", &body).await.ok().body, first.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_claim_gets_the_card_that_comes_to_another_instance() {
    let pair = Arc::new(Pair::divided(memory(2)).await);
    for partition in 0..2 {
        let project = pair.one.project_in(partition).await;
        let waiting = tokio::spawn({
            let pair = Arc::clone(&pair);
            async move { pair.one.post("/api/claims", &claim_body(20_000)).await }
        });
        assert_eq!(pair.two.post("/api/claims", &claim_body(1)).await.status, 204);
        let task = urgent_task(&pair.two, project, "high").await;
        let claimed = tokio::time::timeout(PATIENCE, waiting).await.unwrap().unwrap().ok();
        assert_eq!(claimed.body["task_id"], task);
        let (run, token) = (claimed.body["run_id"].as_str().unwrap(), &claimed.body["fencing_token"]);
        for app in pair.each() {
            let beat = json!({ "task_id": task, "fencing_token": token });
            app.post(&format!("/api/runs/{run}/heartbeat"), &beat).await.ok();
        }
        for (n, app) in (1..).zip(pair.each()) {
            let line = json!({ "timestamp": "2026-01-01T00:00:00Z", "stream": "stdout", "content": "x" });
            let lines = json!({
                "project_id": project, "task_id": task, "fencing_token": token, "first_line_number": n, "lines": [line],
            });
            let answer = app.post(&format!("/api/runs/{run}/output"), &lines).await.ok();
            assert_eq!(answer.body["next_line_number"], n + 1);
        }
    }
}

/// Two instances over a log of two partitions that divides them itself: every request through either is answered, also
/// while one of them leaves; and what was answered stays answered.
pub async fn two_divide_a_log_and_one_leaves<L: Future<Output = Arc<dyn EventLog>>>(log: impl Fn() -> L) {
    let one = Instance::start(log().await, Settings::default()).await;
    eventually(PATIENCE, || async { one.service.is_recovered() }).await;
    let before = [one.project_in(0).await, one.project_in(1).await];
    let two = Instance::start(log().await, Settings::default()).await;
    let owners = async |instance: &Instance| {
        let list = instance.send(ADA, Method::GET, "/api/partitions", None, None).await.ok().body;
        let owners = list.as_array().unwrap().iter().map(|it| (it["owner"].clone(), it["state"].clone()));
        owners.collect::<std::collections::HashMap<_, _>>()
    };
    eventually(PATIENCE, || async {
        let (first, second) = (owners(&one).await, owners(&two).await);
        let serves = |seen: &std::collections::HashMap<Value, Value>, url: &str| {
            seen.get(&json!(url)) == Some(&json!("serving"))
        };
        serves(&first, &one.url) && serves(&second, &two.url) && first.len() == 2 && second.len() == 2
    })
    .await;
    let pair = Arc::new(Pair { one, two, board: SharedLog::over(memory(1)).board });
    let projects: Vec<String> = before.iter().map(ToString::to_string).collect();
    let keys: Vec<Uuid> = (0..20).map(|_| Uuid::now_v7()).collect();
    let send = async |app: &App, n: usize| {
        let tasks = format!("/api/projects/{}/tasks", projects[n % 2]);
        app.post_with_key(keys[n], &tasks, &json!({ "title": format!("Task {n}") })).await.ok()
    };
    let first = join_all((0..20).map(|n| send(&pair.one, n))).await;
    let by: std::collections::HashSet<&str> = first.iter().map(owner).collect();
    assert_eq!(by.len(), 2, "one instance owns everything");
    let stop = under_load(&pair, &projects);
    pair.two.service.leave(PATIENCE).await;
    let answered = stop().await;
    for (n, answer) in first.iter().enumerate() {
        for app in pair.each() {
            let again = send(app, n).await;
            assert_eq!((&again.body, owner(&again)), (&answer.body, pair.one.url.as_str()));
        }
    }
    let events = pair.one.events().await;
    assert_gapless(&events);
    let commands: std::collections::HashSet<_> = events.iter().map(|event| event.command_id).collect();
    assert_eq!(commands.len(), 2 + 20 + answered);
    for instance in pair.each() {
        instance.stop_now().await;
    }
}
