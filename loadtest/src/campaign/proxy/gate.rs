//! Where requests on several links wait for each other and go on in reversed order: the newest first.
//!
//! It must never hold anything for longer than its window, nor know what it holds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// How long the first request waits for others.
const WINDOW: Duration = Duration::from_millis(120);
/// Between two that are let go, so that they arrive one after the other.
const GAP: Duration = Duration::from_millis(4);

/// One for all links whose requests are reversed together.
#[derive(Debug, Default)]
pub struct Gate {
    reverses: AtomicBool,
    held: Mutex<Vec<oneshot::Sender<()>>>,
    overtaken: AtomicU64,
}

impl Gate {
    /// Reverses what comes from now on, or lets everything through as it comes.
    pub fn reverse(&self, reverses: bool) {
        self.reverses.store(reverses, Ordering::Relaxed);
    }

    /// Requests that went on after one which had come later.
    pub fn overtaken(&self) -> u64 {
        self.overtaken.load(Ordering::Relaxed)
    }

    /// Requests that wait now.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Returns when a request may go on. Whoever gives up meanwhile is passed over.
    pub(super) async fn pass(self: &Arc<Self>) {
        if !self.reverses.load(Ordering::Relaxed) {
            return;
        }
        let (go, may_go) = oneshot::channel();
        let is_first = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.push(go);
            held.len() == 1
        };
        if is_first {
            let this = Arc::clone(self);
            // Of its own, because the first one may give up.
            tokio::spawn(async move { this.let_go().await });
        }
        // An error would say that it was let go as well.
        drop(may_go.await);
    }

    async fn let_go(&self) {
        tokio::time::sleep(WINDOW).await;
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        let mut went_on = 0;
        for go in held.into_iter().rev() {
            if go.send(()).is_ok() {
                went_on += 1;
                tokio::time::sleep(GAP).await;
            }
        }
        self.overtaken.fetch_add(u64::saturating_sub(went_on, 1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_came_last_goes_first_and_who_gave_up_counts_for_nothing() {
        let gate = Arc::new(Gate::default());
        gate.pass().await;
        gate.reverse(true);
        let (went, mut order) = mpsc::unbounded_channel();
        for number in 0..4 {
            let (gate, went) = (Arc::clone(&gate), went.clone());
            let passing = tokio::spawn(async move {
                gate.pass().await;
                went.send(number).unwrap();
            });
            // It stands in line before the next one comes.
            tokio::task::yield_now().await;
            if number == 2 {
                passing.abort();
            }
        }
        let order = [order.recv().await, order.recv().await, order.recv().await].map(Option::unwrap);
        assert_eq!(order, [3, 1, 0]);
        let counted = muster_test_kit::wait::until(Duration::from_secs(20), || {
            let counted = (gate.overtaken() == 2).then_some(());
            async move { counted }
        });
        assert!(counted.await.is_some());
        gate.reverse(false);
        gate.pass().await;
        assert_eq!(gate.overtaken(), 2);
    }
}
