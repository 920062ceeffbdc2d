//! `/healthz`, `/readyz` and `/metrics`. Health says the process runs; readiness says it can do its work.
//! They must never need a token, nor tell more than the names of what fails and why.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::{BoxFuture, FutureExt, join_all};
use parking_lot::Mutex;
use serde_json::json;

use crate::problem::{Problem, codes};
use crate::telemetry;

const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// The named checks of a process. Clones share them.
#[derive(Clone)]
pub struct Readiness {
    checks: Arc<Mutex<Vec<(String, Check)>>>,
    check_timeout: Duration,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::with_check_timeout(CHECK_TIMEOUT)
    }
}

impl Readiness {
    /// Without a check, a process is ready. A check that takes longer than two seconds counts as failed.
    pub fn new() -> Self {
        Self::default()
    }

    /// A check that takes longer than `check_timeout` counts as failed.
    pub fn with_check_timeout(check_timeout: Duration) -> Self {
        Self { checks: Arc::default(), check_timeout }
    }

    /// Adds a check that is run at each question. An error's text is shown to the caller.
    pub fn register<F, Fut>(&self, name: impl Into<String>, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.lock().push((name.into(), Arc::new(move || check().boxed())));
    }

    /// Adds a switch, not ready until [`ReadyFlag::ready`] is called.
    pub fn flag(&self, name: impl Into<String>) -> ReadyFlag {
        let flag = ReadyFlag { reason: Arc::new(Mutex::new(Some("starting".to_owned()))) };
        let seen = flag.clone();
        self.register(name, move || {
            let reason = seen.reason.lock().clone();
            async move { reason.map_or(Ok(()), Err) }
        });
        flag
    }

    /// The checks that fail now, by name with the reason. Empty means ready.
    pub async fn failing(&self) -> Vec<(String, String)> {
        let checks = self.checks.lock().clone();
        let limit = self.check_timeout;
        let outcomes = join_all(checks.into_iter().map(|(name, check)| async move {
            let outcome = tokio::time::timeout(limit, check()).await;
            let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {} ms", limit.as_millis())));
            outcome.err().map(|reason| (name, reason))
        }));
        outcomes.await.into_iter().flatten().collect()
    }
}

/// A switch of a [`Readiness`].
#[derive(Clone, Debug)]
pub struct ReadyFlag {
    reason: Arc<Mutex<Option<String>>>,
}

impl ReadyFlag {
    /// From now on this check passes.
    pub fn ready(&self) {
        *self.reason.lock() = None;
    }

    /// From now on this check fails for that reason.
    pub fn not_ready(&self, reason: impl Into<String>) {
        *self.reason.lock() = Some(reason.into());
    }
}

/// `/healthz`, `/readyz` and `/metrics`, to merge into a service's router or to serve alone.
pub fn router(readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(telemetry::render_metrics))
        .with_state(readiness)
}

async fn healthz() -> Response {
    axum::Json(json!({ "status": "alive" })).into_response()
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let failing = readiness.failing().await;
    if failing.is_empty() {
        return axum::Json(json!({ "status": "ready" })).into_response();
    }
    let names: Vec<_> = failing.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
    let failing: Vec<_> = failing.iter().map(|(name, reason)| json!({ "name": name, "reason": reason })).collect();
    Problem::new(codes::UNAVAILABLE)
        .detail(format!("Not ready: {}.", names.join("; ")))
        .with("failing", failing)
        .retry_after_s(1)
        .into_response()
}
