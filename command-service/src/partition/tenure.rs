//! The life of a partition in this process: idle, taken over, served, given back, idle again.
//!
//! It must never take a partition over that the other instances have been told is another's.

use std::time::Duration;

use muster_event_log::Error;
use tokio::sync::oneshot;

use super::batch::Batch;
use super::handle::{Mail, Refusal};
use super::ledger::Ledger;
use super::standing::{Order, Seat, Standing};
use super::waiting::Waiting;
use super::writer::Writer;

/// How often a partition that was found to be another's, though nobody took it back, is asked about.
const REASSESS_EVERY: Duration = Duration::from_millis(500);

/// Whose the partition is, by the orders so far.
#[derive(Default)]
pub(super) struct Tenure {
    /// Whether it was taken, and neither given back nor lost since.
    assigned: bool,
    /// Whether it is not to be written any more by what was decided.
    pub(super) lost: bool,
    /// Whether the log has shown another writer, and the others say that it is theirs.
    fenced: bool,
    /// Whether no order will come any more.
    closed: bool,
    /// Who is told when nothing is written any more.
    given_back: Vec<oneshot::Sender<()>>,
}

impl Tenure {
    /// Whether the partition is to be written by this process.
    pub(super) fn holds(&self) -> bool {
        self.assigned && !self.fenced && !self.closed
    }

    /// Whether no order will come any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing is written any more.
    fn done(&mut self) {
        self.lost = false;
        for done in self.given_back.drain(..) {
            // Whoever no longer waits has given the partition to another already.
            let _ = done.send(());
        }
    }

    pub(super) fn obey(&mut self, order: Option<Order>) {
        match order {
            // Taken again while it is still being given back, it is taken after that.
            Some(Order::Take) => (self.assigned, self.fenced) = (true, false),
            Some(Order::GiveBack(done)) => {
                self.assigned = false;
                self.given_back.push(done);
            }
            Some(Order::Lost) => (self.assigned, self.lost) = (false, true),
            None => self.closed = true,
        }
    }
}

impl Writer {
    /// Takes the partition over and gives it back as ordered, until no order can come.
    pub(super) async fn run(mut self) {
        while self.idle().await {
            metrics::gauge!("muster_command_partitions_owned").increment(1);
            if self.take_over(Vec::new(), None).await {
                self.serve().await;
            }
            self.give_up();
            metrics::gauge!("muster_command_partitions_owned").decrement(1);
        }
        tracing::debug!(partition = self.partition, "the writer has stopped");
    }

    /// Waits until the partition is to be taken over; false when it never will be.
    async fn idle(&mut self) -> bool {
        loop {
            self.tenure.done();
            if self.tenure.holds() {
                return true;
            }
            if self.tenure.closed {
                return false;
            }
            let doubtful = self.tenure.assigned && self.tenure.fenced;
            let mut owners = self.ownership.changes();
            tokio::select! {
                order = self.orders.recv() => self.tenure.obey(order),
                mail = self.mailbox.recv() => match mail {
                    Some(mail) => turn_away(mail),
                    None => return false,
                },
                () = async {
                    tokio::select! {
                        _ = owners.changed() => {}
                        () = tokio::time::sleep(REASSESS_EVERY) => {}
                    }
                }, if doubtful => {
                    if matches!(self.ownership.is_ours(self.partition).await, Ok(true)) {
                        self.tenure.fenced = false;
                    }
                }
            }
        }
    }

    /// Decides nothing more. What was decided is still written.
    pub(super) fn stop_taking(&mut self) {
        if self.stands(Standing::GivingBack) {
            self.turn_away_waiting();
        }
    }

    /// Forgets the partition: whoever still waits is turned away.
    fn give_up(&mut self) {
        self.stands(Standing::Idle);
        self.abandon();
        self.turn_away_waiting();
        self.waiting = Waiting::default();
        self.appender = None;
        self.alone = 0;
        let ledger = std::mem::replace(&mut *self.ledger.write(), Ledger::new(&self.settings));
        let speculation = std::mem::take(&mut self.speculation);
        // Millions of tasks take a while to go.
        tokio::task::spawn_blocking(move || drop((ledger, speculation)));
        tracing::info!(partition = self.partition, "the partition is given back");
    }

    /// Takes the place `standing`. Whether that is another than before.
    pub(super) fn stands(&self, standing: Standing) -> bool {
        self.seat.send_if_modified(|seat| {
            let changed = seat.standing != standing;
            let begins = seat.standing == Standing::Idle && changed;
            *seat = Seat { standing, tenure: seat.tenure + u64::from(begins) };
            changed
        })
    }

    /// Whether the partition is this process's, asked of the others: after the log has shown another writer, taking over
    /// blindly would take it from its rightful owner.
    pub(super) async fn is_still_ours(&mut self) -> Result<bool, Error> {
        let ours = self.ownership.is_ours(self.partition).await?;
        self.tenure.fenced = !ours;
        Ok(ours)
    }

    fn turn_away_waiting(&mut self) {
        for submission in self.take_waiting_aside() {
            turn_away(Mail::Command(Box::new(submission)));
        }
        while let Ok(mail) = self.mailbox.try_recv() {
            turn_away(mail);
        }
    }
}

/// Answers the commands of a batch that stays without an owner here; its first owner elsewhere knows what became of it.
pub(super) fn pass_on(batch: Batch, in_doubt: bool) {
    batch.answer(|_| elsewhere(in_doubt), |_| elsewhere(false));
}

fn elsewhere<T>(in_doubt: bool) -> Result<T, Refusal> {
    Err(Refusal::Elsewhere { in_doubt })
}

fn turn_away(mail: Mail) {
    if let Mail::Command(submission) = mail {
        submission.reply.send(elsewhere(false));
    }
}
