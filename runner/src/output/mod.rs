//! What a run puts out: every line numbered without gaps, written to the run's log file and sent on in batches.
//!
//! It must never hold an agent up for longer than the control plane is slow, nor a run that was asked to stop for longer
//! than its last lines may take, and never lose its place in the numbering.

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
use tokio_util::sync::CancellationToken;

use crate::control::Reporter;
use crate::stop::Stop;

/// Lines that may wait; more hold their writer back.
const WAITING_LINES_MAX: usize = 1024;
/// Time the last lines get to reach the control plane, and all lines once the run is asked to stop.
const FINISH_DEADLINE: Duration = Duration::from_secs(10);
/// Time the log file gets after that.
const LOG_DEADLINE: Duration = Duration::from_secs(2);

/// Where a run's lines go. Clones write to the same place.
#[derive(Clone)]
pub struct RunOutput {
    sender: mpsc::Sender<OutputLine>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    enough: CancellationToken,
    finish_within: Duration,
    line_max_bytes: usize,
}

impl RunOutput {
    /// Starts taking lines for `log` and, under the reporter's lease, for the control plane.
    pub fn start(log: &Path, reporter: Reporter, line_max_bytes: usize, stop: Stop) -> io::Result<Self> {
        Self::with_deadline(log, reporter, line_max_bytes, stop, FINISH_DEADLINE)
    }

    fn with_deadline(
        log: &Path,
        reporter: Reporter,
        line_max_bytes: usize,
        stop: Stop,
        finish_within: Duration,
    ) -> io::Result<Self> {
        let enough = CancellationToken::new();
        let over = enough.clone();
        let give_up = async move {
            tokio::select! {
                () = stop.overdue(finish_within) => {}
                () = over.cancelled() => {}
            }
        };
        let writer = writer::Writer::create(log, reporter)?;
        let (sender, receiver) = mpsc::channel(WAITING_LINES_MAX);
        let task = tokio::spawn(writer.run(receiver, give_up));
        Ok(Self { sender, task: Arc::new(Mutex::new(Some(task))), enough, finish_within, line_max_bytes })
    }

    /// Longest line kept, in bytes.
    pub fn line_max_bytes(&self) -> usize {
        self.line_max_bytes
    }

    /// Takes one line; waits while too many lines wait, which they do for a bounded time once the run is asked to stop.
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
        if tokio::time::timeout(self.finish_within, &mut task).await.is_err() {
            self.enough.cancel();
            if tokio::time::timeout(LOG_DEADLINE, &mut task).await.is_err() {
                tracing::warn!("a run's output was still written to when the run had ended");
                task.abort();
            }
        }
    }
}

/// Now.
pub fn now() -> Timestamp {
    chrono::Utc::now().into()
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use muster_client::api::ClaimRequest;
    use muster_client::domain::command::{Report, WorkOrder};
    use muster_client::domain::id::{CommandId, ProjectId, RunId, TaskId};
    use uuid::Uuid;

    use super::*;
    use crate::control::{Control, Error, Lease};
    use crate::stop::Reason;

    const DEADLINE: Duration = Duration::from_secs(30);
    /// More than may wait and are on their way.
    const LINES: usize = 2 * WAITING_LINES_MAX;

    /// A control plane that cannot be reached.
    struct Away;

    #[async_trait]
    impl Control for Away {
        async fn claim(&self, _: &ClaimRequest, _: CommandId) -> Result<Option<WorkOrder>, Error> {
            Err(Error::Unavailable("away".to_owned()))
        }

        async fn report(&self, _: &Lease, _: Vec<Report>, _: CommandId) -> Result<(), Error> {
            Err(Error::Unavailable("away".to_owned()))
        }

        async fn renew(&self, _: &Lease, _: u64) -> Result<(), Error> {
            Err(Error::Unavailable("away".to_owned()))
        }

        async fn output(&self, _: &Lease, _: u64, _: &[OutputLine]) -> Result<(), Error> {
            Err(Error::Unavailable("away".to_owned()))
        }
    }

    /// The output of a run whose last lines get so long, its stop, and its log file with the folder that has it.
    fn output(finish_within: Duration) -> (RunOutput, Stop, std::path::PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("run.log");
        let id = Uuid::from_u128(1);
        let lease = Lease { project_id: ProjectId(id), task_id: TaskId(id), run_id: RunId(id), fencing_token: 1 };
        let (reporter, stop) = (Reporter::new(Arc::new(Away), lease, 1_000), Stop::default());
        let output = RunOutput::with_deadline(&log, reporter, 100, stop.clone(), finish_within).unwrap();
        (output, stop, log, folder)
    }

    /// Puts out more than may wait, and waits until no more is taken.
    async fn fill(output: &RunOutput) -> JoinHandle<()> {
        let full = output.clone();
        let filling = tokio::spawn(async move { full.text(OutputStream::Agent, &"line\n".repeat(LINES)).await });
        tokio::time::timeout(DEADLINE, async {
            while output.sender.capacity() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        filling
    }

    /// Whether so many lines are in the log file, and its end mark.
    fn has_all(log: &Path, lines: usize) -> bool {
        let text = std::fs::read_to_string(log).unwrap();
        text.lines().count() == lines + 1 && text.lines().last().unwrap().contains("Run Complete")
    }

    #[tokio::test]
    async fn a_run_that_must_stop_is_not_held_up_by_lines_nobody_takes() {
        for (reason, finish_within) in [
            (Reason::Shutdown, Duration::from_millis(50)),
            (Reason::LeaseLost("someone else has it".to_owned()), Duration::from_hours(1)),
        ] {
            let (output, stop, log, _folder) = output(finish_within);
            let filling = fill(&output).await;
            stop.ask(reason);
            tokio::time::timeout(DEADLINE, filling).await.expect("lines are taken again").unwrap();
            output.finish().await;
            assert!(has_all(&log, LINES), "the log file lacks lines");
        }
    }

    #[tokio::test]
    async fn what_is_not_sent_before_the_end_is_in_the_log_file() {
        let (output, _stop, log, _folder) = output(Duration::from_millis(50));
        output.text(OutputStream::Agent, &"line\n".repeat(WAITING_LINES_MAX)).await;
        output.finish().await;
        assert!(has_all(&log, WAITING_LINES_MAX), "the log file lacks lines");
    }
}
