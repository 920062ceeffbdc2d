//! Taking a partition over: at the start, and after an append whose end is not known or that found another writer.
//!
//! It must never answer a command before the log was read to the end: only the log knows what became of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_domain::id::ProjectId;
use muster_event_log::{Error, EventLog, PartitionWriter};
use muster_service_kit::mutant;
use parking_lot::RwLock;

use super::batch::Batch;
use super::handle::{Mail, Refusal};
use super::ledger::Ledger;
use super::recall::recall;
use super::replay::catch_up;
use super::standing::Standing;
use super::tenure::pass_on;
use super::writer::Writer;

const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

const AWAY: Refusal = Refusal::Unavailable { reason: "the log does not answer", in_doubt: false };
const IN_DOUBT: Refusal =
    Refusal::Unavailable { reason: "the log does not answer, and may have taken the command", in_doubt: true };
const NOT_TAKEN: Refusal =
    Refusal::Unavailable { reason: "the partition changed hands before the command was written", in_doubt: false };

impl Writer {
    /// Opens the log's writer and reads what this process does not know yet, for as long as it takes. Then answers the
    /// commands of `lost` batches by what the log says. False when the partition is not this process's any more.
    pub(super) async fn take_over(&mut self, mut lost: Vec<Batch>, cause: Option<Error>) -> bool {
        let partition = self.partition;
        if let Some(error) = &cause {
            tracing::warn!(partition, %error, "the log failed or was written by another; taking the partition over again");
        }
        self.stands(Standing::TakingOver);
        let started = Instant::now();
        let mut touched: HashSet<ProjectId> = lost.iter().flat_map(Batch::projects).collect();
        // A process that slept meets errors of any kind before it hears that others have its partitions.
        let mut doubtful = cause.as_ref().is_some_and(|cause| final_refusal(cause).is_none());
        let mut wait = FIRST_WAIT;
        loop {
            let error = match self.attempt(doubtful, &mut touched).await {
                Attempt::Done => break,
                Attempt::NotOurs => {
                    self.leave_to_others(lost, cause.as_ref());
                    return false;
                }
                Attempt::Failed(error) => error,
            };
            tracing::warn!(partition, %error, wait_ms = wait.as_millis(), "the partition cannot be taken over yet");
            doubtful = true;
            if started.elapsed() > self.settings.recovery_patience {
                leave_in_doubt(&mut lost);
                self.refuse_waiting();
            }
            tokio::select! {
                order = self.orders.recv() => self.tenure.obey(order),
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            }
        }
        if cause.is_none() || !mutant::is("skip_rollback") {
            // Also those that stood in a snapshot and had no event since, and those an attempt read that came to nothing.
            let ledger = self.ledger.read();
            touched.extend(ledger.projects().keys());
            self.speculation.reset(touched, &ledger);
        }
        self.answer_lost(lost, cause.as_ref());
        metrics::counter!("muster_command_takeovers_total").increment(1);
        metrics::histogram!("muster_command_takeover_seconds").record(started.elapsed().as_secs_f64());
        let read_ms = started.elapsed().as_millis();
        self.snapshots.take_if_due(&self.log, self.partition, &self.ledger);
        tracing::info!(partition, read_ms, next = %self.ledger.read().next(), "the partition is taken over");
        self.stands(Standing::Serving);
        self.wake_waiting();
        true
    }

    /// One attempt, given up when the partition is given back or lost meanwhile. Where it is doubtful whose the partition
    /// is, the others are asked first.
    async fn attempt(&mut self, doubtful: bool, touched: &mut HashSet<ProjectId>) -> Attempt {
        if !self.tenure.holds() {
            return Attempt::NotOurs;
        }
        if doubtful {
            match self.is_still_ours().await {
                Ok(true) => {}
                Ok(false) => return Attempt::NotOurs,
                Err(error) => return Attempt::Failed(error),
            }
        }
        let (log, ledger) = (Arc::clone(&self.log), Arc::clone(&self.ledger));
        let taking = take(&log, self.partition, &ledger, touched);
        tokio::pin!(taking);
        let taken = loop {
            tokio::select! {
                taken = &mut taking => break taken,
                order = self.orders.recv() => {
                    self.tenure.obey(order);
                    if !self.tenure.holds() {
                        return Attempt::NotOurs;
                    }
                }
            }
        };
        match taken {
            Ok(writer) => {
                self.end = writer.end();
                self.appender = Some(writer);
                Attempt::Done
            }
            Err(error) => Attempt::Failed(error),
        }
    }

    /// The partition is another's now, who knows what became of the commands, or will decide on them.
    fn leave_to_others(&self, lost: Vec<Batch>, cause: Option<&Error>) {
        tracing::info!(partition = self.partition, "the partition is another's");
        for (index, batch) in lost.into_iter().enumerate() {
            let appended = index == 0;
            pass_on(batch, appended && matches!(cause, Some(Error::Indeterminate { .. })));
        }
    }

    /// The log was read to its end: what is not in it now will never be.
    fn answer_lost(&mut self, lost: Vec<Batch>, cause: Option<&Error>) {
        let final_refusal = cause.and_then(final_refusal);
        if final_refusal.is_some() {
            let commands: usize = lost.iter().map(Batch::command_count).sum();
            self.alone = if commands > 1 { commands } else { 0 };
        }
        let ledger = self.ledger.read();
        for mut batch in lost {
            batch.looked();
            if mutant::is("answer_lost_as_refused") {
                let gone = || Err(Refusal::Rejected(muster_domain::rejection::Rejection::ProjectNotFound));
                batch.answer(|_| gone(), |_| gone());
                continue;
            }
            if mutant::is("hide_doubt") {
                batch.answer(|_| Err(NOT_TAKEN), |_| Err(NOT_TAKEN));
                continue;
            }
            let refusal = final_refusal.clone().filter(|_| batch.command_count() == 1).unwrap_or(NOT_TAKEN);
            batch.answer(
                |decided| recall(&ledger, &decided.key, &decided.digest).unwrap_or_else(|| Err(refusal.clone())),
                |_| Err(NOT_TAKEN),
            );
        }
    }

    fn refuse_waiting(&mut self) {
        for submission in self.take_waiting_aside() {
            submission.reply.send(Err(AWAY));
        }
        while let Ok(mail) = self.mailbox.try_recv() {
            if let Mail::Command(submission) = mail {
                submission.reply.send(Err(AWAY));
            }
        }
    }
}

enum Attempt {
    Done,
    NotOurs,
    Failed(Error),
}

/// Opens the writer, which ends every earlier one, then reads to the end.
async fn take(
    log: &Arc<dyn EventLog>,
    partition: u32,
    ledger: &RwLock<Ledger>,
    touched: &mut HashSet<ProjectId>,
) -> Result<Box<dyn PartitionWriter>, Error> {
    let writer = log.open_writer(partition).await?;
    catch_up(log, partition, ledger, touched).await?;
    Ok(writer)
}

fn leave_in_doubt(lost: &mut Vec<Batch>) {
    for batch in lost.drain(..) {
        batch.answer(|_| Err(IN_DOUBT), |_| Err(IN_DOUBT));
    }
}

/// What a command that stood alone in its append is told, when sending it again cannot help.
fn final_refusal(error: &Error) -> Option<Refusal> {
    match error {
        Error::TooLarge { size_bytes, limit_bytes } => {
            Some(Refusal::TooLarge { size_bytes: *size_bytes, limit_bytes: *limit_bytes })
        }
        Error::Encode(_) | Error::Refused { .. } => Some(Refusal::Failed(error.to_string())),
        _ => None,
    }
}
