//! How often and how patiently a call is sent again. It must never send a command under another key.

use std::time::{Duration, Instant};

use crate::Error;

/// When to give up. The wait doubles from `first_wait` up to `longest_wait`, unless the service names its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a call is sent at most; 1 never sends it again.
    pub attempts_max: u32,
    /// Wait before the second attempt.
    pub first_wait: Duration,
    /// Longest wait between two.
    pub longest_wait: Duration,
    /// No attempt starts after this time.
    pub give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 8,
            first_wait: Duration::from_millis(50),
            longest_wait: Duration::from_secs(2),
            give_up_after: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Every call is sent once.
    pub fn never() -> Self {
        Self { attempts_max: 1, ..Self::default() }
    }

    /// Calls are sent again until they succeed, are refused, or the time is over.
    pub fn for_at_most(give_up_after: Duration) -> Self {
        Self { attempts_max: u32::MAX, give_up_after, ..Self::default() }
    }

    fn wait(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.first_wait.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        // A little apart, so that many clients of a service that came back do not all call at once.
        let jitter = Duration::from_micros(u64::from(uuid::Uuid::new_v4().as_bytes()[0]) * 100);
        asked.unwrap_or(doubled).min(self.longest_wait.max(asked.unwrap_or_default())) + jitter
    }
}

/// A failed attempt, with the wait the service asked for.
pub(crate) struct Failed {
    pub error: Error,
    pub retry_after: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

/// Calls `attempt` until it succeeds, fails for good, or the policy is used up.
pub(crate) async fn retry<T, F, Fut>(policy: &RetryPolicy, mut attempt: F) -> Result<T, Error>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Failed>>,
{
    let started = Instant::now();
    let mut number = 1;
    loop {
        let Failed { error, retry_after } = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        let wait = policy.wait(number, retry_after);
        if !error.is_transient() || number >= policy.attempts_max || started.elapsed() + wait > policy.give_up_after {
            return Err(error);
        }
        tracing::debug!(%error, attempt = number, wait_ms = wait.as_millis(), "sending again");
        tokio::time::sleep(wait).await;
        number = number.saturating_add(1);
    }
}
