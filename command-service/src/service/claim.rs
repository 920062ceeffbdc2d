//! Claims: the most urgent work of all projects a caller may work in, at once or as soon as there is some.

use std::time::Duration;

use muster_domain::command::{ClaimWork, WorkOrder};
use muster_domain::id::{CommandId, ProjectId};
use muster_domain::model::MemberRole;
use muster_domain::rejection::Rejection;
use muster_schemas::api::{ClaimRequest, CommandRequest};
use muster_service_kit::{Problem, codes};
use tokio::time::Instant;

use super::{CommandService, Who};
use crate::partition::{CommandKey, Handle, Ledger, Offer, Refusal};
use crate::problem::{not_a_member, of_refusal};

impl CommandService {
    /// Claims work, waiting for some where the request says so; none when there was none in time. The same `key` gives
    /// the same order while its lease lives, and `stale_fencing_token` after it.
    pub async fn claim(&self, who: &Who, key: CommandId, request: &ClaimRequest) -> Result<Option<WorkOrder>, Problem> {
        self.all_recovered().await?;
        for project_id in request.project_ids.iter().flatten() {
            self.check_claimant(who, *project_id)?;
        }
        let command_key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        // The same key at the same time could otherwise claim in two projects.
        let _claiming = self.0.claims.lock(&command_key).await;
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0)).min(self.0.settings.claim_wait_max);
        let deadline = Instant::now() + wait;
        let mut wake = self.0.wake.clone();
        loop {
            wake.mark_unchanged();
            if let Some(order) = self.try_claim(who, key, &command_key, request).await? {
                return Ok(Some(order));
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(None),
                () = self.0.shutdown.triggered() => return Ok(None),
                changed = wake.changed() => if changed.is_err() {
                    return Ok(None);
                },
            }
        }
    }

    async fn try_claim(
        &self,
        who: &Who,
        key: CommandId,
        command_key: &CommandKey,
        request: &ClaimRequest,
    ) -> Result<Option<WorkOrder>, Problem> {
        let command = self.command(request);
        if let Some(answer) = self.claimed_before(who, command_key, &command) {
            return answer.map(Some);
        }
        for offer in self.offers(who, request) {
            let request = CommandRequest::new(offer.project_id, command.clone());
            let accepted = self.submit(who, key, offer.project_id, request).await?;
            if accepted.outcome.claim.is_some() {
                return accepted.order.map(|order| Some(*order)).ok_or_else(lease_over);
            }
            // Another session was faster; there may be more elsewhere.
        }
        Ok(None)
    }

    fn command(&self, request: &ClaimRequest) -> ClaimWork {
        ClaimWork {
            session_id: request.session_id,
            session_key: request.session_key.clone(),
            roles: request.roles.clone(),
            lease_duration_ms: request.lease_duration_ms.unwrap_or(self.0.settings.lease_default_ms),
            workspace_dir: request.workspace_dir.clone(),
            data_dir: request.data_dir.clone(),
        }
    }

    /// The order of a claim that was made with this key.
    fn claimed_before(&self, who: &Who, key: &CommandKey, command: &ClaimWork) -> Option<Result<WorkOrder, Problem>> {
        self.0.partitions.iter().find_map(|handle| {
            let ledger = handle.committed();
            let known = ledger.remembered(key)?;
            let project_id = known.outcome.project_id;
            let digest = crate::digest::digest(project_id, &command.clone().into(), &who.actor.user);
            let (Some(claim), Some(task_id)) = (&known.outcome.claim, known.outcome.task_id) else {
                return Some(Err(of_refusal(Refusal::KeyReused(key.command_id))));
            };
            if !known.is_of(&digest) {
                return Some(Err(of_refusal(Refusal::KeyReused(key.command_id))));
            }
            Some(ledger.order(project_id, task_id, claim.run_id).ok_or_else(lease_over))
        })
    }

    /// Projects with work for these roles, the most urgent first.
    fn offers(&self, who: &Who, request: &ClaimRequest) -> Vec<Offer> {
        let wanted = |id: &ProjectId| request.project_ids.as_ref().is_none_or(|ids| ids.contains(id));
        let of_partition = |handle: &Handle| {
            let ledger = handle.committed();
            let projects = ledger.projects().keys().filter(|id| wanted(id) && may_claim(&ledger, who, **id));
            projects.filter_map(|id| ledger.offer(*id, &request.roles)).collect::<Vec<_>>()
        };
        let mut offers: Vec<Offer> = self.0.partitions.iter().flat_map(of_partition).collect();
        offers.sort_unstable_by(|left, right| right.cmp(left));
        offers
    }

    fn check_claimant(&self, who: &Who, project_id: ProjectId) -> Result<(), Problem> {
        let ledger = self.partition_of(project_id).committed();
        if may_claim(&ledger, who, project_id) {
            return Ok(());
        }
        if who.actor.admin {
            return Err(of_refusal(Refusal::Rejected(Rejection::ProjectNotFound)));
        }
        Err(match ledger.role_of(project_id, &who.actor.user) {
            Some(_) => of_refusal(Refusal::Rejected(Rejection::Forbidden { needed: MemberRole::Operator })),
            None => not_a_member(),
        })
    }
}

fn may_claim(ledger: &Ledger, who: &Who, project_id: ProjectId) -> bool {
    match ledger.role_of(project_id, &who.actor.user) {
        Some(MemberRole::Owner | MemberRole::Operator) => true,
        _ => who.actor.admin && ledger.project(project_id).is_some_and(|state| state.project.is_some()),
    }
}

fn lease_over() -> Problem {
    Problem::new(codes::STALE_FENCING_TOKEN).detail("The lease of this claim is over; claim anew with another key.")
}
