//! One way to stop: a signal or a call cancels a tree of tokens, work drains until a deadline, a second signal exits.
//! It must never stop a task by force before the deadline.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Exit status after a second signal: as the shell reports a process that SIGINT ended.
const EXIT_ON_SECOND_SIGNAL: i32 = 130;
/// How long the last words may take: whoever reads them may be stuck as well.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(200);

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

    /// A stop that SIGTERM and SIGINT start as well; the second signal exits the process at once, however busy the
    /// caller's runtime is: signals are heard on a thread of their own.
    /// Fails when the signal handlers cannot be installed or the thread cannot start.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let heard = runtime::Builder::new_current_thread().enable_io().build()?;
        let (terminate, interrupt) = {
            let _entered = heard.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        let stop = shutdown.clone();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || heard.block_on(stop.obey(terminate, interrupt)))?;
        Ok(shutdown)
    }

    async fn obey(self, mut terminate: Signal, mut interrupt: Signal) {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if self.is_triggered() {
                let said = aside(move || tracing::warn!(signal = name, "stopping at once"));
                let _too_late = said.recv_timeout(LAST_WORDS_WITHIN);
                exit_at_once();
            }
            self.trigger();
            aside(move || tracing::info!(signal = name, "stopping; once more to stop at once"));
        }
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

/// Speaks on another thread, as a full pipe would keep the speaker from hearing the next signal. Tells when it is done.
fn aside(speak: impl FnOnce() + Send + 'static) -> mpsc::Receiver<()> {
    let (done, said) = mpsc::channel();
    std::thread::spawn(move || {
        speak();
        // Nobody need wait for it.
        let _ = done.send(());
    });
    said
}

/// Ends the process without its exit handlers, any of which may wait for what does not end.
#[expect(unsafe_code, reason = "_exit(2) has no wrapper, and exit(3) waits for another thread that is in it")]
fn exit_at_once() -> ! {
    // SAFETY: the call takes a number and does not return.
    unsafe { libc::_exit(EXIT_ON_SECOND_SIGNAL) }
}
