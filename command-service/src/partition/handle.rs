//! How the rest of the service speaks to a partition. It must never show what is not committed.

use std::sync::Arc;
use std::time::Duration;

use muster_domain::command::WorkOrder;
use muster_domain::decide::{Actor, Outcome, Request};
use muster_domain::id::CommandId;
use muster_domain::model::Source;
use muster_domain::rejection::Rejection;
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::{mpsc, oneshot, watch};

use super::ledger::Ledger;
use super::memory::CommandKey;
use super::standing::{Seat, Standing};
use crate::room::{Room, Taken};

/// A command on its way to the writer.
pub(crate) struct Submission {
    pub request: Request,
    pub actor: Actor,
    pub source: Source,
    pub reply: Reply,
}

impl Submission {
    pub(super) fn key(&self) -> CommandKey {
        CommandKey { actor: self.actor.user.as_str().into(), command_id: self.request.command_id }
    }
}

/// What a writer is sent.
pub(crate) enum Mail {
    Command(Box<Submission>),
    /// Told when the log was looked at; dropped where it could not be.
    Look(oneshot::Sender<()>),
}

/// Who waits for what becomes of a command, and the room the command takes until that is told.
#[derive(Debug)]
pub(crate) struct Reply {
    to: oneshot::Sender<Result<Accepted, Refusal>>,
    _room: Option<Taken>,
}

impl Reply {
    /// Of a command that nobody waits for.
    pub(super) fn to_nobody() -> Self {
        Self { to: oneshot::channel().0, _room: None }
    }

    /// Tells it. Whoever went away asks again with the same id, if at all.
    pub(super) fn send(self, answer: Result<Accepted, Refusal>) {
        drop(self.to.send(answer));
    }
}

const NOT_LOOKED: Refusal =
    Refusal::Unavailable { reason: "the log does not say now what the command depends on", in_doubt: false };
const STOPPING: &str = "the service is stopping";

/// A command in the mailbox.
pub(crate) struct Submitted(oneshot::Receiver<Result<Accepted, Refusal>>);

impl Submitted {
    /// Waits for what becomes of it.
    pub(crate) async fn answer(self) -> Result<Accepted, Refusal> {
        // Dropped without an answer when the process ends.
        self.0.await.unwrap_or(Err(Refusal::Unavailable { reason: STOPPING, in_doubt: true }))
    }
}

/// A command that is in the log, or that needed no event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Accepted {
    pub outcome: Outcome,
    /// For a claim: what to do, while its lease lives.
    pub order: Option<Box<WorkOrder>>,
    /// Whether an earlier command with this id had done it.
    pub repeated: bool,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The domain says no.
    Rejected(Rejection),
    /// The id belongs to another command.
    KeyReused(CommandId),
    /// The partition has as much to do as it may.
    Overloaded,
    /// Another process writes the partition, or will. With `in_doubt` the command may be in the log.
    Elsewhere { in_doubt: bool },
    /// The log does not answer, the partition is changing hands, or the service stops. With `in_doubt` the command may
    /// be in the log: asking again with its id tells.
    Unavailable { reason: &'static str, in_doubt: bool },
    /// The project's history cannot be read in whole.
    Unreadable(String),
    /// An event would be larger than the log takes.
    TooLarge { size_bytes: usize, limit_bytes: usize },
    /// The log refuses the events for good.
    Failed(String),
}

/// Why a partition takes no commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unready {
    /// It is not this process's to write.
    Elsewhere,
    /// Its history is still being read.
    Recovering,
}

/// A partition. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(super) mailbox: mpsc::Sender<Mail>,
    pub(super) room: Room,
    pub(super) ledger: Arc<RwLock<Ledger>>,
    pub(super) seat: watch::Receiver<Seat>,
}

impl Handle {
    /// Puts a command into the mailbox. Those of one project are decided in the order in which they were put there.
    pub(crate) fn submit(
        &self,
        request: Request,
        size_bytes: usize,
        actor: Actor,
        source: Source,
    ) -> Result<Submitted, Refusal> {
        if matches!(self.standing(), Standing::Idle | Standing::GivingBack) {
            return Err(Refusal::Elsewhere { in_doubt: false });
        }
        let room = self.room.take(size_bytes).ok_or(Refusal::Overloaded)?;
        let (to, answer) = oneshot::channel();
        let reply = Reply { to, _room: Some(room) };
        let mail = Mail::Command(Box::new(Submission { request, actor, source, reply }));
        self.mailbox.try_send(mail).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Refusal::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Refusal::Unavailable { reason: STOPPING, in_doubt: false },
        })?;
        Ok(Submitted(answer))
    }

    /// Brings what is committed up to date with the log, should another process have written to it.
    pub(crate) async fn look(&self) -> Result<(), Refusal> {
        if self.standing() != Standing::Serving {
            return Err(NOT_LOOKED);
        }
        let (done, looked) = oneshot::channel();
        self.mailbox.try_send(Mail::Look(done)).map_err(|_| Refusal::Overloaded)?;
        looked.await.map_err(|_| NOT_LOOKED)
    }

    /// What is committed; nothing, of a partition that is not this process's. Hold it briefly, never across an await.
    pub(crate) fn committed(&self) -> RwLockReadGuard<'_, Ledger> {
        self.ledger.read()
    }

    /// Where the partition stands now.
    pub(crate) fn standing(&self) -> Standing {
        self.seat.borrow().standing
    }

    /// Whether the history was read and commands are taken.
    pub(crate) fn is_serving(&self) -> bool {
        self.standing() == Standing::Serving
    }

    /// Whether it is still the tenure in which commands were taken: if not, what was seen since may be of no partition.
    pub(crate) fn is_tenure(&self, tenure: u64) -> bool {
        self.seat.borrow().is_of(tenure)
    }

    /// The tenure in which commands are taken; none when they are not.
    pub(crate) fn tenure(&self) -> Option<u64> {
        let seat = *self.seat.borrow();
        (seat.standing == Standing::Serving).then_some(seat.tenure)
    }

    /// Waits while the history is read, at most `patience`, until commands are taken. The tenure in which they are.
    pub(crate) async fn serving(&self, patience: Duration) -> Result<u64, Unready> {
        if let Some(tenure) = self.tenure() {
            return Ok(tenure);
        }
        let mut seats = self.seat.clone();
        let waiting = seats.wait_for(|seat| seat.standing != Standing::TakingOver);
        let seat = match tokio::time::timeout(patience, waiting).await {
            Ok(Ok(seat)) => *seat,
            Ok(Err(_)) => return Err(Unready::Elsewhere),
            Err(_) => return Err(Unready::Recovering),
        };
        if seat.standing == Standing::Serving { Ok(seat.tenure) } else { Err(Unready::Elsewhere) }
    }

    /// The changes of the standing.
    pub(crate) fn changes(&self) -> watch::Receiver<Seat> {
        let mut seats = self.seat.clone();
        seats.mark_unchanged();
        seats
    }

    /// Commands that wait for the writer.
    pub(crate) fn waiting(&self) -> usize {
        self.mailbox.max_capacity() - self.mailbox.capacity()
    }
}
