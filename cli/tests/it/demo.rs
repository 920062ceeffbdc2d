//! `muster demo` against a running server, and that every surface tells the same of it.

use std::collections::BTreeMap;
use std::path::Path;

use futures::StreamExt;
use muster_client::domain::event::Event;
use muster_client::domain::id::{ProjectId, TaskId};
use muster_client::domain::state::fold_task;
use muster_test_kit::eventually;
use serde_json::{Value, json};

use crate::support::WITHIN;
use crate::support::cli::{Ran, command, muster, run};
use crate::support::graphql;
use crate::support::repository::git;
use crate::support::server::DevServer;

#[tokio::test(flavor = "multi_thread")]
async fn both_tasks_are_merged_and_every_surface_tells_the_same() {
    let server = DevServer::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let ran = demo(&server, folder.path()).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let played = Played::read(&ran);
    played.check_story();
    played.check_surfaces(&server).await;
    check_repository(&folder.path().join("greeter")).await;
    check_nothing_left(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_it_starts_one_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("greeter");
    let mut demo = command(None, folder.path(), &["demo", "--json", "--repository"]);
    demo.arg(&repository).env("TMPDIR", folder.path());
    let ran = run(demo).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    Played::read(&ran).check_story();
    check_repository(&repository).await;
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["greeter"], "the private server's data is gone");
}

/// Plays the demo, with its repository at `folder/greeter`.
pub async fn demo(server: &DevServer, folder: &Path) -> Ran {
    run(demo_command(server, folder)).await
}

pub fn demo_command(server: &DevServer, folder: &Path) -> std::process::Command {
    let mut demo = command(Some(server), folder, &["demo", "--json", "--repository"]);
    demo.arg(folder.join("greeter"));
    demo
}

/// What the demo wrote.
pub struct Played {
    pub events: Vec<Event>,
    pub result: Value,
}

impl Played {
    pub fn read(ran: &Ran) -> Self {
        let mut lines = ran.json_lines();
        let result = lines.pop().expect("the demo writes its result last")["demo"].take();
        let parse = |line| serde_json::from_value(line).expect("every other line is an event");
        Self { events: lines.into_iter().map(parse).collect(), result }
    }

    fn project_id(&self) -> ProjectId {
        self.events[0].project_id
    }

    fn tasks(&self) -> [TaskId; 2] {
        let ids = self.result["tasks"].as_array().expect("two tasks").iter();
        let ids: Vec<TaskId> =
            ids.map(|task| task["task_id"].as_str().expect("an id").parse().expect("a UUID")).collect();
        ids.try_into().expect("two tasks")
    }

    fn of_type(&self, event_type: &str) -> Vec<&Event> {
        self.events.iter().filter(|event| event.event_type() == event_type).collect()
    }

    /// What must hold however often something was tried again.
    pub fn check_once_and_in_order(&self) {
        assert_eq!(self.result["done"], json!(true), "{}", self.result);
        let positions: Vec<_> = self.events.iter().map(|event| event.position).collect();
        assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>(), "every position once, in order");
        let mut sequences: BTreeMap<TaskId, u64> = BTreeMap::new();
        for event in &self.events {
            let Some(task_id) = event.task_id else { continue };
            let last = sequences.entry(task_id).or_default();
            assert_eq!(event.sequence, *last + 1, "every sequence once, in order");
            *last = event.sequence;
        }
        for task_id in self.tasks() {
            let completed = self.of_type("task.completed").into_iter().filter(|event| event.task_id == Some(task_id));
            assert_eq!(completed.count(), 1, "each task ends once");
        }
        let into_main =
            self.of_type("branch.merged").into_iter().filter(|event| event.data.to_json()["into"] == "main");
        assert_eq!(into_main.count(), 2, "each task is merged once");
    }

    /// What the demo is about: a failure that is repaired, a task that waits, plans that are approved.
    pub fn check_story(&self) {
        self.check_once_and_in_order();
        let [first, second] = self.tasks();
        let passed = |event: &&Event| event.data.to_json()["report"]["passed"] == json!(true);
        let verified: Vec<_> = self.of_type("verification.complete").into_iter().map(|event| passed(&event)).collect();
        assert_eq!(verified[..3], [false, true, true], "the first try fails, the second passes, so does the review");
        let told = &self.of_type("iteration.started")[2].data.to_json()["feedback"];
        assert!(told.as_str().is_some_and(|told| told.contains("FAIL")), "the second try is told what failed: {told}");
        let position = |event_type: &str, task_id| {
            let mut found = self.of_type(event_type).into_iter().filter(|event| event.task_id == Some(task_id));
            found.next().map(|event| event.position)
        };
        assert!(position("task.completed", first) < position("task.started", second), "the second waits for the first");
        assert_eq!(self.of_type("user.approved_plan").len(), 2);
        assert_eq!(self.result["tests_passed"], json!(true));
        assert!(
            self.result["test_output"].as_str().expect("a text").ends_with("3 passed, 0 failed"),
            "{}",
            self.result
        );
    }

    /// The subscription, the history, the board and time travel against what the demo saw.
    pub async fn check_surfaces(&self, server: &DevServer) {
        let seen: Vec<_> = self.events.iter().map(|event| event.id).collect();
        let followed: Vec<Event> = server
            .client()
            .events(self.project_id(), 0)
            .take(seen.len())
            .map(|event| event.expect("an event"))
            .collect()
            .await;
        assert_eq!(followed.iter().map(|event| event.id).collect::<Vec<_>>(), seen, "the subscription");

        for task_id in self.tasks() {
            let own: Vec<_> = self.events.iter().filter(|event| event.task_id == Some(task_id)).collect();
            let id = task_id.to_string();
            let replay: Value = muster(server, &["replay", &id, "--json"]).await.json();
            assert_eq!(replay["events"], serde_json::to_value(&own).expect("JSON"), "the history");
            let folded = own.iter().copied().fold(None, fold_task).expect("a state");
            let document = "query($id: ID!, $sequence: Int!) { taskAt(taskId: $id, sequence: $sequence) { state } }";
            let at = graphql::run(server, document, json!({ "id": id, "sequence": folded.sequence })).await.data();
            assert_eq!(at["taskAt"]["state"], serde_json::to_value(&folded).expect("JSON"), "time travel");
            let row =
                graphql::run(server, "query($id: ID!) { task(id: $id) { status sequence } }", json!({ "id": id }));
            assert_eq!(row.await.data()["task"], json!({ "status": "DONE", "sequence": folded.sequence }), "the board");
        }
        let project = self.project_id().to_string();
        let list: Value = muster(server, &["list", "--json", "--project", &project]).await.json();
        let statuses: Vec<_> = list.as_array().expect("a list").iter().map(|task| task["status"].clone()).collect();
        assert_eq!(statuses, ["done", "done"]);
        self.check_logs(server).await;
    }

    /// What the agents said is kept, gapless by line number.
    async fn check_logs(&self, server: &DevServer) {
        for event in self.of_type("run.complete") {
            let run_id = event.data.to_json()["run_id"].as_str().expect("an id").to_owned();
            let ran = muster(server, &["logs", &run_id, "--json"]).await;
            let lines = ran.json_lines();
            let numbers: Vec<_> = lines.iter().map(|line| line["line_number"].as_u64().expect("a number")).collect();
            assert!(!numbers.is_empty(), "run {run_id} said something");
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
        }
    }
}

/// The merged branch: both tasks' work in it, checked out, clean, and no worktree left.
pub async fn check_repository(repository: &Path) {
    let log = git(repository, &["log", "--format=%s", "main"]);
    for title in ["Greet people by name", "Shout when asked to"] {
        assert_eq!(log.lines().filter(|subject| subject.ends_with(title)).count(), 1, "{log}");
    }
    assert_eq!(git(repository, &["status", "--porcelain"]), "");
    eventually(WITHIN, || async { git(repository, &["worktree", "list"]).lines().count() == 1 }).await;
    let readme = std::fs::read_to_string(repository.join("README.md")).expect("the README");
    assert!(readme.contains("--shout"), "the working tree came along: {readme}");
}

/// No session's folder and no agent's process is left.
pub async fn check_nothing_left(server: &DevServer) {
    let sessions = server.data_dir().join("runner/sessions");
    let folders = || std::fs::read_dir(&sessions).into_iter().flatten().count();
    let works_there = |process: &std::fs::DirEntry| {
        std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&sessions))
    };
    let agents = || std::fs::read_dir("/proc").into_iter().flatten().flatten().filter(works_there).count();
    eventually(WITHIN, || async { (folders(), agents()) == (0, 0) }).await;
}
