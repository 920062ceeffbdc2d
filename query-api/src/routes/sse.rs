//! Server-sent events: how a stream is framed, how it is kept alive and when it ends.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event as SseEvent, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, BoxStream, StreamExt};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
use muster_read_store::query::Event;
use muster_service_kit::Problem;
use muster_service_kit::{Shutdown, codes};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use super::connections::Connection;
use super::driven::driven;
use crate::fault::{Fault, Result};

/// How long a browser waits before it connects again.
const RECONNECT_AFTER: Duration = Duration::from_secs(1);

/// The header with which a browser resumes.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a stream sends, until it ends by itself.
pub type Items = BoxStream<'static, Result<Vec<SseEvent>>>;

/// Heartbeat, longest duration and end of streams.
pub struct Pace {
    /// A heartbeat is sent this often.
    pub heartbeat: Duration,
    /// The stream ends after this time; clients connect again and resume.
    pub timeout: Duration,
    /// The stream ends with this.
    pub shutdown: Shutdown,
}

/// The position to go on behind: the header `Last-Event-ID`, or `after` in the query string.
pub fn resume_after(headers: &HeaderMap, after: Option<u64>) -> Result<Option<u64>> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(after) };
    let position = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    position.map(Some).ok_or_else(|| {
        let problem = Problem::new(codes::INVALID_ARGUMENT).detail("Last-Event-ID is no position.");
        problem.with("header", LAST_EVENT_ID).into()
    })
}

/// An event whose `id:` is its position.
pub fn event(event: &Event) -> SseEvent {
    message(&event.to_json()).id(event.position.to_string())
}

/// A message with JSON data.
pub fn message(data: &Value) -> SseEvent {
    SseEvent::default().data(data.to_string())
}

/// Answers with the stream. `held` is given back when it ends, however it ends.
pub fn respond(first: Vec<SseEvent>, items: Items, pace: Pace, held: Connection) -> Response {
    let mut first = first;
    first.insert(0, SseEvent::default().retry(RECONNECT_AFTER));
    let events = stream::iter(first).chain(paced(items, pace)).map(move |event| {
        let _held = &held;
        Ok::<_, Infallible>(event)
    });
    let mut response = Sse::new(events).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

struct Paced {
    items: Items,
    heartbeat: tokio::time::Interval,
    ends: Instant,
    shutdown: Shutdown,
    over: bool,
}

fn paced(items: Items, pace: Pace) -> impl futures::Stream<Item = SseEvent> {
    let mut heartbeat = tokio::time::interval_at(Instant::now() + pace.heartbeat, pace.heartbeat);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ends = Instant::now() + pace.timeout;
    let paced = Paced { items: driven(items), heartbeat, ends, shutdown: pace.shutdown, over: false };
    stream::unfold(paced, |mut paced| async move {
        if paced.over {
            return None;
        }
        let events = paced.next().await?;
        Some((stream::iter(events), paced))
    })
    .flatten()
}

impl Paced {
    async fn next(&mut self) -> Option<Vec<SseEvent>> {
        tokio::select! {
            biased;
            () = self.shutdown.triggered() => None,
            () = tokio::time::sleep_until(self.ends) => None,
            item = self.items.next() => match item? {
                Ok(events) => {
                    self.heartbeat.reset();
                    Some(events)
                }
                Err(fault) => {
                    self.over = true;
                    Some(vec![failed(&fault)])
                }
            },
            _ = self.heartbeat.tick() => Some(vec![message(&json!({})).event("heartbeat")]),
        }
    }
}

/// Tells why the stream ends.
fn failed(fault: &Fault) -> SseEvent {
    message(&json!({ "code": fault.code(), "detail": fault.to_string() })).event("failed")
}
