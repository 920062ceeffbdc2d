//! What a run puts out: every line numbered without gaps, written to the run's log file and sent on in batches.
//!
//! It must never hold an agent up for longer than the control plane is slow, and never lose its place in the numbering.

mod lines;
mod writer;

pub use lines::LineSplitter;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_client::api::OutputLine;
use muster_client::domain::time::Timestamp;
pub use muster_client::schemas::OutputStream;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::control::Reporter;

/// Lines that may wait; more hold their writer back.
const WAITING_LINES_MAX: usize = 1024;
/// Time the last lines get to reach the control plane.
const FINISH_DEADLINE: Duration = Duration::from_secs(10);

/// Where a run's lines go. Clones write to the same place.
#[derive(Clone)]
pub struct RunOutput {
    sender: mpsc::Sender<OutputLine>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    line_max_bytes: usize,
}

impl RunOutput {
    /// Starts taking lines for `log` and, under the reporter's lease, for the control plane.
    pub fn start(log: &Path, reporter: Reporter, line_max_bytes: usize) -> io::Result<Self> {
        let writer = writer::Writer::create(log, reporter)?;
        let (sender, receiver) = mpsc::channel(WAITING_LINES_MAX);
        let task = tokio::spawn(writer.run(receiver));
        Ok(Self { sender, task: Arc::new(Mutex::new(Some(task))), line_max_bytes })
    }

    /// Longest line kept, in bytes.
    pub fn line_max_bytes(&self) -> usize {
        self.line_max_bytes
    }

    /// Takes one line; waits while too many lines wait.
    pub async fn line(&self, stream: OutputStream, content: impl Into<String>) {
        let line = OutputLine { timestamp: now(), stream, content: content.into() };
        // The writer ends only in `finish`; a line that comes after it has no place to go.
        let _ = self.sender.send(line).await;
    }

    /// Takes text of one or more lines.
    pub async fn text(&self, stream: OutputStream, text: &str) {
        for line in text.lines() {
            self.line(stream, crate::text::shorten(&line.replace('\0', "\u{fffd}"), self.line_max_bytes)).await;
        }
    }

    /// Writes the last lines and the end mark, and waits until they are sent, for a bounded time.
    pub async fn finish(self) {
        let task = self.task.lock().take();
        drop(self.sender);
        let Some(mut task) = task else { return };
        if tokio::time::timeout(FINISH_DEADLINE, &mut task).await.is_err() {
            tracing::warn!("the last lines of a run's output were not sent in time; its log file has them");
            task.abort();
        }
    }
}

/// Now.
pub fn now() -> Timestamp {
    chrono::Utc::now().into()
}
