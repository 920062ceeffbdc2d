//! Why a run must stop before its end, told once. It must never know how its work is stopped.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Why a run must stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The work is cancelled or someone else's: report nothing more.
    LeaseLost(String),
    /// The runner stops: the work goes back.
    Shutdown,
}

/// The stop of one run. Clones are the same stop; the first reason stays.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    reason: Arc<OnceLock<Reason>>,
}

impl Stop {
    /// Asks the run to stop.
    pub fn ask(&self, reason: Reason) {
        // A second reason changes nothing: the first already stops the run.
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    /// The reason, once asked.
    pub fn reason(&self) -> Option<Reason> {
        self.reason.get().cloned()
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it is asked.
    pub async fn asked(&self) {
        self.token.cancelled().await;
    }
}
