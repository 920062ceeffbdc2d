//! Takes down what the clients see, with one clock for all of them. It must never drop an entry in silence.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::history::{Call, End, Entry, Writer};

/// Where everyone writes. Clones are the same one.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    begun: Instant,
    writer: Mutex<Writer>,
    acknowledged: AtomicU64,
    last_acknowledged_ns: AtomicU64,
    failed: AtomicBool,
}

impl Recorder {
    /// Begins a history at `path`.
    pub fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            begun: Instant::now(),
            writer: Mutex::new(Writer::create(path)?),
            acknowledged: AtomicU64::new(0),
            last_acknowledged_ns: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        })))
    }

    /// Nanoseconds since the begin.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.0.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Takes `entry` down.
    pub fn write(&self, entry: &Entry) {
        let mut writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.write(entry).is_err() {
            self.0.failed.store(true, Ordering::Relaxed);
        }
    }

    /// Takes a call down.
    pub fn call(&self, call: Call) {
        if matches!(call.end, End::Ok(_)) {
            self.0.last_acknowledged_ns.fetch_max(call.ended_at_ns, Ordering::Relaxed);
        }
        self.write(&Entry::Call(call));
    }

    /// Counts a command that was acknowledged for the first time.
    pub fn count_acknowledged(&self) {
        self.0.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// Commands acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.0.acknowledged.load(Ordering::Relaxed)
    }

    /// How long nothing was acknowledged.
    pub fn silence(&self) -> Duration {
        Duration::from_nanos(self.now_ns().saturating_sub(self.0.last_acknowledged_ns.load(Ordering::Relaxed)))
    }

    /// Hands everything to the operating system. An error when an entry was lost.
    pub fn flush(&self) -> std::io::Result<()> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).flush()?;
        if self.0.failed.load(Ordering::Relaxed) {
            return Err(std::io::Error::other("an entry of the history could not be written"));
        }
        Ok(())
    }
}
