//! Connections: pages between cursors, and the cost of a list.

use std::cell::Cell;

use muster_domain::id::{ProjectId, TaskId};
use muster_domain::model::Priority;
use serde_json::{Value, json};
use tracing::subscriber::set_global_default;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::support::{Server, World};

const PAGE: &str =
    "query($project: ID!, $order: TaskOrder!, $first: Int, $after: String, $last: Int, $before: String) {
    tasks(projectId: $project, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
        nodes { title } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }";

fn titles(page: &Value) -> Vec<String> {
    page["tasks"]["nodes"].as_array().unwrap().iter().map(|n| n["title"].as_str().unwrap().to_owned()).collect()
}

async fn board(world: &World) -> ProjectId {
    let project = world.project("ada").await;
    for (title, priority) in [
        ("low 1", Priority::Low),
        ("urgent 1", Priority::Urgent),
        ("medium 1", Priority::Medium),
        ("urgent 2", Priority::Urgent),
        ("low 2", Priority::Low),
    ] {
        world.task("ada", project, title, priority).await;
    }
    project
}

#[tokio::test]
async fn every_order_is_walked_forwards_and_backwards() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = board(&world).await;
    let orders = [
        ("PRIORITY", ["urgent 1", "urgent 2", "medium 1", "low 1", "low 2"]),
        ("OLDEST", ["low 1", "urgent 1", "medium 1", "urgent 2", "low 2"]),
        ("NEWEST", ["low 2", "urgent 2", "medium 1", "urgent 1", "low 1"]),
        ("UPDATED", ["low 2", "urgent 2", "medium 1", "urgent 1", "low 1"]),
    ];
    for (order, expected) in orders {
        let mut seen = Vec::new();
        let mut after = Value::Null;
        loop {
            let variables = json!({ "project": project, "order": order, "first": 2, "after": after });
            let page = server.data("ada", PAGE, variables).await;
            seen.extend(titles(&page));
            let info = &page["tasks"]["pageInfo"];
            assert_eq!(info["hasPreviousPage"], !after.is_null());
            after = info["endCursor"].clone();
            if info["hasNextPage"] == false {
                break;
            }
        }
        assert_eq!(seen, expected, "{order} forwards");

        let mut seen = Vec::new();
        let mut before = Value::Null;
        loop {
            let variables = json!({ "project": project, "order": order, "last": 2, "before": before });
            let page = server.data("ada", PAGE, variables).await;
            seen.splice(0..0, titles(&page));
            let info = &page["tasks"]["pageInfo"];
            before = info["startCursor"].clone();
            if info["hasPreviousPage"] == false {
                break;
            }
        }
        assert_eq!(seen, expected, "{order} backwards");
    }
}

#[tokio::test]
async fn inserts_neither_repeat_nor_hide_a_row() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = board(&world).await;
    let page = server.data("ada", PAGE, json!({ "project": project, "order": "PRIORITY", "first": 3 })).await;
    assert_eq!(titles(&page), ["urgent 1", "urgent 2", "medium 1"]);
    world.task("ada", project, "urgent 3", Priority::Urgent).await;
    world.task("ada", project, "low 3", Priority::Low).await;
    let after = &page["tasks"]["pageInfo"]["endCursor"];
    let variables = json!({ "project": project, "order": "PRIORITY", "first": 9, "after": after });
    assert_eq!(titles(&server.data("ada", PAGE, variables).await), ["low 1", "low 2", "low 3"]);
}

#[tokio::test]
async fn filters_narrow_a_list() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = board(&world).await;
    let document = "query($project: ID!, $filter: TaskFilter) {
        tasks(projectId: $project, filter: $filter, orderBy: OLDEST) { nodes { title } } }";
    for (filter, expected) in [
        (json!({ "priority": ["URGENT", "MEDIUM"] }), vec!["urgent 1", "medium 1", "urgent 2"]),
        (json!({ "text": "LOW" }), vec!["low 1", "low 2"]),
        (json!({ "text": "%" }), vec![]),
        (json!({ "status": ["DONE"] }), vec![]),
        (json!({ "assigned": true }), vec![]),
        (json!({ "createdBy": "bob" }), vec![]),
        (json!({ "createdBy": "ada", "text": "medium", "assigned": false }), vec!["medium 1"]),
    ] {
        let page = server.data("ada", document, json!({ "project": project, "filter": filter })).await;
        assert_eq!(titles(&page), expected, "{filter}");
    }
}

#[tokio::test]
async fn unusable_pages_are_refused() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = board(&world).await;
    let page = server.data("ada", PAGE, json!({ "project": project, "order": "OLDEST", "first": 1 })).await;
    let cursor = &page["tasks"]["pageInfo"]["endCursor"];
    for wrong in [
        json!({ "order": "NEWEST", "after": cursor }),
        json!({ "order": "NEWEST", "after": "nonsense" }),
        json!({ "order": "NEWEST", "first": -1 }),
        json!({ "order": "NEWEST", "first": 100_000 }),
        json!({ "order": "NEWEST", "first": 1, "last": 1 }),
    ] {
        let mut variables = wrong.clone();
        variables["project"] = json!(project);
        let code = server.refusal("ada", PAGE, variables).await;
        assert!(code == "INVALID_ARGUMENT" || code == "QUERY_TOO_COMPLEX", "{wrong}: {code}");
    }
}

thread_local! {
    static STATEMENTS: Cell<usize> = const { Cell::new(0) };
}

/// Counts the statements that the driver reports, by thread: a test has one of its own.
struct CountStatements;

impl<S: tracing::Subscriber> Layer<S> for CountStatements {
    fn on_event(&self, event: &tracing::Event<'_>, _ctx: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            STATEMENTS.set(STATEMENTS.get() + 1);
        }
    }
}

#[tokio::test]
async fn a_list_with_children_costs_the_same_statements_however_long_it_is() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let small = world.project("ada").await;
    let large = world.project("ada").await;
    for (project, count) in [(small, 1), (large, 20)] {
        let mut before: Option<TaskId> = None;
        for n in 0..count {
            let blocked_by = before.into_iter().collect();
            let title = format!("task {n}");
            before = Some(world.task_after("ada", project, &title, Priority::Medium, blocked_by).await);
        }
    }
    let document = "query($project: ID!) { tasks(projectId: $project, first: 50) { nodes { title
        project { name } subtasks { id } runs { id } blockedBy { title } blocks { title } artifacts { id } questions { id } } } }";
    // For the whole process: what a thread without a subscriber meets first is never reported to any.
    set_global_default(tracing_subscriber::registry().with(CountStatements)).unwrap();
    let mut costs = Vec::new();
    for (project, count) in [(small, 1), (large, 20)] {
        let before = STATEMENTS.get();
        let data = server.data("ada", document, json!({ "project": project })).await;
        assert_eq!(titles(&data).len(), count);
        costs.push(STATEMENTS.get() - before);
    }
    let count = world.position(large).await;
    let document = "subscription($project: ID!) { events(projectId: $project, after: 0) { position task { title } } }";
    let before = STATEMENTS.get();
    let mut socket = server.subscribe("ada", document, json!({ "project": large })).await;
    for position in 1..=count {
        let event = &socket.next().await["events"];
        assert_eq!(event["position"], position);
        assert_eq!(event["task"].is_null(), position == 1);
    }
    assert!(count > 20 && STATEMENTS.get() - before < 10, "the tasks of a batch of events are read together");
    // Membership, tasks, and one statement for each kind of child; the tasks behind dependencies once more at most.
    assert!(costs[0] >= 8, "{costs:?}: the counter counts");
    assert!(costs[1] <= costs[0] + 2 && costs[1] <= 12, "{costs:?}");
}
