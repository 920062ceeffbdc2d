//! Makes batches of a stream: what is there at once, and a little more where that is configured.

use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use crate::error::Error;

/// A stream of the log, read in batches.
pub(crate) struct Batches<T> {
    stream: BoxStream<'static, Result<T, muster_event_log::Error>>,
    max: usize,
    max_wait: Duration,
    /// An error that came behind a batch; reported once the batch was handed out.
    failed: Option<Error>,
}

impl<T> Batches<T> {
    pub(crate) fn new(
        stream: BoxStream<'static, Result<T, muster_event_log::Error>>,
        max: usize,
        max_wait: Duration,
    ) -> Self {
        Self { stream, max, max_wait, failed: None }
    }

    /// The next records, at least one. Waits for the first; safe to cancel until then.
    pub(crate) async fn next(&mut self) -> Result<Vec<T>, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let first = self.stream.next().await.ok_or(Error::Ended)??;
        let mut batch = vec![first];
        let deadline = Instant::now() + self.max_wait;
        while batch.len() < self.max && self.failed.is_none() {
            match self.another(deadline).await {
                Some(Ok(record)) => batch.push(record),
                Some(Err(error)) => self.failed = Some(error),
                None => break,
            }
        }
        Ok(batch)
    }

    /// One more record if it comes in time.
    async fn another(&mut self, deadline: Instant) -> Option<Result<T, Error>> {
        // Unconstrained: the runtime's fairness must not look like an idle stream, or batches would be cut short.
        let ready = tokio::task::unconstrained(self.stream.next()).now_or_never();
        let next = match ready {
            Some(next) => next,
            None if self.max_wait.is_zero() => return None,
            None => tokio::time::timeout_at(deadline, self.stream.next()).await.ok()?,
        };
        Some(next.ok_or(Error::Ended).and_then(|record| record.map_err(Error::from)))
    }
}
