//! [`Control`] over HTTP: the command service through its client, which sends again under the same key.

use async_trait::async_trait;
use muster_client::api::{ClaimRequest, HeartbeatRequest, OutputLine, OutputRequest, ReportsRequest};
use muster_client::domain::command::{Report, WorkOrder};
use muster_client::domain::id::CommandId;

use crate::control::{Control, Error, Lease};

/// Codes that mean the work is not ours any more.
const LOST: [&str; 5] = ["stale_fencing_token", "run_not_found", "task_not_found", "project_not_found", "forbidden"];

#[async_trait]
impl Control for muster_client::Client {
    async fn claim(&self, request: &ClaimRequest, key: CommandId) -> Result<Option<WorkOrder>, Error> {
        Self::claim(self, request, Some(key)).await.map_err(|error| translate(&error))
    }

    async fn report(&self, lease: &Lease, reports: Vec<Report>, key: CommandId) -> Result<(), Error> {
        let request = ReportsRequest { task_id: lease.task_id, fencing_token: lease.fencing_token, reports };
        Self::report(self, lease.run_id, &request, Some(key)).await.map(drop).map_err(|error| translate(&error))
    }

    async fn renew(&self, lease: &Lease, lease_duration_ms: u64) -> Result<(), Error> {
        let request = HeartbeatRequest {
            task_id: lease.task_id,
            fencing_token: lease.fencing_token,
            lease_duration_ms: Some(lease_duration_ms),
        };
        self.heartbeat(lease.run_id, &request).await.map(drop).map_err(|error| translate(&error))
    }

    async fn output(&self, lease: &Lease, first_line_number: u64, lines: &[OutputLine]) -> Result<(), Error> {
        let request = OutputRequest {
            project_id: lease.project_id,
            task_id: lease.task_id,
            fencing_token: lease.fencing_token,
            first_line_number,
            lines: lines.to_vec(),
        };
        self.append_output(lease.run_id, &request).await.map(drop).map_err(|error| translate(&error))
    }
}

fn translate(error: &muster_client::Error) -> Error {
    match error.code() {
        Some(code) if LOST.contains(&code.as_str()) => Error::LeaseLost(error.to_string()),
        Some(code) if !error.is_transient() => Error::Refused { code, detail: error.to_string() },
        _ => Error::Unavailable(error.to_string()),
    }
}
