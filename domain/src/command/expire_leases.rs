//! `expire_leases`: takes work back from sessions that were not heard of in time.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::failure::fail_run;
use crate::decide::{Context, Draft, Drafts};
use crate::model::{BuildError, BuildErrorKind, ReleaseReason};
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Ends every lease whose time is over. The command service issues it; no events when there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpireLeases {}

impl Decide for ExpireLeases {
    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, crate::model::MemberRole::Owner)?;
        let mut all = Vec::new();
        for task in state.tasks.with_lease_over(ctx.now).iter().filter_map(|id| state.task(*id)) {
            let expired: Vec<_> = task
                .live_runs()
                .filter(|run| run.lease.as_ref().is_some_and(|lease| lease.expires_at <= ctx.now))
                .map(|run| run.id)
                .collect();
            if expired.is_empty() {
                continue;
            }
            let mut drafts = Drafts::new(task.clone(), ctx.now);
            for run_id in expired {
                let error = BuildError {
                    kind: BuildErrorKind::LeaseLost,
                    message: "the session was not heard of before its lease ended".to_owned(),
                    exit_code: None,
                    log_excerpt: None,
                };
                fail_run(&mut drafts, state, run_id, error, ReleaseReason::LeaseExpired);
            }
            all.extend(drafts.finish());
        }
        Ok(all)
    }
}

/// Whether any lease is over at `now`.
pub fn has_expired_leases(state: &ProjectState, now: crate::time::Timestamp) -> bool {
    state.tasks.next_lease_end().is_some_and(|end| end <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Report, next_work};
    use crate::model::{Role, TaskStatus};
    use crate::testing::{LEASE_MS, claim, given_claimed, report, task_id};

    #[test]
    fn work_returns_once_and_the_zombie_is_refused() {
        let (scenario, old) = given_claimed();
        let scenario = scenario
            .after_ms(LEASE_MS - 1)
            .when(ExpireLeases {})
            .then_events(&[])
            .after_ms(1)
            .when(ExpireLeases {})
            .then_events(&["run.failed", "work.released", "agent.status_changed"])
            .when(ExpireLeases {})
            .then_events(&[]);
        assert!(next_work(&scenario.state, &[Role::Planner]).is_some());
        let progress = Report::Progress { message: "still here".to_owned(), percent: None };
        scenario
            .when(claim(2, &[Role::Planner]))
            .ok()
            .when(report(&old, progress))
            .then_rejected("stale_fencing_token");
    }

    #[test]
    fn after_the_last_attempt_the_card_fails() {
        let (mut scenario, _) = given_claimed();
        for n in 2..=4 {
            scenario = scenario.after_ms(LEASE_MS).when(ExpireLeases {}).ok().when(claim(n, &[Role::Planner])).ok();
        }
        assert_eq!(scenario.state.tasks[&task_id(1)].status, TaskStatus::Failed);
        assert!(!has_expired_leases(&scenario.state, scenario.now.plus_ms(LEASE_MS * 10)));
    }
}
