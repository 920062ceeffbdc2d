//! The control plane as a run sees it: work is claimed, what happens is reported, the lease is kept alive.
//!
//! It must never know how a call travels; [`crate::service`] does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_client::api::{ClaimRequest, OutputLine};
use muster_client::domain::command::{Report, WorkOrder};
use muster_client::domain::id::{CommandId, ProjectId, RunId, TaskId};
use serde::{Deserialize, Serialize};

use crate::stop::Stop;

/// Time between two tries of a report.
const INSIST_INTERVAL: Duration = Duration::from_millis(500);

/// Why the control plane did not take a call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The work is cancelled or someone else's now. Stop at once and report nothing more.
    #[error("the lease is lost: {0}")]
    LeaseLost(String),
    /// The call was understood and refused. Sending it again changes nothing.
    #[error("refused ({code}): {detail}")]
    Refused {
        /// The stable code.
        code: String,
        /// Why, for a person.
        detail: String,
    },
    /// No answer in time. The call may have happened; its key makes it safe to send again.
    #[error("the control plane cannot be reached: {0}")]
    Unavailable(String),
}

impl Error {
    /// Whether it was refused with that code.
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}

/// The right to report on one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The project.
    pub project_id: ProjectId,
    /// The card.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// Token every call must carry.
    pub fencing_token: u64,
}

impl From<&WorkOrder> for Lease {
    fn from(order: &WorkOrder) -> Self {
        Self {
            project_id: order.project_id,
            task_id: order.task_id,
            run_id: order.run_id,
            fencing_token: order.fencing_token,
        }
    }
}

/// Work that was given, and the claim that got it.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The work.
    pub order: WorkOrder,
    /// What was asked.
    pub request: ClaimRequest,
    /// Under which key; asking again with it gives the order as it is then.
    pub key: CommandId,
}

impl Claimed {
    /// The order as it is now: what people added and answered meanwhile is in it.
    pub async fn again(&self, control: &dyn Control) -> Result<Option<WorkOrder>, Error> {
        let request = ClaimRequest { wait_ms: None, ..self.request.clone() };
        Ok(control.claim(&request, self.key).await?.filter(|order| order.run_id == self.order.run_id))
    }
}

/// The calls a runner makes.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// Claims work, waiting for it as long as the request says. The same `key` gives the same answer.
    async fn claim(&self, request: &ClaimRequest, key: CommandId) -> Result<Option<WorkOrder>, Error>;

    /// Reports what happened, in order; all of it is taken or none. The same `key` reports it once.
    async fn report(&self, lease: &Lease, reports: Vec<Report>, key: CommandId) -> Result<(), Error>;

    /// Keeps the lease alive for `lease_duration_ms` from now.
    async fn renew(&self, lease: &Lease, lease_duration_ms: u64) -> Result<(), Error>;

    /// Sends lines of output; `first_line_number` counts from 1 in the run, without gaps. Sending again is safe.
    async fn output(&self, lease: &Lease, first_line_number: u64, lines: &[OutputLine]) -> Result<(), Error>;
}

/// Reports of one run, in the order of the calls.
#[derive(Clone)]
pub struct Reporter {
    control: Arc<dyn Control>,
    lease: Lease,
    lease_ms: u64,
}

impl Reporter {
    /// Reports under a lease, which [`Reporter::renew`] extends by `lease_ms`.
    pub fn new(control: Arc<dyn Control>, lease: Lease, lease_ms: u64) -> Self {
        Self { control, lease, lease_ms }
    }

    /// The lease.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Sends reports as one call.
    pub async fn send(&self, reports: Vec<Report>) -> Result<(), Error> {
        self.control.report(&self.lease, reports, muster_client::new_key()).await
    }

    /// Sends reports as one call, again and again under one key while nobody answers, until the run must stop: its
    /// heartbeat sees to that once the lease is over.
    pub async fn insist(&self, reports: Vec<Report>, stop: &Stop) -> Result<(), Error> {
        let key = muster_client::new_key();
        loop {
            match self.control.report(&self.lease, reports.clone(), key).await {
                Err(Error::Unavailable(reason)) if !stop.is_asked() => {
                    tracing::warn!(run_id = %self.lease.run_id, %reason, "a report waits for the control plane");
                }
                other => return other,
            }
            tokio::select! {
                () = tokio::time::sleep(INSIST_INTERVAL) => {}
                () = stop.asked() => {}
            }
        }
    }

    /// Asks whether the lease is still ours, and extends it. Called before any shared branch moves.
    pub async fn renew(&self) -> Result<(), Error> {
        self.control.renew(&self.lease, self.lease_ms).await
    }

    /// Sends lines of output.
    pub async fn output(&self, first_line_number: u64, lines: &[OutputLine]) -> Result<(), Error> {
        self.control.output(&self.lease, first_line_number, lines).await
    }
}
