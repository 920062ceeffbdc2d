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
    /// Records that were taken and not yet handed out, and until when more are waited for.
    batch: Vec<T>,
    deadline: Instant,
    /// An error that came behind a batch; reported once the batch was handed out.
    failed: Option<Error>,
}

impl<T> Batches<T> {
    pub(crate) fn new(
        stream: BoxStream<'static, Result<T, muster_event_log::Error>>,
        max: usize,
        max_wait: Duration,
    ) -> Self {
        Self { stream, max, max_wait, batch: Vec::new(), deadline: Instant::now(), failed: None }
    }

    /// The next records, at least one. Waits for the first. Safe to cancel: what was taken is kept for the next call.
    pub(crate) async fn next(&mut self) -> Result<Vec<T>, Error> {
        if self.batch.is_empty() {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let first = self.stream.next().await.ok_or(Error::Ended)??;
            self.batch.push(first);
            self.deadline = Instant::now() + self.max_wait;
        }
        while self.batch.len() < self.max && self.failed.is_none() {
            match self.another().await {
                Some(Ok(record)) => self.batch.push(record),
                Some(Err(error)) => self.failed = Some(error),
                None => break,
            }
        }
        Ok(std::mem::take(&mut self.batch))
    }

    /// One more record if it comes in time.
    async fn another(&mut self) -> Option<Result<T, Error>> {
        // Unconstrained: the runtime's fairness must not look like an idle stream, or batches would be cut short.
        let ready = tokio::task::unconstrained(self.stream.next()).now_or_never();
        let next = match ready {
            Some(next) => next,
            None if self.max_wait.is_zero() => return None,
            None => tokio::time::timeout_at(self.deadline, self.stream.next()).await.ok()?,
        };
        Some(next.ok_or(Error::Ended).and_then(|record| record.map_err(Error::from)))
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;
    use muster_event_log::Error as LogError;

    use super::*;

    type Sender = mpsc::UnboundedSender<Result<u32, LogError>>;

    fn batches(max: usize, max_wait: Duration) -> (Sender, Batches<u32>) {
        let (sender, receiver) = mpsc::unbounded();
        (sender, Batches::new(receiver.boxed(), max, max_wait))
    }

    #[tokio::test]
    async fn what_is_there_is_one_batch_up_to_its_size() {
        let (sender, mut batches) = batches(3, Duration::ZERO);
        for record in 1..=4 {
            sender.unbounded_send(Ok(record)).unwrap();
        }
        assert_eq!(batches.next().await.unwrap(), [1, 2, 3]);
        assert_eq!(batches.next().await.unwrap(), [4]);
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_nothing() {
        let (sender, mut batches) = batches(3, Duration::from_hours(1));
        sender.unbounded_send(Ok(1)).unwrap();
        assert!(batches.next().now_or_never().is_none(), "it waits for more");
        sender.unbounded_send(Ok(2)).unwrap();
        assert!(batches.next().now_or_never().is_none());
        sender.unbounded_send(Ok(3)).unwrap();
        assert_eq!(batches.next().await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn an_error_comes_behind_the_records_before_it() {
        let (sender, mut batches) = batches(3, Duration::from_hours(1));
        sender.unbounded_send(Ok(1)).unwrap();
        sender.unbounded_send(Err(LogError::Unavailable { reason: "gone".to_owned() })).unwrap();
        drop(sender);
        assert_eq!(batches.next().await.unwrap(), [1]);
        assert!(matches!(batches.next().await, Err(Error::Log(_))));
        assert!(matches!(batches.next().await, Err(Error::Ended)));
    }
}
