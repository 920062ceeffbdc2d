//! What strangers are told over REST, streams and sockets, and what ids do that stand in two projects.

use muster_domain::command::CreateTask;
use muster_domain::id::{ProjectId, TaskId};
use muster_domain::model::{Complexity, Priority};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::fields_of;
use crate::support::{ADMIN, Server, World};

/// A project, a task and a run.
struct Ids([Uuid; 3]);

impl Ids {
    fn nowhere() -> Self {
        Self([Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()])
    }

    fn put_in(&self, path: &str) -> String {
        let [project, task, run] = self.0.map(|id| id.to_string());
        path.replace("{project}", &project).replace("{task}", &task).replace("{run}", &run)
    }

    fn take_out(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, id| text.replace(&id.to_string(), "id"))
    }

    fn variables(&self) -> Value {
        let [project, task, run] = self.0;
        json!({ "project": project, "task": task, "run": run })
    }
}

/// A project of `owner` with a planned task, whose run has put out lines.
async fn worked_on(world: &World, owner: &str) -> Ids {
    let project = world.project(owner).await;
    world.task(owner, project, "Secret", Priority::High).await;
    let (task, run) = world.plan(project).await;
    world.output(project, task, run, 1..4).await;
    Ids([project.0, task.0, run.0])
}

fn card(task_id: TaskId, title: &str) -> CreateTask {
    CreateTask {
        task_id: Some(task_id),
        title: title.to_owned(),
        description: String::new(),
        acceptance_criteria: Vec::new(),
        priority: Priority::Low,
        complexity: Complexity::S,
        blocked_by: Vec::new(),
        interactive: false,
    }
}

async fn told(server: &Server, user: &str, path: &str, ids: &Ids) -> (u16, Vec<String>, String) {
    let response = server.get(user, &ids.put_in(path)).await;
    let mut names: Vec<_> = response.headers().keys().map(ToString::to_string).collect();
    names.sort();
    (response.status().as_u16(), names, ids.take_out(&response.text().await.unwrap()))
}

#[tokio::test]
async fn every_read_answers_a_stranger_alike_whether_it_is_there_or_not() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let (real, nowhere) = (worked_on(&world, "ada").await, Ids::nowhere());
    for path in [
        "/tasks/{task}/state",
        "/tasks/{task}/state?sequence=1",
        "/tasks/{task}/state?sequence=9999",
        "/events/{task}",
        "/events/{task}?after=1",
        "/events/{task}?after=9999",
        "/events/{task}/stream",
        "/events/{task}/stream?after=9999",
        "/api/projects/{project}/events",
        "/api/projects/{project}/events?after=1",
        "/api/projects/{project}/events?after=9999",
        "/api/projects/{project}/events?subscribe_logs=all",
        "/api/projects/{project}/events?subscribe_logs={run}",
        "/api/projects/{project}/active-runs",
    ] {
        let of_stranger = told(&server, "eve", path, &real).await;
        assert_eq!(of_stranger, told(&server, "eve", path, &nowhere).await, "{path}");
        assert_eq!(of_stranger.0, 403, "{path}");
        assert!(of_stranger.2.contains("\"forbidden\""), "{path}: {}", of_stranger.2);
    }
    let none = told(&server, "eve", "/tasks?project_id={project}", &real).await;
    assert_eq!(none, told(&server, "eve", "/tasks?project_id={project}", &nowhere).await);
    for path in ["/ws/{task}", "/ws/{task}?after=1", "/ws/projects/{project}", "/ws/projects/{project}?after=1"] {
        for ids in [&real, &nowhere] {
            assert_eq!(server.plain_socket("eve", &ids.put_in(path)).await.err(), Some(403), "{path}");
        }
    }
    for (path, code) in [("/tasks/{task}/state", "task_not_found"), ("/events/{task}", "task_not_found")] {
        let of_admin = told(&server, ADMIN, path, &nowhere).await;
        assert!(of_admin.0 == 404 && of_admin.2.contains(code), "{path}: {}", of_admin.2);
    }
}

#[tokio::test]
async fn every_subscription_answers_a_stranger_alike_whether_it_is_there_or_not() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let (real, nowhere) = (worked_on(&world, "ada").await, Ids::nowhere());
    let documents = [
        "subscription($project: ID!) { events(projectId: $project) { data } }",
        "subscription($project: ID!) { events(projectId: $project, after: 0) { data } }",
        "subscription($project: ID!) { events(projectId: $project, after: 9999) { data } }",
        "subscription($project: ID!, $task: ID!) { events(projectId: $project, taskId: $task, after: 0) { data } }",
        "subscription($project: ID!) { taskChanged(projectId: $project) { title } }",
        "subscription($project: ID!) { taskChanged(projectId: $project, after: 0) { title } }",
        "subscription($run: ID!) { agentOutput(runId: $run) { content } }",
        "subscription($run: ID!) { agentOutput(runId: $run, after: 9999) { content } }",
    ];
    for field in fields_of("Subscription") {
        assert!(
            documents.iter().any(|document| document.contains(&format!("{{ {field}("))),
            "{field} is not asked for"
        );
    }
    for document in documents {
        let mut answers = Vec::new();
        for ids in [&real, &nowhere] {
            let mut socket = server.subscribe("eve", document, ids.variables()).await;
            answers.push(ids.take_out(&socket.receive().await.to_string()));
        }
        assert_eq!(answers[0], answers[1], "{document}");
        assert!(answers[0].contains("\"FORBIDDEN\""), "{document}: {}", answers[0]);
    }
}

#[tokio::test]
async fn a_foreign_id_within_ones_own_project_tells_nothing() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let foreign = worked_on(&world, "ada").await;
    let mine = world.project("eve").await;
    for number in 0..40 {
        // As many positions as the other project has, so that none of its events lies behind the end of this one.
        world.task("eve", mine, &format!("Mine {number}"), Priority::Low).await;
    }
    let nowhere = Ids::nowhere();
    let logs = format!("/api/projects/{mine}/events?subscribe_logs={{run}}");
    let of_foreign = told(&server, "eve", &logs, &foreign).await;
    assert_eq!(of_foreign, told(&server, "eve", &logs, &nowhere).await);
    assert_eq!(of_foreign.0, 404);

    let task = TaskId(foreign.0[1]);
    let document = "subscription($project: ID!, $task: ID!) {
        events(projectId: $project, taskId: $task, after: 0) { projectId type data task { title } } }";
    let mut socket = server.subscribe("eve", document, json!({ "project": mine, "task": task })).await;
    world.send("eve", mine, card(task, "My own")).await;
    let first = socket.next().await;
    assert_eq!(first["events"]["projectId"], json!(mine), "{first}");
    assert_eq!(first["events"]["task"]["title"], "My own");
}

#[tokio::test]
async fn of_two_tasks_of_one_id_each_is_shown_to_its_members() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let before = world.project("bob").await;
    let task = TaskId(Uuid::now_v7());
    world.send("bob", before, card(task, "Of bob")).await;
    let ids = {
        let project = world.project("ada").await;
        world.send("ada", project, card(task, "Of ada")).await;
        let (planned, run) = world.plan(project).await;
        assert_eq!(planned, task);
        Ids([project.0, task.0, run.0])
    };
    let after = world.project("eve").await;
    world.send("eve", after, card(task, "Of eve")).await;

    let document = "query($task: ID!) {
        task(id: $task) { title project { id } runs { id task { title } } plan { text } }
        eventHistory(taskId: $task) { nodes { projectId task { title } } }
        runs(taskId: $task) { nodes { id projectId } }
        taskAt(taskId: $task, sequence: 1) { title }
    }";
    let of = |title: &'static str, project: ProjectId, runs: usize| (title, project, runs);
    for (user, (title, project, runs)) in [
        ("ada", of("Of ada", ProjectId(ids.0[0]), 1)),
        ("bob", of("Of bob", before, 0)),
        ("eve", of("Of eve", after, 0)),
        // An admin sees all, and is shown the oldest.
        (ADMIN, of("Of bob", before, 0)),
    ] {
        let data = server.data(user, document, json!({ "task": task })).await;
        assert_eq!((&data["task"]["title"], &data["taskAt"]["title"]), (&json!(title), &json!(title)), "{user}");
        assert_eq!(data["task"]["project"]["id"], json!(project), "{user}");
        for list in [&data["task"]["runs"], &data["runs"]["nodes"]] {
            assert_eq!(list.as_array().unwrap().len(), runs, "{user}");
        }
        assert_eq!(data["task"]["plan"].is_null(), runs == 0, "{user}");
        for event in data["eventHistory"]["nodes"].as_array().unwrap() {
            assert_eq!(event, &json!({ "projectId": project, "task": { "title": title } }), "{user}");
        }
        let state: Value = server.get(user, &format!("/tasks/{task}/state")).await.json().await.unwrap();
        assert_eq!(state["title"], title, "{user}");
    }
}
