//! `renew_lease`: a session's heartbeat.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::report_run::check_lease;
use super::task_of;
use crate::decide::{Context, Draft};
use crate::event::LeaseRenewed;
use crate::id::{RunId, TaskId};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Keeps a lease alive: it ends `lease_duration_ms` from now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewLease {
    /// The card.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// The lease's token.
    pub fencing_token: u64,
    /// Length of the lease in milliseconds.
    pub lease_duration_ms: u64,
}

impl Decide for RenewLease {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, crate::model::MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        let lease = check_lease(task, self.run_id, self.fencing_token)?;
        if self.lease_duration_ms == 0 || self.lease_duration_ms > ctx.limits.lease_max_ms {
            let message = format!("must be from 1 to {} ms", ctx.limits.lease_max_ms);
            return Err(Rejection::invalid("lease_duration_ms", message));
        }
        let data = LeaseRenewed {
            run_id: self.run_id,
            session_id: lease.session_id,
            fencing_token: self.fencing_token,
            lease_duration_ms: self.lease_duration_ms,
        };
        Ok(vec![Draft { task_id: Some(self.task_id), data: data.into() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{given_claimed, task_id};

    #[test]
    fn the_lease_ends_later() {
        let (scenario, claim) = given_claimed();
        let renew = RenewLease {
            task_id: task_id(1),
            run_id: claim.run_id,
            fencing_token: claim.fencing_token,
            lease_duration_ms: 5000,
        };
        let scenario = scenario.after_ms(700).when(renew.clone()).then_events(&["lease.renewed"]);
        let lease = scenario.state.tasks[&task_id(1)].run(claim.run_id).unwrap().lease.clone().unwrap();
        assert_eq!(lease.expires_at, scenario.now.plus_ms(5000));
        assert_eq!(scenario.outcome().lease_expires_at, Some(lease.expires_at));
        scenario.when(RenewLease { fencing_token: 99, ..renew }).then_rejected("stale_fencing_token");
    }
}
