//! One way to stop: a signal or a call cancels a tree of tokens, work drains until a deadline, a second signal exits.
//! It must never stop a task by force before the deadline.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Exit status after a second signal: as the shell reports a process that SIGINT ended.
const EXIT_ON_SECOND_SIGNAL: i32 = 130;

/// The stop of a process, or of a part of it. Clones are the same stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
    /// The trackers of the stops above, which wait for this one's work as well.
    above: Vec<TaskTracker>,
}

impl Shutdown {
    /// A stop that only [`Shutdown::trigger`] starts.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop that SIGTERM and SIGINT start as well; the second signal exits the process at once.
    /// Fails when the signal handlers cannot be installed. Needs a tokio runtime.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if stop.is_triggered() {
                    tracing::warn!(signal = name, "stopping at once");
                    std::process::exit(EXIT_ON_SECOND_SIGNAL);
                }
                tracing::info!(signal = name, "stopping; once more to stop at once");
                stop.trigger();
            }
        });
        Ok(shutdown)
    }

    /// A part that stops when this one does, and may be stopped alone. This one's drain waits for its work too.
    #[must_use]
    pub fn child(&self) -> Self {
        let above = self.above.iter().chain([&self.tasks]).cloned().collect();
        Self { token: self.token.child_token(), tasks: TaskTracker::new(), above }
    }

    /// Starts the stop. Calling it again changes nothing.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Whether the stop has started.
    pub fn is_triggered(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the stop starts.
    pub async fn triggered(&self) {
        self.token.cancelled().await;
    }

    /// A token for code that takes one; cancelled with this stop.
    pub fn token(&self) -> CancellationToken {
        self.token.child_token()
    }

    /// Spawns work that [`Shutdown::drain`] waits for.
    pub fn spawn<F>(&self, work: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let held: Vec<_> = self.above.iter().map(TaskTracker::token).collect();
        self.tasks.spawn(async move {
            let _held = held;
            work.await
        })
    }

    /// Starts the stop and waits for spawned work, at most `grace`. Returns whether all of it ended in time.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.trigger();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}
