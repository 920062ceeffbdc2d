//! A running process: waited for until it ends, is too slow, is too quiet, or must stop.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::Instant;
use uuid::Uuid;

use super::sweep;
use crate::stop::Stop;
use crate::sys;

/// Time between the polite signal and the other one.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// When a process last showed life. Clones are the same.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Mutex<Instant>>);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Activity {
    /// It showed life now.
    pub fn seen(&self) {
        *self.0.lock() = Instant::now();
    }

    /// Waits until it was quiet for `limit`.
    async fn quiet_for(&self, limit: Duration) {
        loop {
            let until = *self.0.lock() + limit;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// What a process is watched for.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Longest time it may take.
    pub timeout: Duration,
    /// Longest time it may be quiet.
    pub silence: Option<Duration>,
    /// Its life signs.
    pub activity: Activity,
    /// Why it may have to stop early.
    pub stop: Stop,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal, which was not ours.
    Killed(i32),
    /// By us: it took too long.
    TimedOut,
    /// By us: it was quiet for too long.
    Silent,
    /// By us: the run stops.
    Stopped,
}

/// A running process. Dropping it kills it, but only [`Process::wait`] and [`Process::end`] end what it started.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
    session: Uuid,
    signals_as_codes: bool,
    ending: Option<Ending>,
}

impl Process {
    pub(super) fn new(child: Child, session: Uuid, signals_as_codes: bool) -> Option<Self> {
        let pid = child.id()?;
        Some(Self { child, pid, session, signals_as_codes, ending: None })
    }

    /// Its process id, which is its group's as well.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its standard input, once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Its standard output, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its standard error, once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits for its end, or ends it. Nothing of it is left after this. Given up half-way, [`Process::exited_within`]
    /// tells the ending that was seen, and [`Process::end`] must finish the rest.
    pub async fn wait(&mut self, watch: &Watch) -> Ending {
        let silence = async {
            match watch.silence {
                Some(limit) => watch.activity.quiet_for(limit).await,
                None => std::future::pending().await,
            }
        };
        let ending = tokio::select! {
            biased;
            () = watch.stop.asked() => Ending::Stopped,
            status = self.child.wait() => self.ending_of(status.unwrap_or_default()),
            () = tokio::time::sleep(watch.timeout) => Ending::TimedOut,
            () = silence => Ending::Silent,
        };
        self.ending = Some(ending);
        self.end().await;
        ending
    }

    /// How it ended, if it did or does so by itself within `limit`.
    pub async fn exited_within(&mut self, limit: Duration) -> Option<Ending> {
        if self.ending.is_some() {
            return self.ending;
        }
        let status = tokio::time::timeout(limit, self.child.wait()).await.ok()?;
        Some(self.ending_of(status.unwrap_or_default()))
    }

    /// Ends it and all it started: politely first, then not.
    pub async fn end(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // Errors mean that it has just ended.
            let _ = sys::kill_group(self.pid, libc::SIGTERM);
            if tokio::time::timeout(TERM_GRACE, self.child.wait()).await.is_err() {
                let _ = sys::kill_group(self.pid, libc::SIGKILL);
                let _ = self.child.wait().await;
            }
        }
        match sweep(self.session).await {
            Ok(0) => {}
            Ok(left) => tracing::info!(session_id = %self.session, left, "ended processes an agent left behind"),
            Err(error) => tracing::error!(session_id = %self.session, %error, "processes of a session are left"),
        }
    }

    fn ending_of(&self, status: ExitStatus) -> Ending {
        match (status.code(), status.signal()) {
            (Some(code), _) if self.signals_as_codes && code > 128 => Ending::Killed(code - 128),
            (Some(code), _) => Ending::Exited(code),
            (None, signal) => Ending::Killed(signal.unwrap_or(0)),
        }
    }
}
