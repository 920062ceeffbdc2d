//! Waiting for a thread that calls librdkafka, for as long as its calls may take and no longer.
//!
//! Each call has a time-out of its own; one that outlives it is stuck (rust-rdkafka 665, 840). Whoever waits is answered
//! all the same; the thread is left behind. It must never say what became of the call: nobody knows.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Until when the call that is under way should have returned.
#[derive(Debug)]
pub(super) struct Stage(Mutex<Instant>);

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The thread has ended.
    Ended,
    /// A call did not return within its own time-out and the margin.
    Stuck,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Instant::now()))
    }

    /// A call begins that returns within `timeout`.
    pub(super) fn begin(&self, timeout: Duration) {
        *self.0.lock() = Instant::now() + timeout;
    }

    /// The answer, unless a call outlives its time-out by `margin`.
    pub(super) async fn answer<T>(&self, mut answer: oneshot::Receiver<T>, margin: Duration) -> Result<T, NoAnswer> {
        loop {
            let until = *self.0.lock() + margin;
            match tokio::time::timeout_at(until.into(), &mut answer).await {
                Ok(answer) => return answer.map_err(|_| NoAnswer::Ended),
                // The next call has begun meanwhile.
                Err(_) if *self.0.lock() + margin > until => {}
                Err(_) => return Err(NoAnswer::Stuck),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const MARGIN: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_call_that_does_not_return_is_not_waited_for() {
        let stage = Stage::new();
        let (_stuck, answer) = oneshot::channel::<()>();
        assert_eq!(stage.answer(answer, MARGIN).await, Err(NoAnswer::Stuck));
        let (ended, answer) = oneshot::channel::<()>();
        drop(ended);
        assert_eq!(stage.answer(answer, MARGIN).await, Err(NoAnswer::Ended));
    }

    #[tokio::test]
    async fn calls_that_follow_each_other_are_waited_for() {
        let stage = Arc::new(Stage::new());
        let (reply, answer) = oneshot::channel();
        stage.begin(Duration::from_hours(1));
        let waiting = tokio::spawn(async move { stage.answer(answer, Duration::ZERO).await });
        tokio::task::yield_now().await;
        reply.send(7).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
    }
}
