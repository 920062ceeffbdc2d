//! Why a run must stop before its end, told once. It must never know how its work is stopped.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
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
    reason: Arc<OnceLock<(Reason, Instant)>>,
}

impl Stop {
    /// Asks the run to stop.
    pub fn ask(&self, reason: Reason) {
        // A second reason changes nothing: the first already stops the run.
        let _ = self.reason.set((reason, Instant::now()));
        self.token.cancel();
    }

    /// The reason, once asked.
    pub fn reason(&self) -> Option<Reason> {
        self.reason.get().map(|(reason, _)| reason.clone())
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it is asked.
    pub async fn asked(&self) {
        self.token.cancelled().await;
    }
    /// Waits until it is asked and nothing that needs the lease can be sent any more: at once when that is lost, otherwise
    /// `grace` after it was asked.
    pub async fn overdue(&self, grace: Duration) {
        self.asked().await;
        if let Some((Reason::Shutdown, asked_at)) = self.reason.get() {
            tokio::time::sleep_until(*asked_at + grace).await;
        }
    }
}
