//! `/graphql`: queries and mutations by POST, subscriptions over `graphql-transport-ws` or, with
//! `Accept: text/event-stream`, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::http::ALL_WEBSOCKET_PROTOCOLS;
use async_graphql::{Data, Executor};
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::Json;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{RawQuery, State};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderMap, HeaderValue};
use muster_service_kit::auth::{Authenticator, Caller};
use muster_service_kit::{Problem, ProblemJson, codes};
use tokio::sync::Semaphore;

use super::Service;
use super::driven::driven;
use super::token::from_query;
use crate::graphql::{MusterSchema, refused};

/// A socket that says nothing for this long is closed; pings are answers too.
const SOCKET_SILENCE_MAX: Duration = Duration::from_secs(90);

/// The largest message a socket takes: a document with its variables.
const SOCKET_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The routes.
pub fn routes() -> axum::Router<Service> {
    axum::Router::new().route("/graphql", get(socket).post(execute))
}

async fn execute(
    State(service): State<Service>,
    headers: HeaderMap,
    body: Result<ProblemJson<async_graphql::Request>, Problem>,
) -> Response {
    let caller = match Caller::from_headers(&service.authenticator, &headers) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let request = match body {
        Ok(ProblemJson(request)) => request.data(caller),
        Err(problem) => return problem.into_response(),
    };
    if wants_stream(&headers) {
        return stream_response(&service, request);
    }
    let schema = service.schema.clone();
    Json(schema.execute(request).await).into_response()
}

fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/event-stream"))
}

/// The protocol of graphql-sse's distinct connections: `next` events, then one `complete`.
fn stream_response(service: &Service, request: async_graphql::Request) -> Response {
    let results = driven(service.schema.execute_stream(request).boxed()).map(|response| {
        let text = serde_json::to_string(&response).unwrap_or_default();
        SseEvent::default().event("next").data(text)
    });
    let end = stream::once(async { SseEvent::default().event("complete").data("") });
    let heartbeat = KeepAlive::new().interval(Duration::from_secs(service.config.sse_heartbeat_s));
    Sse::new(results.chain(end).map(Ok::<_, Infallible>)).keep_alive(heartbeat).into_response()
}

/// A browser that opens `/graphql` is sent to the playground; everything else has to upgrade to a WebSocket.
async fn socket(
    State(service): State<Service>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    protocol: Result<GraphQLProtocol, http::StatusCode>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let (Ok(protocol), Ok(upgrade)) = (protocol, upgrade) else {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accepted.contains("text/html") {
            return Redirect::temporary("/graphiql").into_response();
        }
        return Problem::new(codes::METHOD_NOT_ALLOWED)
            .detail("Send queries by POST, and subscriptions over a WebSocket with the protocol graphql-transport-ws.")
            .into_response();
    };
    let caller = match early_caller(&service.authenticator, &headers, query.as_deref()) {
        Ok(caller) => caller,
        Err(problem) => return problem.into_response(),
    };
    let stop = service.shutdown.token();
    let upgrade = upgrade.max_message_size(SOCKET_MESSAGE_BYTES_MAX);
    upgrade.protocols(ALL_WEBSOCKET_PROTOCOLS).on_upgrade(move |socket| async move {
        let authenticator = service.authenticator.clone();
        let driven = Driven::new(service.schema.clone(), service.config.socket_max_operations);
        let serving = GraphQLWebSocket::new(socket, driven, protocol)
            .keepalive_timeout(SOCKET_SILENCE_MAX)
            .on_connection_init(move |payload| async move {
                let mut data = Data::default();
                data.insert(late_caller(&authenticator, caller, &payload)?);
                Ok(data)
            })
            .serve();
        stop.run_until_cancelled(serving).await;
    })
}

/// Drives each operation of a socket by itself. The socket goes on with none of them while a message is on its way to the
/// client, or with those behind the first that has one.
#[derive(Clone)]
struct Driven {
    schema: MusterSchema,
    places: Arc<Semaphore>,
    places_max: usize,
}

impl Driven {
    /// At most `places_max` operations at once.
    fn new(schema: MusterSchema, places_max: usize) -> Self {
        Self { schema, places: Arc::new(Semaphore::new(places_max.min(Semaphore::MAX_PERMITS))), places_max }
    }

    fn full(&self) -> async_graphql::Response {
        let problem = Problem::new(codes::TOO_MANY_CONNECTIONS)
            .detail(format!("The WebSocket has {} operations under way; end one first.", self.places_max))
            .with("max_operations", self.places_max);
        async_graphql::Response::from_errors(vec![refused(&problem.into())])
    }
}

impl Executor for Driven {
    async fn execute(&self, request: async_graphql::Request) -> async_graphql::Response {
        self.schema.execute(request).await
    }

    fn execute_stream(
        &self,
        request: async_graphql::Request,
        session_data: Option<Arc<Data>>,
    ) -> BoxStream<'static, async_graphql::Response> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return stream::iter([self.full()]).boxed();
        };
        let responses = driven(Executor::execute_stream(&self.schema, request, session_data));
        let held = responses.map(move |response| {
            let _held = &place;
            response
        });
        held.boxed()
    }
}

/// The caller by header or query string, where either names one.
fn early_caller(
    authenticator: &Authenticator,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Option<Caller>, Problem> {
    if headers.contains_key(AUTHORIZATION) {
        return Caller::from_headers(authenticator, headers).map(Some);
    }
    match query.and_then(from_query) {
        Some(token) => by_authorization(authenticator, &format!("Bearer {token}")).map(Some),
        None => Ok(None),
    }
}

/// The caller by the payload of `connection_init`, or the one known before.
fn late_caller(
    authenticator: &Authenticator,
    early: Option<Caller>,
    payload: &serde_json::Value,
) -> Result<Caller, Problem> {
    let given = ["authorization", "Authorization"].iter().find_map(|name| {
        payload.get(name).or_else(|| payload.get("headers")?.get(name)).and_then(serde_json::Value::as_str)
    });
    match (given, early) {
        (Some(authorization), _) => by_authorization(authenticator, authorization),
        (None, Some(caller)) => Ok(caller),
        (None, None) => Err(Problem::new(codes::UNAUTHENTICATED)
            .detail("Send {\"authorization\": \"Bearer <token>\"} as the payload of connection_init.")),
    }
}

fn by_authorization(authenticator: &Authenticator, authorization: &str) -> Result<Caller, Problem> {
    let unusable = |_| Problem::new(codes::UNAUTHENTICATED).detail("The token has characters no header can hold.");
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(authorization).map_err(unusable)?);
    Caller::from_headers(authenticator, &headers)
}
