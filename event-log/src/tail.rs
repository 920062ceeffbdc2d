//! A subscription over an implementation that can read and can say that there may be more.
//!
//! It must never trust a wake-up: it reads after each, and also when none came for a while.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::watch;

use crate::{Error, LogOffset};

/// Records read at once.
const BATCH: usize = 500;

/// One wake-up call for each partition. A call before anyone waits is not lost.
#[derive(Debug)]
pub(crate) struct Wakers(Vec<watch::Sender<()>>);

impl Wakers {
    pub(crate) fn new(count: u32) -> Self {
        Self((0..count).map(|_| watch::Sender::new(())).collect())
    }

    pub(crate) fn wake(&self, partition: u32) {
        if let Some(waker) = self.0.get(partition as usize) {
            waker.send_replace(());
        }
    }

    pub(crate) fn wake_all(&self) {
        self.0.iter().for_each(|waker| waker.send_replace(()));
    }

    /// Panics when there is no such partition; the caller has checked it.
    pub(crate) fn listen(&self, partition: u32) -> watch::Receiver<()> {
        self.0[partition as usize].subscribe()
    }
}

/// Reads at most so many records from an offset.
pub(crate) type Reader<R> = Box<dyn Fn(LogOffset, usize) -> BoxFuture<'static, Result<Vec<R>, Error>> + Send>;

struct Tail<R> {
    next: LogOffset,
    wake: watch::Receiver<()>,
    poll: Duration,
    read: Reader<R>,
    offset: fn(&R) -> LogOffset,
}

impl<R> Tail<R> {
    async fn batch(mut self) -> Result<Option<(Vec<R>, Self)>, Error> {
        loop {
            self.wake.mark_unchanged();
            let batch = (self.read)(self.next, BATCH).await?;
            if let Some(last) = batch.last() {
                self.next = (self.offset)(last).next();
                return Ok(Some((batch, self)));
            }
            // A time-out and a waker that is gone both mean: look for yourself.
            if let Ok(Err(_)) = tokio::time::timeout(self.poll, self.wake.changed()).await {
                return Ok(None);
            }
        }
    }
}

/// Everything from `from` on, then what comes; ends after an error, or when the wakers are gone and all is read.
pub(crate) fn tail<R: Send + 'static>(
    from: LogOffset,
    wake: watch::Receiver<()>,
    poll: Duration,
    offset: fn(&R) -> LogOffset,
    read: Reader<R>,
) -> BoxStream<'static, Result<R, Error>> {
    let start = Tail { next: from, wake, poll, read, offset };
    stream::try_unfold(start, Tail::batch).map_ok(|batch| stream::iter(batch.into_iter().map(Ok))).try_flatten().boxed()
}
