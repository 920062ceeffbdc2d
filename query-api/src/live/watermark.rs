//! How far things are, for those who wait: one number per key, kept only while someone watches it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

/// A number that only grows. Clones are the same number.
#[derive(Debug, Clone)]
pub struct Watermark(Arc<watch::Sender<u64>>);

impl Watermark {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    /// Where it is, as far as is known here.
    pub fn current(&self) -> u64 {
        *self.0.borrow()
    }

    /// Lets it be at least `value`.
    pub fn raise(&self, value: u64) {
        self.0.send_if_modified(|current| {
            let higher = value > *current;
            *current = value.max(*current);
            higher
        });
    }

    /// Waits until it is above `value`.
    pub async fn above(&self, value: u64) {
        // The sender lives as long as `self`, so this ends only when the number is reached.
        let mut changes = self.0.subscribe();
        let _reached = changes.wait_for(|current| *current > value).await;
    }
}

/// The numbers that someone watches.
#[derive(Debug)]
pub(super) struct Watermarks<K>(Mutex<HashMap<K, Weak<watch::Sender<u64>>>>);

impl<K> Default for Watermarks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash> Watermarks<K> {
    /// Starts to watch `key`.
    pub(super) fn watch(&self, key: K) -> Watermark {
        let mut marks = self.0.lock();
        if let Some(live) = marks.get(&key).and_then(Weak::upgrade) {
            return Watermark(live);
        }
        let fresh = Watermark::new();
        marks.insert(key, Arc::downgrade(&fresh.0));
        fresh
    }

    /// Lets the number of `key` be at least `value`, if someone watches it.
    pub(super) fn raise(&self, key: K, value: u64) {
        let live = self.0.lock().get(&key).and_then(Weak::upgrade);
        if let Some(live) = live {
            Watermark(live).raise(value);
        }
    }

    /// What is watched now; forgets the rest.
    pub(super) fn watched(&self) -> Vec<K> {
        let mut marks = self.0.lock();
        marks.retain(|_, mark| mark.strong_count() > 0);
        marks.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakes_who_waits_and_never_falls() {
        let marks = Watermarks::default();
        let mark = marks.watch(1);
        let waiting = tokio::spawn({
            let mark = mark.clone();
            async move { mark.above(4).await }
        });
        marks.raise(1, 5);
        marks.raise(1, 3);
        waiting.await.unwrap();
        assert_eq!(mark.current(), 5);
    }

    #[test]
    fn what_nobody_watches_is_forgotten() {
        let marks = Watermarks::default();
        let mark = marks.watch(1);
        assert_eq!(marks.watched(), [1]);
        drop(mark);
        assert!(marks.watched().is_empty());
        marks.raise(1, 7);
        assert_eq!(marks.watch(1).current(), 0);
    }
}
