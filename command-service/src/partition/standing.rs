//! Where a partition stands with this process, and the orders that change it. It must never know why.

use tokio::sync::{mpsc, oneshot};

/// Where a partition stands with this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not this process's to write.
    Idle,
    /// Its history is being read; commands wait.
    TakingOver,
    /// Commands are decided.
    Serving,
    /// What was decided is being written; commands are turned away.
    GivingBack,
}

impl Standing {
    /// For people and labels.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::TakingOver => "taking_over",
            Self::Serving => "serving",
            Self::GivingBack => "giving_back",
        }
    }
}

/// A standing and how often the partition had been taken when it began: whoever saw the same twice saw no other between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    pub standing: Standing,
    pub tenure: u64,
}

impl Seat {
    /// Whether it is still that tenure, and the partition is to be kept.
    pub(crate) fn is_of(self, tenure: u64) -> bool {
        self.tenure == tenure && !matches!(self.standing, Standing::Idle | Standing::GivingBack)
    }
}

/// What a partition's task is told.
pub(super) enum Order {
    Take,
    GiveBack(oneshot::Sender<()>),
    Lost,
}

/// The orders to a partition's task. It gives the partition back and ends when this is dropped.
pub(crate) struct Orders(pub(super) mpsc::UnboundedSender<Order>);

impl Orders {
    /// The partition is this process's to write.
    pub(crate) fn take(&self) {
        self.send(Order::Take);
    }

    /// Finish what is under way, then say so by `done`.
    pub(crate) fn give_back(&self, done: oneshot::Sender<()>) {
        self.send(Order::GiveBack(done));
    }

    /// Stop at once.
    pub(crate) fn lost(&self) {
        self.send(Order::Lost);
    }

    fn send(&self, order: Order) {
        // Without a task nothing is written, and a `done` that is dropped says so.
        drop(self.0.send(order));
    }
}
