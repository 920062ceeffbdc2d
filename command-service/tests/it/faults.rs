//! What happens when the log fails: no command is lost, none is there twice, and no answer is a lie.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use http::Method;
use muster_command_service::Settings;
use muster_event_log::memory::MemoryLog;
use muster_event_log::{EventLog, Poison};
use muster_test_kit::{eventually, eventually_some};
use serde_json::json;
use uuid::Uuid;

use crate::support::{ADA, App, Fault, FaultyLog, PARTITIONS, PATIENCE, REFUSED_TITLE, assert_gapless};

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_answered_by_what_the_log_says() {
    let log = FaultyLog::new(PARTITIONS);
    let app = App::over(Arc::new(log.clone())).await;
    let project = app.project().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let key = Uuid::now_v7();

    log.fail_next(&[Fault::WrittenButLost]).await;
    let landed = app.post_with_key(key, &tasks, &json!({ "title": "Landed" })).await.ok();
    assert_eq!(app.post_with_key(key, &tasks, &json!({ "title": "Landed" })).await.ok().body, landed.body);

    let key = Uuid::now_v7();
    log.fail_next(&[Fault::LostUnwritten]).await;
    let lost = app.post_with_key(key, &tasks, &json!({ "title": "Lost" })).await;
    assert_eq!(lost.refused(503, "unavailable").body["in_doubt"], false);
    assert_eq!(lost.headers["retry-after"], "1");
    app.post_with_key(key, &tasks, &json!({ "title": "Lost" })).await.ok();

    assert_gapless(&app.events().await);
    assert_eq!(app.events().await.len(), 1 + 2 + 2);
}

#[tokio::test]
async fn what_was_decided_on_top_of_a_failed_append_is_undone() {
    let log = FaultyLog::new(1);
    let app = Arc::new(App::over(Arc::new(log.clone())).await);
    let project = app.project().await;
    let task = app.task(project, "One").await;
    let gate = log.close_gate().await;
    log.fail_next(&[Fault::Unavailable]).await;
    let send = |action: &'static str| {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.post(&format!("/api/tasks/{task}/{action}"), &json!({})).await })
    };
    let cancel = send("cancel");
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    // Refused only because of the cancellation, which has not happened: it must not be answered as if it had.
    let second = send("cancel");
    let retry = send("retry");
    tokio::task::yield_now().await;
    gate.add_permits(100);
    for answer in [cancel, second, retry] {
        let answer = answer.await.unwrap();
        let code = answer.body["code"].clone();
        assert!(code == "unavailable" || code == "invalid_transition" || answer.status == 200, "{}", answer.body);
    }
    app.post(&format!("/api/tasks/{task}/cancel"), &json!({})).await;
    let events = app.events().await;
    assert_gapless(&events);
    assert_eq!(events.iter().filter(|event| event.event_type() == "user.cancelled_task").count(), 1);
}

#[tokio::test]
async fn commands_decided_during_an_append_go_out_in_one() {
    let log = FaultyLog::new(1);
    let app = Arc::new(App::over(Arc::new(log.clone())).await);
    let project = app.project().await;
    let gate = log.close_gate().await;
    let send = |n: usize| {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.task(project, &format!("Task {n}")).await })
    };
    let first = send(0);
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    let others: Vec<_> = (1..=50).map(send).collect();
    // All are decided before the gate opens: each has passed the one thread that runs this test.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(100);
    first.await.unwrap();
    for other in others {
        other.await.unwrap();
    }
    assert_eq!(log.append_sizes().await, [1, 2, 100]);
    assert_gapless(&app.events().await);
}

#[tokio::test]
async fn a_full_mailbox_is_said_at_once() {
    let log = FaultyLog::new(1);
    let settings = Settings { mailbox_capacity: 2, batch_max_events: 1, ..Settings::default() };
    let app = Arc::new(App::with(Arc::new(log.clone()), settings).await);
    let project = app.project().await;
    let gate = log.close_gate().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let sent: Vec<_> = (0..20)
        .map(|_| {
            let (app, tasks) = (Arc::clone(&app), tasks.clone());
            tokio::spawn(async move { app.post(&tasks, &json!({ "title": "x" })).await })
        })
        .collect();
    eventually(PATIENCE, || async { sent.iter().filter(|task| task.is_finished()).count() >= 16 }).await;
    gate.add_permits(100);
    let answers = join_all(sent).await;
    let (ok, refused): (Vec<_>, Vec<_>) = answers.into_iter().map(Result::unwrap).partition(|it| it.status == 200);
    // Two in the mailbox; besides, one at the log and one decided behind it, when the writer came to run in between.
    assert!((2..=4).contains(&ok.len()), "{} were taken", ok.len());
    assert_eq!(app.events().await.len(), 1 + 2 * ok.len());
    for answer in &refused {
        assert_eq!(answer.refused(429, "overloaded").headers["retry-after"], "1");
    }
}

#[tokio::test]
async fn few_large_commands_fill_a_mailbox_as_well() {
    let log = FaultyLog::new(1);
    let settings = Settings { mailbox_max_bytes: 100_000, ..Settings::default() };
    let app = Arc::new(App::with(Arc::new(log.clone()), settings).await);
    let project = app.project().await;
    log.close_gate().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let send = |n: usize, bytes: usize| {
        let (app, tasks) = (Arc::clone(&app), tasks.clone());
        let body = json!({ "title": format!("Task {n}"), "description": "x".repeat(bytes) });
        tokio::spawn(async move { app.post(&tasks, &body).await })
    };
    let first = send(0, 40_000);
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    // Whoever goes away leaves what was taken in behind.
    let second = send(1, 40_000);
    let taken = || async { app.post(&tasks, &json!({ "title": "x", "description": "x".repeat(40_000) })).await };
    let refused = eventually_some(PATIENCE, || async {
        let asked = tokio::time::timeout(Duration::from_millis(50), taken()).await;
        asked.ok()
    })
    .await;
    assert_eq!(refused.refused(429, "overloaded").headers["retry-after"], "1");
    second.abort();
    taken().await.refused(429, "overloaded");
    // What fits is still taken in, and everything is answered.
    let small = send(2, 100);
    log.open_gates().await;
    first.await.unwrap().ok();
    small.await.unwrap().ok();
    taken().await.ok();
    app.post(&tasks, &json!({ "title": "x", "description": "x".repeat(60_000) })).await.ok();
    assert_gapless(&app.events().await);
}

#[tokio::test]
async fn requests_that_wait_hold_so_many_bytes_together() {
    let log = FaultyLog::new(2);
    let app = Arc::new(
        App::with(Arc::new(log.clone()), Settings { requests_max_bytes: 100_000, ..Settings::default() }).await,
    );
    // Whatever their partition is.
    let projects = [app.project_in(0).await, app.project_in(1).await];
    log.close_gate().await;
    let send = |project: usize| {
        let (app, tasks) = (Arc::clone(&app), format!("/api/projects/{}/tasks", projects[project]));
        tokio::spawn(async move { app.post(&tasks, &json!({ "title": "x", "description": "x".repeat(60_000) })).await })
    };
    let first = send(0);
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    assert_eq!(send(1).await.unwrap().refused(429, "overloaded").headers["retry-after"], "1");
    // Whoever goes away holds nothing.
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = send(1);
    eventually(PATIENCE, || async { log.waiting() == 2 }).await;
    log.open_gates().await;
    second.await.unwrap().ok();
    assert_gapless(&app.events().await);
}

#[tokio::test]
async fn a_batch_of_which_not_all_was_taken_says_when_to_come_again() {
    let settings = Settings { mailbox_capacity: 2, ..Settings::default() };
    let app = App::with(Arc::new(FaultyLog::new(1)), settings).await;
    let project = app.project().await;
    let command = json!({ "project_id": project, "command": { "type": "create_task", "title": "x" } });
    let all = app.post("/api/commands/batch", &json!(vec![&command; 10])).await.ok();
    let codes: Vec<_> = all.body.as_array().unwrap().iter().map(|result| &result["problem"]["code"]).collect();
    let overloaded = codes.iter().filter(|code| **code == "overloaded").count();
    assert!((1..10).contains(&overloaded), "{codes:?}");
    assert_eq!(all.headers["retry-after"], "1");
    let one = app.post("/api/commands/batch", &json!([command])).await.ok();
    assert!(!one.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn two_instances_fence_each_other_and_no_command_is_lost_or_twice() {
    let log = MemoryLog::new(1);
    let one = App::over(Arc::new(log.clone())).await;
    let two = App::over(Arc::new(log.clone())).await;
    // `two` has taken over from `one`: its first command is refused, and makes it take over in turn.
    one.post("/api/projects", &json!({ "name": "Look", "repository_path": "/repo" })).await.refused(503, "unavailable");
    let project = one.project().await;
    let tasks = format!("/api/projects/{project}/tasks");
    // `two` has not read the project yet: it looks before it denies it.
    let mut sent = 0;
    for round in 0..10 {
        for app in [&one, &two] {
            let key = Uuid::now_v7();
            let body = json!({ "title": format!("Task {round}") });
            eventually(PATIENCE, || async {
                let answer = app.post_with_key(key, &tasks, &body).await;
                assert!(answer.status == 200 || answer.status == 503, "{}", answer.body);
                answer.status == 200
            })
            .await;
            sent += 1;
        }
    }
    let events = one.events().await;
    assert_gapless(&events);
    let created = events.iter().filter(|e| e.project_id == project && e.event_type() == "task.created").count();
    assert_eq!(created, sent);
}

#[tokio::test]
async fn a_zombie_that_was_fenced_gets_nothing_into_the_log() {
    let log = MemoryLog::new(1);
    let zombie = App::over(Arc::new(log.clone())).await;
    let project = zombie.project().await;
    let task = zombie.task(project, "One").await;
    let heir = App::over(Arc::new(log.clone())).await;
    heir.post(&format!("/api/tasks/{task}/cancel"), &json!({})).await.ok();
    // The zombie still thinks the card may be cancelled. Its append is refused, and it learns better.
    let key = Uuid::now_v7();
    let path = format!("/api/tasks/{task}/cancel");
    let stale = zombie.post_with_key(key, &path, &json!({})).await;
    stale.refused(503, "unavailable");
    zombie.post_with_key(key, &path, &json!({})).await.refused(409, "already_decided");
    // Nor does it refuse by what it remembers: it looks before it says no, as the heir does with a card it never saw.
    let other = zombie.task(project, "Two").await;
    let heir_task = format!("/api/tasks/{other}");
    heir.post(&format!("{heir_task}/prompt"), &json!({ "message": "x" })).await.ok();
    let expecting = json!({ "message": "y", "expected_sequence": 3 });
    zombie.post(&format!("{heir_task}/prompt"), &expecting).await.refused(503, "unavailable");
    zombie.post(&format!("{heir_task}/prompt"), &expecting).await.ok();
    assert_gapless(&zombie.events().await);
}

#[tokio::test]
async fn while_the_log_is_away_callers_are_told_and_later_served() {
    let log = FaultyLog::new(1);
    let settings = Settings { recovery_patience: Duration::from_millis(50), ..Settings::default() };
    let app = App::with(Arc::new(log.clone()), settings).await;
    let project = app.project().await;
    log.fail_next(&[Fault::Unavailable; 3]).await;
    let tasks = format!("/api/projects/{project}/tasks");
    for _ in 0..3 {
        app.post(&tasks, &json!({ "title": "x" })).await.refused(503, "unavailable");
    }
    app.post(&tasks, &json!({ "title": "x" })).await.ok();
    assert_eq!(app.events().await.len(), 3);
}

#[tokio::test]
async fn a_command_the_log_will_never_take_does_not_take_others_with_it() {
    let log = FaultyLog::new(1);
    let app = Arc::new(App::over(Arc::new(log.clone())).await);
    let project = app.project().await;
    let gate = log.close_gate().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let send = |title: &'static str, key: Uuid| {
        let (app, tasks) = (Arc::clone(&app), tasks.clone());
        tokio::spawn(async move { app.post_with_key(key, &tasks, &json!({ "title": title })).await })
    };
    let first = send("First", Uuid::now_v7());
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    let keys = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    let together = [send("Good", keys[0]), send(REFUSED_TITLE, keys[1]), send("Good", keys[2])];
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(100);
    first.await.unwrap().ok();
    for answer in together {
        answer.await.unwrap().refused(503, "unavailable");
    }
    let again = [send("Good", keys[0]), send(REFUSED_TITLE, keys[1]), send("Good", keys[2])];
    let [good, bad, other] = again;
    bad.await.unwrap().refused(500, "internal");
    for answer in [good.await.unwrap(), other.await.unwrap()] {
        // What was decided on top of the refused one is undone with it, and may be sent again.
        assert!(answer.status == 200 || answer.body["code"] == "unavailable", "{}", answer.body);
    }
    for key in [keys[0], keys[2]] {
        send("Good", key).await.unwrap().ok();
    }
    assert_gapless(&app.events().await);
    assert_eq!(app.events().await.len(), 1 + 3 * 2);
}

#[tokio::test]
async fn a_project_whose_history_cannot_be_read_is_refused_alone() {
    let log = MemoryLog::new(1);
    let app = App::over(Arc::new(log.clone())).await;
    let (whole, broken) = (app.project().await, app.project().await);
    app.stop().await;
    let poison = |project, position| Poison {
        error: "a test".to_owned(),
        event_type: None,
        project_id: Some(project),
        position,
        value: Vec::new().into(),
        headers: Vec::new(),
    };
    log.inject(0, Err(poison(broken, Some(2)))).unwrap();
    // No writer wrote these: they are not the next of the project, so nothing is missing without them.
    for position in [None, Some(1), Some(9)] {
        log.inject(0, Err(poison(whole, position))).unwrap();
    }
    let app = App::over(Arc::new(log.clone())).await;
    let create = async |project| app.post(&format!("/api/projects/{project}/tasks"), &json!({ "title": "x" })).await;
    create(broken).await.refused(503, "unavailable");
    create(whole).await.ok();
    assert_eq!(log.end(0).await.unwrap().0, 6 + 2);
}

#[tokio::test]
async fn a_member_is_not_refused_while_the_log_cannot_say_who_is_one() {
    let log = FaultyLog::new(1);
    let settings = Settings { recovery_patience: Duration::from_millis(50), ..Settings::default() };
    let app = Arc::new(App::with(Arc::new(log.clone()), settings).await);
    let project = app.project().await;
    let gate = log.close_gate().await;
    log.fail_next(&[Fault::WrittenButLost]).await;
    log.refuse_writers(true);
    let send = |user: &'static str, method: Method, path: String, body: &'static str| {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.send(user, method, &path, None, Some(body)).await })
    };
    let tasks = format!("/api/projects/{project}/tasks");
    let added = send(ADA, Method::PUT, format!("/api/projects/{project}/members/bob"), r#"{"role":"operator"}"#);
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    let first = send("bob", Method::POST, tasks.clone(), r#"{"title":"Early"}"#);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }

    log.open_gate(&gate).await;

    assert_eq!(added.await.unwrap().refused(503, "unavailable").body["in_doubt"], true);
    first.await.unwrap().refused(503, "unavailable");
    log.refuse_writers(false);
    eventually(PATIENCE, || async {
        let answer = app.send("bob", Method::POST, &tasks, None, Some(r#"{"title":"Late"}"#)).await;
        assert_ne!(answer.status, 403, "{}", answer.body);
        answer.status == 200
    })
    .await;
}
