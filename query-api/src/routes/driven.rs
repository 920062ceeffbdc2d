//! Streams that go on by themselves, whoever reads them.

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

/// Drives `stream` in a task of its own, at most one item ahead of its reader. A client that stops reading leaves nothing
/// in the middle: what was asked of the store is read to its end, and the connection given back. The task ends with what
/// is returned.
pub fn driven<T: Send + 'static>(mut stream: BoxStream<'static, T>) -> BoxStream<'static, T> {
    let (sender, items) = mpsc::channel(1);
    let driving = async move {
        while let Ok(place) = sender.reserve().await {
            match stream.next().await {
                Some(item) => place.send(item),
                None => return,
            }
        }
    };
    let driving = AbortOnDropHandle::new(tokio::spawn(driving.in_current_span()));
    stream::unfold((items, driving), |(mut items, driving)| async move {
        let item = items.recv().await?;
        Some((item, (items, driving)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_was_begun_is_ended_though_nobody_reads() {
        let (end, ended) = oneshot::channel();
        let work = async {
            tokio::task::yield_now().await;
            end.send(()).unwrap();
        };
        let unread = driven(stream::once(work).chain(stream::pending()).boxed());
        timeout(SOON, ended).await.unwrap().unwrap();
        drop(unread);
    }

    #[tokio::test]
    async fn ends_with_what_is_read_and_hands_over_all_before() {
        let (held, gone) = oneshot::channel::<()>();
        let endless = stream::once(async move {
            let _held = held;
            pending().await
        });
        let mut read = driven(stream::iter([1, 2, 3]).chain(endless).boxed());
        for item in [1, 2, 3] {
            assert_eq!(timeout(SOON, read.next()).await.unwrap(), Some(item));
        }
        drop(read);
        timeout(SOON, gone).await.unwrap().unwrap_err();
    }
}
