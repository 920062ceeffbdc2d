//! The layers every service wears: request id, trace, panic catcher, body limit, time limit.
//! They must never look into a body, nor cut a stream that has begun.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method};
use http_body_util::Limited;
use tracing::Instrument;

use crate::config::Config;
use crate::problem::{Problem, codes, with_fallbacks};

/// The header that carries the request id in both directions.
pub const REQUEST_ID_HEADER: &str = "x-request-id";

const REQUEST_ID_MAX_BYTES: usize = 128;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request this task is handling, if it is handling one.
pub fn current_request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// What a body of this service may be like; extractors find it in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit {
    /// Most bytes.
    pub bytes: usize,
    /// Longest time until the last of them has arrived.
    pub timeout: Duration,
}

impl BodyLimit {
    pub(crate) fn too_large(limit: Option<Self>) -> Problem {
        let problem = Problem::new(codes::BODY_TOO_LARGE);
        match limit {
            Some(Self { bytes, .. }) => {
                problem.detail(format!("The body may have at most {bytes} bytes.")).with("limit_bytes", bytes)
            }
            None => problem,
        }
    }

    pub(crate) fn too_slow(self) -> Problem {
        let timeout_ms = millis(self.timeout);
        Problem::new(codes::BODY_TIMEOUT)
            .detail(format!("The body did not arrive within {timeout_ms} ms; nothing was done."))
            .with("timeout_ms", timeout_ms)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Puts the standard layers around a router that has all its routes: from the outside request id and trace, panic
/// catcher, time limit, body limit; and problem documents for unknown routes and methods.
pub fn standard_layers(router: Router, config: &Config) -> Router {
    let limits = Limits {
        body: BodyLimit {
            bytes: config.http.max_body_bytes,
            timeout: Duration::from_millis(config.http.body_timeout_ms),
        },
        timeout: Duration::from_millis(config.http.request_timeout_ms),
    };
    // One layer for all of them: each is copied and allocated for every request, together with all within it.
    with_fallbacks(router).layer(middleware::from_fn_with_state(limits, standard))
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    body: BodyLimit,
    /// Longest time until the answer begins.
    timeout: Duration,
}

async fn standard(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    trace_request(request, |request| catch_panic(limit_time(limits.timeout, limit_body(limits.body, request, next))))
        .await
}

/// Refuses a body whose declared length is too large before a byte of it is read; one without a declared length is
/// counted while it is read.
async fn limit_body(limit: BodyLimit, mut request: Request, next: Next) -> Response {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit.bytes as u64) {
        return BodyLimit::too_large(Some(limit)).into_response();
    }
    request.extensions_mut().insert(limit);
    DefaultBodyLimit::disable().apply(&mut request);
    next.run(request.map(|body| Body::new(Limited::new(body, limit.bytes)))).await
}

/// Limits the time until the answer begins. A stream's body is sent after that and is not limited here.
async fn limit_time(timeout: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(timeout, answer).await.unwrap_or_else(|_| {
        Problem::new(codes::REQUEST_TIMEOUT)
            .detail(format!("No answer within {} ms; the request was given up.", timeout.as_millis()))
            .with("timeout_ms", millis(timeout))
            .into_response()
    })
}

/// Turns a panic of a handler into `internal`. The panic hook has already written message and place to the log.
async fn catch_panic(answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer)
        .catch_unwind()
        .await
        .unwrap_or_else(|payload| Problem::internal(panic_message(payload.as_ref())).into_response())
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("(no message)"))
}

/// Gives the request an id (its own, if it is short and printable), a span, a metric, and the id back in the answer.
async fn trace_request<A: Future<Output = Response>>(request: Request, answer: impl FnOnce(Request) -> A) -> Response {
    let id = request_id(&request);
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", method, path = request.uri().path(), request_id = %id);
    let started = Instant::now();
    let mut response = REQUEST_ID.scope(id.clone(), answer(request)).instrument(span.clone()).await;

    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let status_label = response.status().as_str().to_owned();
    span.in_scope(|| {
        let duration_ms = elapsed.as_secs_f64() * 1_000.0;
        tracing::debug!(status, duration_ms, "answered");
    });
    let labels = [("method", method.to_owned()), ("route", route), ("status", status_label)];
    metrics::histogram!("muster_http_request_duration_seconds", &labels).record(elapsed.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID_HEADER, value);
    }
    response
}

/// A method as a label: whatever a stranger makes up is `other`, so labels stay few.
fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

fn request_id(request: &Request) -> String {
    let sent = request.headers().get(REQUEST_ID_HEADER).and_then(|value| value.to_str().ok());
    let usable =
        |id: &&str| !id.is_empty() && id.len() <= REQUEST_ID_MAX_BYTES && id.chars().all(|c| c.is_ascii_graphic());
    sent.filter(usable).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}
