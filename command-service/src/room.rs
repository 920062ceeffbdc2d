//! Room for so many bytes, taken before something is kept and given back when it is let go. It must never wait: whoever
//! finds none is told so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Room for so many bytes. Clones are the same room.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    taken: Arc<AtomicUsize>,
    size_bytes: usize,
}

/// Bytes that are taken, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    taken: Arc<AtomicUsize>,
    bytes: usize,
}

impl Room {
    /// Room for this many bytes.
    pub(crate) fn new(size_bytes: usize) -> Self {
        Self { taken: Arc::default(), size_bytes }
    }

    /// Takes that many, where they are there. What is larger than the whole room gets all of it.
    pub(crate) fn take(&self, bytes: usize) -> Option<Taken> {
        let bytes = bytes.min(self.size_bytes);
        let after = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.size_bytes);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).ok()?;
        Some(Taken { taken: Arc::clone(&self.taken), bytes })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back() {
        let room = Room::new(10);
        let (six, four) = (room.take(6).unwrap(), room.clone().take(4).unwrap());
        assert!(room.take(1).is_none());
        drop(four);
        assert!(room.take(5).is_none());
        drop((room.take(4).unwrap(), six));
        let all = room.take(usize::MAX).unwrap();
        assert!(room.take(1).is_none() && room.take(0).is_some());
        drop(all);
        assert!(room.take(10).is_some());
    }
}
