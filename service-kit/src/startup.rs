//! Starting beside servers that are not there yet: health is answered from the first moment, the rest once it can be.
//! It must never take a mistake in the configuration for a server that is away, nor hold up a stop.

use std::convert::Infallible;
use std::fmt::Display;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

use crate::health::{self, ReadyFlag};
use crate::problem::{Problem, codes};
use crate::{Config, Readiness, Shutdown};

/// In an answer of a process that is still starting: nothing was done, and nobody who knows has answered.
pub const STARTING_HEADER: &str = "muster-starting";

/// Waits between two tries, doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// A router whose routes come later. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Deferred(Arc<OnceLock<Router>>);

impl Deferred {
    /// To be served from the start: until the routes are there it answers for health, and `unavailable` to all else.
    pub fn router(&self, readiness: Readiness) -> Router {
        let before = health::router(readiness).fallback(starting);
        let later = self.clone();
        let answer = move |request: Request| {
            let now = later.0.get().unwrap_or(&before).clone();
            async move { Ok::<_, Infallible>(now.oneshot(request).await.into_response()) }
        };
        Router::new().fallback_service(service_fn(answer))
    }

    /// The routes are there, health among them. Only the first call counts.
    pub fn set(&self, routes: Router) {
        let _set_before = self.0.set(routes);
    }
}

async fn starting() -> impl IntoResponse {
    let problem = Problem::new(codes::UNAVAILABLE).detail("The service is starting; /readyz says what it waits for.");
    ([(STARTING_HEADER, "true")], problem.retry_after_s(1))
}

/// Waits for the servers a process needs at its start.
#[derive(Debug)]
pub struct Startup {
    patience: Option<Duration>,
    flag: ReadyFlag,
    shutdown: Shutdown,
}

impl Startup {
    /// Adds the check `startup` to `readiness`, which fails until [`Startup::finished`] and says what is waited for; and
    /// `shutdown`, which fails from the stop on.
    pub fn new(config: &Config, readiness: &Readiness, shutdown: &Shutdown) -> Self {
        let patience_ms = config.startup.patience_ms;
        let patience = (patience_ms > 0).then(|| Duration::from_millis(patience_ms));
        let flag = readiness.flag("startup");
        let stop = shutdown.clone();
        readiness.register("shutdown", move || {
            let stops = stop.is_triggered();
            async move { if stops { Err("stopping".to_owned()) } else { Ok(()) } }
        });
        Self { patience, flag, shutdown: shutdown.clone() }
    }

    /// What `connect` gives, tried again with back-off while it fails and `may_pass` says that this may pass. None when
    /// the process is stopped meanwhile.
    ///
    /// # Errors
    /// The last failure, where it does not pass or the patience of the configuration is over.
    pub async fn obtain<T, E: Display>(
        &self,
        what: &str,
        connect: impl AsyncFn() -> Result<T, E>,
        may_pass: impl Fn(&E) -> bool,
    ) -> Result<Option<T>, E> {
        let trying = async {
            let deadline = self.patience.map(|patience| Instant::now() + patience);
            self.flag.not_ready(format!("connecting to {what}"));
            let mut wait = FIRST_WAIT;
            loop {
                let error = match connect().await {
                    Ok(there) => return Ok(Some(there)),
                    Err(error) => error,
                };
                if !may_pass(&error) || deadline.is_some_and(|deadline| Instant::now() + wait > deadline) {
                    return Err(error);
                }
                let wait_ms = wait.as_millis();
                tracing::warn!(error = format!("{error:#}"), wait_ms, "{what} cannot be used yet; trying again");
                self.flag.not_ready(format!("waiting for {what}: {error:#}"));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        };
        tokio::select! {
            biased;
            () = self.shutdown.triggered() => Ok(None),
            outcome = trying => outcome,
        }
    }

    /// Everything is there.
    pub fn finished(&self) {
        self.flag.ready();
    }
}
