//! Requests to other instances. It must never pass on more of a request than its meaning needs, nor believe an answer
//! that says it came from no owner.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use muster_schemas::api::IDEMPOTENCY_KEY_HEADER;
use muster_service_kit::auth::{InstanceToken, ON_BEHALF_OF_HEADER, SOURCE_HEADER};
use muster_service_kit::limits::{REQUEST_ID_HEADER, current_request_id};
use muster_service_kit::startup::STARTING_HEADER;
use muster_service_kit::{Problem, codes};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Says that an instance has passed the request on, so that no other does, and where that instance is reached.
pub(crate) const FORWARDED_HEADER: &str = "muster-forwarded";
/// The URL of the instance that answered, in an answer.
pub(crate) const OWNER_HEADER: &str = "muster-owner";
/// In an answer to an instance: ask another.
pub(crate) const NOT_OWNER_HEADER: &str = "muster-not-owner";
/// What that header says when the request may have been carried out nevertheless; `true` otherwise.
pub(crate) const NOT_OWNER_IN_DOUBT: &str = "in-doubt";

/// What that header says to whoever asks as an instance and does not know the instances' secret.
pub(crate) const NOT_OWNER_STRANGER: &str = "stranger";

/// What of a request's headers travels with it. Who asks is checked again where it arrives.
const PASSED_ON: [&str; 9] = [
    "authorization",
    ON_BEHALF_OF_HEADER,
    SOURCE_HEADER,
    IDEMPOTENCY_KEY_HEADER,
    REQUEST_ID_HEADER,
    "traceparent",
    "tracestate",
    "content-type",
    "accept",
];
/// Headers of an answer that are about one connection.
const OF_THE_CONNECTION: [&str; 5] = ["connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"];
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// Idle connections are kept shorter than any instance keeps them.
const IDLE_FOR: Duration = Duration::from_secs(20);

/// A request as it came, body included.
pub(crate) struct Original {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl fmt::Debug for Original {
    /// Without its headers, which hold a token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.uri.path())
    }
}

/// Why another instance gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unanswered {
    /// It was not reached, so nothing was done. Ask again.
    #[error("not reached")]
    NotSent,
    /// It may have done what it was asked. Asking again with the same key tells.
    #[error("no answer")]
    InDoubt,
    /// It does not own the partition. Look who does.
    #[error("not the owner")]
    NotOwner,
    /// Too many requests are being passed on. Answered as `overloaded`.
    #[error("too many requests are passed on already")]
    Busy,
}

/// The way to the other instances.
pub(super) struct Peers {
    http: reqwest::Client,
    permits: Semaphore,
    /// For questions that wait at the other instance until it has an answer.
    waiting_permits: Semaphore,
    answer_within: Duration,
    /// Where this instance is reached.
    from: HeaderValue,
    /// What it is known by.
    token: InstanceToken,
    /// Instances that did not answer in time, and until when they are not asked.
    silent: Mutex<HashMap<Arc<str>, Instant>>,
}

impl Peers {
    pub(super) fn new(from: &str, token: InstanceToken, max_forwards: usize, answer_within: Duration) -> Self {
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .pool_idle_timeout(IDLE_FOR)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .build();
        let http = http.unwrap_or_else(|error| {
            tracing::error!(%error, "the client for other instances cannot be set up as it should");
            reqwest::Client::new()
        });
        Self {
            http,
            permits: Semaphore::new(max_forwards),
            waiting_permits: Semaphore::new(max_forwards),
            answer_within,
            from: HeaderValue::from_str(from).unwrap_or(HeaderValue::from_static("unknown")),
            token,
            silent: Mutex::default(),
        }
    }

    /// Whether an instance sent a request with these headers.
    pub(super) fn is_instance(&self, headers: &HeaderMap) -> bool {
        self.token.is_in(headers)
    }

    /// Passes a request on to the instance at `url`.
    pub(super) async fn pass_on(&self, url: &str, original: &Original) -> Result<Response, Unanswered> {
        let path = original.uri.path_and_query().map_or("/", |path| path.as_str());
        self.ask(url, &original.method, path, &original.headers, original.body.clone()).await
    }

    /// Asks the instance at `url` something of its own, as whoever sent `headers`.
    pub(super) async fn ask(
        &self,
        url: &str,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, Unanswered> {
        let _permit = self.permits.try_acquire().map_err(|_| Unanswered::Busy)?;
        self.send(url, method, path, headers, body).await
    }

    fn passed_on(&self, headers: &HeaderMap) -> HeaderMap {
        let mut passed: HeaderMap = PASSED_ON
            .iter()
            .filter_map(|name| Some((HeaderName::from_static(name), headers.get(*name)?.clone())))
            .collect();
        if let Some(id) = current_request_id().and_then(|id| HeaderValue::from_str(&id).ok()) {
            passed.insert(REQUEST_ID_HEADER, id);
        }
        passed.insert(FORWARDED_HEADER, self.from.clone());
        self.token.put_into(&mut passed);
        passed
    }

    async fn send(
        &self,
        url: &str,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, Unanswered> {
        let request = self.http.request(method.clone(), format!("{}{path}", url.trim_end_matches('/')));
        let answer = request.headers(self.passed_on(headers)).body(body).send().await.map_err(|error| {
            tracing::debug!(url, %error, "another instance gave no answer");
            if error.is_connect() { Unanswered::NotSent } else { Unanswered::InDoubt }
        });
        metrics::counter!("muster_command_forwards_total", "outcome" => if answer.is_ok() { "answered" } else { "lost" })
            .increment(1);
        let answer = answer?;
        match answer.headers().get(NOT_OWNER_HEADER) {
            Some(value) if value == NOT_OWNER_IN_DOUBT => return Err(Unanswered::InDoubt),
            Some(value) if value == NOT_OWNER_STRANGER => {
                tracing::error!(url, "another instance has another secret: `auth.instance_token` must be the same");
                return Err(Unanswered::NotOwner);
            }
            Some(_) => return Err(Unanswered::NotOwner),
            None if answer.headers().contains_key(STARTING_HEADER) => return Err(Unanswered::NotOwner),
            None => {}
        }
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.map_err(|_| Unanswered::InDoubt)?;
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        for (name, value) in &headers {
            if !OF_THE_CONNECTION.contains(&name.as_str()) {
                response.headers_mut().append(name.clone(), value.clone());
            }
        }
        Ok(response)
    }

    /// As [`Peers::ask`], for an answer of that shape with status 200.
    pub(super) async fn ask_json<T: DeserializeOwned>(
        &self,
        url: &str,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<T, Unanswered> {
        read_json(url, self.ask(url, method, path, headers, body).await?).await
    }

    /// As [`Peers::ask_json`], of an instance that is asked beside others: it must answer in time. One that did not is
    /// left out for as long again, so that it holds nobody up who can do without its answer.
    pub(super) async fn ask_beside_others<T: DeserializeOwned>(
        &self,
        url: &Arc<str>,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<T, Unanswered> {
        if !self.may_be_asked(url) {
            return Err(Unanswered::NotSent);
        }
        let asked = tokio::time::timeout(self.answer_within, self.ask_json(url, method, path, headers, body)).await;
        let mut silent = self.silent.lock();
        if asked.is_err() {
            if silent.insert(Arc::clone(url), Instant::now() + self.answer_within).is_none() {
                tracing::warn!(url = &**url, "another instance gives no answer; it is left out for a while");
            }
        } else {
            silent.remove(url);
        }
        asked.unwrap_or(Err(Unanswered::InDoubt))
    }

    /// One at a time may find out whether a silent instance answers again.
    fn may_be_asked(&self, url: &Arc<str>) -> bool {
        let mut silent = self.silent.lock();
        let Some(until) = silent.get_mut(url) else { return true };
        let now = Instant::now();
        let is_over = *until <= now;
        if is_over {
            *until = now + self.answer_within;
        }
        is_over
    }

    /// As [`Peers::ask_json`], for a question that may wait there. Such questions never keep others from being asked.
    pub(super) async fn ask_and_wait<T: DeserializeOwned>(
        &self,
        url: &str,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<T, Unanswered> {
        let _permit = self.waiting_permits.try_acquire().map_err(|_| Unanswered::Busy)?;
        read_json(url, self.send(url, &Method::POST, path, headers, body).await?).await
    }
}

async fn read_json<T: DeserializeOwned>(url: &str, response: Response) -> Result<T, Unanswered> {
    if !response.status().is_success() {
        return Err(Unanswered::NotOwner);
    }
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.map_err(|_| Unanswered::InDoubt)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        tracing::warn!(url, %error, "another instance answered in a shape of its own");
        Unanswered::InDoubt
    })
}

/// What is told when too many requests are being passed on.
pub(crate) fn busy() -> Problem {
    Problem::new(codes::OVERLOADED)
        .detail("Too many requests are being passed on to other instances already.")
        .retry_after_s(1)
}

impl Original {
    /// The request once more, for a handler of this process.
    pub(crate) fn request(self: &Arc<Self>, extensions: &http::Extensions) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = extensions.clone();
        request.extensions_mut().insert(Arc::clone(self));
        request
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::IntoResponse;
    use axum::routing::post;
    use muster_service_kit::{Readiness, startup::Deferred};

    use super::*;

    async fn told_by(router: Router) -> Result<Response, Unanswered> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let peers = Peers::new("http://here", InstanceToken::random(), 1, Duration::from_secs(5));
        peers.ask(&url, &Method::POST, "/", &HeaderMap::new(), Bytes::new()).await
    }

    #[tokio::test]
    async fn what_does_not_come_of_the_owner_is_no_answer() {
        let starting = Deferred::default().router(Readiness::new());
        assert_eq!(told_by(starting).await.unwrap_err(), Unanswered::NotOwner);
        let says = |value: &'static str| {
            let answer = move || async move { ([(NOT_OWNER_HEADER, value)], busy()).into_response() };
            Router::new().route("/", post(answer))
        };
        assert_eq!(told_by(says("true")).await.unwrap_err(), Unanswered::NotOwner);
        assert_eq!(told_by(says(NOT_OWNER_STRANGER)).await.unwrap_err(), Unanswered::NotOwner);
        assert_eq!(told_by(says(NOT_OWNER_IN_DOUBT)).await.unwrap_err(), Unanswered::InDoubt);
        let owner = Router::new().route("/", post(|| async { busy() }));
        assert_eq!(told_by(owner).await.unwrap().status(), 429);
    }
}
