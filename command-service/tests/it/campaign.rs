//! Many callers, two instances that fence each other, one that is replaced, and a log that fails by chance: every answer
//! must be what the log says, and the log must hold the invariants.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use muster_domain::event::Event;
use muster_domain::invariants;
use muster_domain::state::{ProjectState, fold};
use parking_lot::Mutex;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, Chance, FaultyLog, PARTITIONS, assert_gapless};

const CALLERS: u64 = 8;
const COMMANDS: usize = 40;

struct Instances(Mutex<Vec<Arc<App>>>);

impl Instances {
    fn any(&self, chance: &mut Chance) -> Arc<App> {
        let apps = self.0.lock();
        Arc::clone(&apps[chance.below(apps.len())])
    }
}

/// Asks any instance until the answer is definite. Claims are definite when there was no work.
async fn ask(instances: &Instances, chance: &mut Chance, key: Uuid, path: &str, body: &Value) -> (u16, Value) {
    loop {
        let answer = instances.any(chance).post_with_key(key, path, body).await;
        match answer.status.as_u16() {
            408 | 429 | 503 => tokio::task::yield_now().await,
            status => return (status, answer.body),
        }
    }
}

fn command(chance: &mut Chance, project: &str, task: &str) -> (String, Value) {
    let tasks = format!("/api/projects/{project}/tasks");
    match chance.below(8) {
        0 | 1 => (tasks, json!({ "title": "Another" })),
        2 => (format!("{tasks}/{task}/prompt"), json!({ "message": "x" })),
        3 => (format!("{tasks}/{task}/prompt"), json!({ "message": "x", "expected_sequence": chance.below(6) })),
        4 => (format!("{tasks}/{task}/cancel"), json!({})),
        5 => (format!("{tasks}/{task}/retry"), json!({})),
        6 => (format!("/api/projects/{project}/dispatch"), json!({})),
        _ => {
            let claim = json!({
                "type": "claim_work", "session_id": Uuid::now_v7(), "session_key": "s", "roles": ["planner"],
                "lease_duration_ms": 60_000, "workspace_dir": "/w", "data_dir": "/d",
            });
            ("/api/commands".to_owned(), json!({ "project_id": project, "command": claim }))
        }
    }
}

async fn caller(instances: &Instances, projects: &[String], seed: u64) -> Vec<(Uuid, u16, Value)> {
    let mut chance = Chance(seed);
    let mut answers = Vec::new();
    let mut tasks = vec![Uuid::now_v7().to_string()];
    for _ in 0..COMMANDS {
        let project = &projects[chance.below(projects.len())];
        let task = tasks[chance.below(tasks.len())].clone();
        let (path, body) = command(&mut chance, project, &task);
        let key = Uuid::now_v7();
        let (status, body) = ask(instances, &mut chance, key, &path, &body).await;
        tasks.extend(body["task_id"].as_str().map(str::to_owned));
        answers.push((key, status, body));
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_what_the_log_says() {
    let log = FaultyLog::new(PARTITIONS);
    let start = async || Arc::new(App::over(Arc::new(log.clone())).await);
    let first = start().await;
    let projects = [first.project().await.to_string(), first.project().await.to_string()];
    let instances = Arc::new(Instances(Mutex::new(vec![first, start().await])));
    log.fail_by_chance(20);

    let callers = (0..CALLERS).map(|seed| {
        let (instances, projects) = (Arc::clone(&instances), projects.clone());
        tokio::spawn(async move { caller(&instances, &projects, seed).await })
    });
    let callers: Vec<_> = callers.collect();
    // One instance is replaced while they call; those that wait for it are told, and ask another.
    let heir = start().await;
    let gone = std::mem::replace(&mut instances.0.lock()[0], heir);
    gone.stop_now().await;
    let answers: Vec<_> = join_all(callers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(answers.len(), usize::try_from(CALLERS).unwrap() * COMMANDS);

    let reader = start().await;
    let events = reader.events().await;
    assert_gapless(&events);
    let mut by_command: HashMap<Uuid, Vec<&Event>> = HashMap::new();
    for event in &events {
        by_command.entry(event.command_id.0).or_default().push(event);
    }
    for (key, status, body) in &answers {
        let ids: Vec<Value> = by_command.get(key).into_iter().flatten().map(|event| json!(event.id)).collect();
        match status {
            200 => assert_eq!(body["event_ids"], json!(ids), "I1: {body}"),
            400..500 => assert!(ids.is_empty(), "I2: {body}"),
            _ => panic!("{status}: {body}"),
        }
    }
    assert!(answers.iter().filter(|(_, status, _)| *status == 200).count() > 100);
    for project in &projects {
        let history: Vec<Event> =
            events.iter().filter(|event| event.project_id.to_string() == *project).map(|it| (**it).clone()).collect();
        let state = history.iter().fold(ProjectState::default(), fold);
        invariants::check(&state, &history).unwrap();
    }
}
