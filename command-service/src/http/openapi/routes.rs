//! The routes, each with what it takes and gives. Must never name a route the router lacks: a test asks it for each.

use serde_json::{Map, Value, json};

use super::schemas::{body, reference};
use crate::http::tasks::ACTIONS;

/// Every command, by the name of its type.
pub(super) const COMMANDS: [&str; 19] = [
    "CreateProject",
    "ChangeSettings",
    "AddMember",
    "RemoveMember",
    "CreateTask",
    "UpdateTask",
    "DispatchTask",
    "MoveTask",
    "ApprovePlan",
    "RejectPlan",
    "AnswerQuestion",
    "RequestRetry",
    "InjectPrompt",
    "CancelTask",
    "AddArtifact",
    "ClaimWork",
    "RenewLease",
    "ExpireLeases",
    "ReportRun",
];

struct Route {
    method: &'static str,
    path: String,
    tag: &'static str,
    summary: String,
    body: Value,
    /// Whether a body may be left out.
    body_optional: bool,
    answer: Value,
    /// What 204 means, where it may be answered.
    nothing: Option<&'static str>,
}

impl Route {
    fn new(method: &'static str, path: &str, tag: &'static str, summary: &str, body: Value, answer: Value) -> Self {
        let (path, summary) = (path.to_owned(), summary.to_owned());
        Self { method, path, tag, summary, body, body_optional: false, answer, nothing: None }
    }

    fn operation(&self) -> Value {
        let mut parameters = vec![
            json!({ "$ref": "#/components/parameters/IdempotencyKey" }),
            json!({ "$ref": "#/components/parameters/Source" }),
            json!({ "$ref": "#/components/parameters/OnBehalfOf" }),
        ];
        for name in self.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            let schema = if name == "user" {
                json!({ "type": "string" })
            } else {
                json!({ "type": "string", "format": "uuid" })
            };
            parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": schema }));
        }
        let mut responses = Map::new();
        responses.insert(
            "200".to_owned(),
            json!({
                "description": "It is done, and durable.",
                "content": { "application/json": { "schema": self.answer } },
            }),
        );
        if let Some(nothing) = self.nothing {
            responses.insert("204".to_owned(), json!({ "description": nothing }));
        }
        responses.insert("default".to_owned(), json!({ "$ref": "#/components/responses/Problem" }));
        let mut operation = json!({
            "operationId": self.operation_id(),
            "tags": [self.tag],
            "summary": self.summary,
            "parameters": parameters,
            "responses": responses,
        });
        if !self.body.is_null() {
            operation["requestBody"] = json!({
                "required": !self.body_optional,
                "content": { "application/json": { "schema": self.body } },
            });
        }
        operation
    }

    fn operation_id(&self) -> String {
        let path = self.path.trim_start_matches("/api/").replace(['{', '}'], "").replace(['/', '.'], "_");
        format!("{}_{path}", self.method)
    }
}

/// The paths of the document.
pub(super) fn paths() -> Value {
    let mut paths = Map::new();
    for route in routes() {
        let item = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        item[route.method] = route.operation();
    }
    paths.insert(
        "/api/openapi.json".to_owned(),
        json!({ "get": {
        "operationId": "get_openapi",
        "tags": ["commands"],
        "summary": "This document.",
        "security": [],
        "responses": { "200": {
            "description": "OpenAPI 3.1.",
            "content": { "application/json": { "schema": { "type": "object" } } },
        } },
    } }),
    );
    Value::Object(paths)
}

fn routes() -> Vec<Route> {
    let mut routes = Vec::from(commands());
    routes.extend(projects());
    routes.extend(tasks());
    routes.extend(work());
    let partitions = json!({ "type": "array", "items": reference("PartitionStatus") });
    let summary = "Which instance owns which partition of the log, as the one that was asked sees it.";
    routes.push(Route::new("get", "/api/partitions", "partitions", summary, Value::Null, partitions));
    routes
}

fn commands() -> [Route; 2] {
    let list = |name: &str| json!({ "type": "array", "items": reference(name) });
    [
        Route::new(
            "post",
            "/api/commands",
            "commands",
            "Carries out a command.",
            reference("CommandRequest"),
            outcome(),
        ),
        Route::new(
            "post",
            "/api/commands/batch",
            "commands",
            "Carries out up to 1000 commands; each is answered on its own, in their order.",
            list("BatchItem"),
            list("BatchResult"),
        ),
    ]
}

fn projects() -> [Route; 5] {
    let of = |method, path: &str, summary: &str, body| {
        Route::new(method, &format!("/api/projects{path}"), "projects", summary, body, outcome())
    };
    let member = "/{project_id}/members/{user}";
    [
        of(
            "post",
            "",
            "Puts a repository under Muster's care. The caller becomes its owner.",
            body("CreateProject", &[]),
        ),
        of("put", "/{project_id}/settings", "Replaces a project's settings.", body("ChangeSettings", &[])),
        of("put", member, "Adds a member, or changes a member's role.", body("AddMember", &["user"])),
        of("delete", member, "Removes a member.", Value::Null),
        Route {
            body_optional: true,
            ..of(
                "post",
                "/{project_id}/dispatch",
                "Releases the most urgent card that was not released to the agents.",
                body("DispatchTask", &["task_id"]),
            )
        },
    ]
}

fn tasks() -> Vec<Route> {
    let of = |method, path: &str, summary: &str, body| Route::new(method, path, "tasks", summary, body, outcome());
    let create = "Puts a card on the board.";
    let mut routes = vec![of("post", "/api/projects/{project_id}/tasks", create, body("CreateTask", &[]))];
    for prefix in ["/api/projects/{project_id}/tasks/{task_id}", "/api/tasks/{task_id}"] {
        routes.push(of("patch", prefix, "Edits a card.", body("UpdateTask", &["task_id"])));
        for (action, command) in ACTIONS {
            let name = COMMANDS.into_iter().find(|name| name.to_lowercase() == command.replace('_', ""));
            let body = body(name.unwrap_or_default(), &["task_id"]);
            let summary = body["description"].as_str().unwrap_or_default().to_owned();
            let body_optional = body["required"].is_null();
            routes.push(Route { body_optional, ..of("post", &format!("{prefix}/{action}"), &summary, body) });
        }
    }
    routes
}

fn work() -> [Route; 4] {
    let of = |path: &str, summary: &str, body: &str, answer: &str| {
        Route::new("post", path, "work", summary, reference(body), reference(answer))
    };
    let claims = "Claims the most urgent work of all projects the caller may work in. The same key gives the same order \
                  while its lease lives.";
    [
        Route {
            nothing: Some("No work became ready in time."),
            ..of("/api/claims", claims, "ClaimRequest", "WorkOrder")
        },
        of(
            "/api/runs/{run_id}/reports",
            "Reports what happened in a run; all is accepted or none.",
            "ReportsRequest",
            "Outcome",
        ),
        of("/api/runs/{run_id}/heartbeat", "Keeps a lease alive.", "HeartbeatRequest", "HeartbeatResponse"),
        of("/api/runs/{run_id}/output", "Appends lines of agent output.", "OutputRequest", "OutputResponse"),
    ]
}

fn outcome() -> Value {
    reference("Outcome")
}
