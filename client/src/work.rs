//! Work: claims, reports, heartbeats, output. What a runner needs.

use muster_schemas::api::{
    ClaimRequest, HeartbeatRequest, HeartbeatResponse, OutputRequest, OutputResponse, ReportsRequest,
};
use muster_schemas::domain::command::WorkOrder;
use muster_schemas::domain::decide::Outcome;
use muster_schemas::domain::id::{CommandId, RunId};
use reqwest::Method;

use crate::{Client, Error};

impl Client {
    /// Claims the most urgent work; `None` when none became ready within `wait_ms`. The same `key` gives the same work
    /// order while its lease lives.
    pub async fn claim(&self, request: &ClaimRequest, key: Option<CommandId>) -> Result<Option<WorkOrder>, Error> {
        self.call(Method::POST, "/api/claims", request, key).await
    }

    /// Reports what happened in a run. `stale_fencing_token` means: the work is someone else's now, stop.
    pub async fn report(
        &self,
        run_id: RunId,
        request: &ReportsRequest,
        key: Option<CommandId>,
    ) -> Result<Outcome, Error> {
        self.post(&format!("/api/runs/{run_id}/reports"), request, key).await
    }

    /// Keeps a lease alive. `stale_fencing_token` means: it is lost, stop.
    pub async fn heartbeat(&self, run_id: RunId, request: &HeartbeatRequest) -> Result<HeartbeatResponse, Error> {
        self.post(&format!("/api/runs/{run_id}/heartbeat"), request, None).await
    }

    /// Appends lines of output. Sending lines again is safe.
    pub async fn append_output(&self, run_id: RunId, request: &OutputRequest) -> Result<OutputResponse, Error> {
        self.post(&format!("/api/runs/{run_id}/output"), request, None).await
    }
}
