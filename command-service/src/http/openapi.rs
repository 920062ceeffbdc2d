//! The OpenAPI 3.1 description of the routes. It must never describe a shape the service does not take: tests hold it
//! against the types.

mod routes;
mod schemas;

#[cfg(test)]
mod truth;

use std::sync::LazyLock;

use muster_service_kit::json::Shapes;
use serde_json::{Map, Value, json};

/// The shapes of bodies, as the document describes them: a body that does not fit is refused before anything reads it.
pub(super) fn shapes() -> &'static Shapes {
    static SHAPES: LazyLock<Shapes> = LazyLock::new(|| Shapes::of_schemas(&schemas::all()));
    &SHAPES
}

/// The document, as it is served and as it lies in `docs/openapi.json`.
pub fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Muster commands",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "tags": [
            { "name": "commands", "description": "Any command, as it is." },
            { "name": "projects", "description": "Projects and their members." },
            { "name": "tasks", "description": "Cards of the board." },
            { "name": "work", "description": "What runners ask." },
            { "name": "partitions", "description": "What operators ask." },
        ],
        "paths": routes::paths(),
        "components": {
            "schemas": Value::Object(schemas::all()),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "parameters": parameters(),
            "responses": {
                "Problem": {
                    "description": "It was refused, or could not be done; `code` says why.",
                    "headers": { "Retry-After": {
                        "description": "Seconds after which to send the same again, with 429 and 503.",
                        "schema": { "type": "integer" },
                    } },
                    "content": { "application/problem+json": { "schema": schemas::reference("Problem") } },
                },
            },
        },
    })
}

/// The document as text, ending with a line break.
pub fn text() -> String {
    format!("{:#}\n", document())
}

/// Every method and path of the document, with an example's ids in the path.
#[cfg(test)]
fn examples() -> Vec<(String, String)> {
    let id = "0199d6a0-0000-7000-8000-000000000001";
    let Value::Object(paths) = routes::paths() else { return Vec::new() };
    let fill = |path: &str| {
        ["{project_id}", "{task_id}", "{run_id}", "{user}"].iter().fold(path.to_owned(), |p, name| p.replace(name, id))
    };
    let methods = |item: &Value| item.as_object().map(|item| item.keys().cloned().collect::<Vec<_>>());
    paths
        .iter()
        .flat_map(|(path, item)| methods(item).unwrap_or_default().into_iter().map(move |method| (method, fill(path))))
        .collect()
}

const DESCRIPTION: &str = "\
Every change is a command: it is carried out once for each `Idempotency-Key` of a caller, answered when its events are \
durable, and refused with a problem document otherwise. Several instances may divide the projects between each other: \
any takes any request and passes it on to the owner of its project, whose URL the answer's header `Muster-Owner` names. \
Requests answered with 408, 429, 500 and 503 may be sent again \
with the same key. `docs/errors/` explains each code. What a caller may not know of is answered as if it did not exist.";

fn parameters() -> Map<String, Value> {
    let mut parameters = Map::new();
    let mut header = |name: &str, header: &str, schema: Value, description: &str| {
        let parameter = json!({ "name": header, "in": "header", "schema": schema, "description": description });
        parameters.insert(name.to_owned(), parameter);
    };
    header(
        "IdempotencyKey",
        "Idempotency-Key",
        json!({ "type": "string", "format": "uuid" }),
        "The command's id: sent again with it, it is not carried out again and gets the same answer. Best a UUIDv7.",
    );
    header(
        "Source",
        "Muster-Source",
        json!({ "type": "string", "default": "web" }),
        "Surface the command comes from: `cli`, `tui`, `web`, `mobile`, `orchestrator` or `agent:<role>`.",
    );
    header(
        "OnBehalfOf",
        "Muster-On-Behalf-Of",
        json!({ "type": "string" }),
        "User an admin's token acts for; their rights count.",
    );
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_referred_to() {
        let document = document();
        let text = document.to_string();
        let referred: std::collections::BTreeSet<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        for pointer in &referred {
            assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            let pointer = format!("/components/schemas/{name}");
            assert!(referred.contains(pointer.as_str()), "{name} is never referred to");
        }
    }

    #[tokio::test]
    async fn every_path_is_a_route() {
        use muster_service_kit::{Authenticator, Principal, Shutdown};
        use tower::ServiceExt;

        let shutdown = Shutdown::new();
        let log = std::sync::Arc::new(muster_event_log::memory::MemoryLog::new(1));
        let service = crate::CommandService::start(log, crate::Options::default(), &shutdown);
        let ada = Principal { user: "ada".to_owned(), admin: false };
        let authenticator = Authenticator::new([("token".to_owned(), ada)]).unwrap();
        let router = super::super::router(service, authenticator);
        let examples = examples();
        assert!(examples.len() > 25);
        for (method, path) in examples {
            let request = http::Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(&path)
                .header("authorization", "Bearer token")
                .header("content-type", "application/json")
                .body(axum::body::Body::from("[]"))
                .unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            // An answer of a handler: the body fits none (an empty batch aside), and no such task is known.
            let expected = if ["/batch", "/openapi.json", "/partitions"].iter().any(|end| path.ends_with(end)) {
                200
            } else {
                400
            };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
}
