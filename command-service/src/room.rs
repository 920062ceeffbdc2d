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
    of: Room,
    bytes: usize,
}

impl Room {
    /// Room for this many bytes.
    pub(crate) fn new(size_bytes: usize) -> Self {
        Self { taken: Arc::default(), size_bytes }
    }

    /// Nothing yet: [`Taken::grow`] takes.
    pub(crate) fn nothing(&self) -> Taken {
        Taken { of: self.clone(), bytes: 0 }
    }

    /// Takes that many, where they are there. What is larger than the whole room gets all of it.
    pub(crate) fn take(&self, bytes: usize) -> Option<Taken> {
        let mut taken = self.nothing();
        taken.grow(bytes).then_some(taken)
    }
}

impl Taken {
    /// Takes so many more, where they are there, and says whether they were.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let Room { taken, size_bytes } = &self.of;
        let more = bytes.min(size_bytes - self.bytes);
        let after = |taken: usize| taken.checked_add(more).filter(|sum| sum <= size_bytes);
        let grows = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after).is_ok();
        self.bytes += if grows { more } else { 0 };
        grows
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.of.taken.fetch_sub(self.bytes, Ordering::Relaxed);
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

    #[test]
    fn what_grows_takes_no_more_than_there_is_and_gives_all_of_it_back() {
        let room = Room::new(10);
        let (mut one, mut other) = (room.nothing(), room.nothing());
        assert!(one.grow(4) && one.grow(3) && other.grow(3));
        assert!(!one.grow(1) && !other.grow(1));
        drop(one);
        // What is larger than all of it waits for nobody.
        assert!(other.grow(usize::MAX) && other.grow(1) && room.take(1).is_none());
        drop(other);
        assert!(room.take(10).is_some());
    }
}
