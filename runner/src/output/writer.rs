//! The one that numbers lines, appends them to the log file and sends them on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::pin::{Pin, pin};
use std::time::Duration;

use muster_client::api::OutputLine;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::control::{Error, Reporter};

/// Lines sent in one call.
const BATCH_LINES_MAX: usize = 200;
/// Bytes sent in one call; well under the service's limit for a body.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// How long a line waits for others.
const BATCH_WAIT: Duration = Duration::from_millis(100);
/// Wait after the control plane could not be reached.
const RETRY_WAIT: Duration = Duration::from_millis(500);

/// The line that ends a log file, for those who follow it.
const END_MARK: &str = "=== Run Complete ===";

pub(super) struct Writer {
    log: BufWriter<File>,
    reporter: Reporter,
    next_line_number: u64,
    /// Whether lines are still sent on. Not after the lease is lost or a line was refused.
    sending: bool,
}

impl Writer {
    pub(super) fn create(log: &Path, reporter: Reporter) -> io::Result<Self> {
        if let Some(folder) = log.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let log = BufWriter::new(File::options().create(true).append(true).open(log)?);
        Ok(Self { log, reporter, next_line_number: 1, sending: true })
    }

    /// Writes until all senders are gone; from `give_up` on to the log file alone.
    pub(super) async fn run(mut self, mut receiver: mpsc::Receiver<OutputLine>, give_up: impl Future<Output = ()>) {
        let mut give_up = pin!(give_up);
        while let Some(first) = receiver.recv().await {
            let batch = gather(first, &mut receiver).await;
            self.write(&batch);
            self.send(&batch, give_up.as_mut()).await;
        }
        let ended = writeln!(self.log, "[{}] {END_MARK}", clock()).and_then(|()| self.log.flush());
        if let Err(error) = ended {
            tracing::warn!(%error, "the end of a run's log file could not be written");
        }
    }

    fn write(&mut self, batch: &[OutputLine]) {
        let mut write = || -> io::Result<()> {
            for line in batch {
                writeln!(self.log, "[{}] {}", line.timestamp.to_datetime().format("%H:%M:%S"), line.content)?;
            }
            self.log.flush()
        };
        if let Err(error) = write() {
            tracing::warn!(%error, "lines of a run's log file could not be written");
        }
    }

    /// Sends until taken, refused, or the run is over for us.
    async fn send(&mut self, batch: &[OutputLine], give_up: Pin<&mut impl Future<Output = ()>>) {
        if self.sending {
            self.sending = tokio::select! {
                biased;
                taken = self.insist(batch) => taken,
                () = give_up => {
                    tracing::warn!("the last lines of a run's output were not sent in time; its log file has them");
                    false
                }
            };
        }
        self.next_line_number += batch.len() as u64;
    }

    /// Sends until taken or refused: which of the two.
    async fn insist(&self, batch: &[OutputLine]) -> bool {
        loop {
            match self.reporter.output(self.next_line_number, batch).await {
                Ok(()) => return true,
                Err(Error::Unavailable(reason)) => {
                    tracing::debug!(%reason, "output waits for the control plane");
                    tokio::time::sleep(RETRY_WAIT).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "the run's output is not sent on; its log file has it");
                    return false;
                }
            }
        }
    }
}

/// `first` and what follows it soon.
async fn gather(first: OutputLine, receiver: &mut mpsc::Receiver<OutputLine>) -> Vec<OutputLine> {
    let until = Instant::now() + BATCH_WAIT;
    let mut size_bytes = first.content.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_LINES_MAX && size_bytes < BATCH_BYTES_MAX {
        let Ok(Some(line)) = tokio::time::timeout_at(until, receiver.recv()).await else { break };
        size_bytes += line.content.len();
        batch.push(line);
    }
    batch
}

fn clock() -> impl std::fmt::Display {
    chrono::Utc::now().format("%H:%M:%S")
}
