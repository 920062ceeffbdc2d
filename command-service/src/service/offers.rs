//! What there is to claim: here, and at the other instances. It must never offer what the caller may not claim.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use http::{Method, StatusCode};
use muster_domain::command::{ClaimWork, WorkOrder};
use muster_domain::id::{CommandId, ProjectId, TaskId};
use muster_domain::model::{MemberRole, Priority};
use muster_domain::rejection::Rejection;
use muster_domain::time::Timestamp;
use muster_schemas::api::{self, ClaimRequest, CommandRequest};
use muster_service_kit::{Problem, codes};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::peers::Unanswered;
use super::{CommandService, Error, Who, batch};
use crate::partition::{CommandKey, Handle, Ledger, Offer, Refusal};
use crate::problem::{not_a_member, of_document, of_refusal};

/// Offers an instance tells at once: the best of so many projects.
const OFFERS_TOLD: usize = 8;

/// What an instance has for a claim.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Offers {
    /// The partitions this holds for; none where the key may be in use, or the asker is not who should ask.
    pub(super) partitions: Vec<u32>,
    /// With what the claim is to be passed on.
    pub(super) ticket: Uuid,
    /// Whether the claim's key was used in one of them.
    pub(super) knows_key: bool,
    /// Why the caller may not claim in a project the claim names.
    pub(super) refusal: Option<api::Problem>,
    /// The most urgent first.
    pub(super) best: Vec<OfferTold>,
}

/// [`Offer`], on the wire.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct OfferTold {
    priority: Priority,
    created_at: Timestamp,
    task_id: TaskId,
    project_id: ProjectId,
}

/// Where an offer stands; elsewhere with the ticket to claim it.
pub(super) enum Place {
    Here,
    At(Arc<str>, Uuid),
}

/// An offer of some instance.
pub(super) struct Candidate {
    pub offer: Offer,
    pub place: Place,
}

impl Candidate {
    pub(super) fn here(offer: Offer) -> Self {
        Self { offer, place: Place::Here }
    }

    pub(super) fn at(url: &Arc<str>, ticket: Uuid, offer: OfferTold) -> Self {
        let OfferTold { priority, created_at, task_id, project_id } = offer;
        let offer = Offer { priority, oldest_first: Reverse((created_at, task_id)), project_id };
        Self { offer, place: Place::At(Arc::clone(url), ticket) }
    }
}

/// What became of a claim at another instance.
pub(super) enum SubClaim {
    Claimed(Box<WorkOrder>),
    Nothing,
    /// It may have claimed or not: asking again with the key tells.
    Unknown,
}

impl CommandService {
    /// What this instance has for a claim of another, which is reached at `asker`.
    pub(crate) async fn offers_here(&self, who: &Who, key: CommandId, asker: &str, request: &ClaimRequest) -> Offers {
        let home = self.home_of(who, key);
        let key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        // What is under way with this key shows only when it has ended.
        let free = tokio::time::timeout(self.0.settings.peer_timeout / 2, self.0.claims.lock(&key)).await;
        let may_ask = free.is_ok() && self.may_ask(home, asker).await;
        if !may_ask {
            return Offers::default();
        }
        let ticket = self.0.asked_keys.ticket(&key);
        let tenures = self.tenures();
        let knows_key = self.0.partitions.iter().any(|handle| handle.committed().remembers(&key));
        let refusal = self.refusal_here(who, request).map(|problem| batch::document(&problem));
        let offers = self.offers(who, request).into_iter().take(OFFERS_TOLD);
        let told = |Offer { priority, oldest_first: Reverse((created_at, task_id)), project_id }| OfferTold {
            priority,
            created_at,
            task_id,
            project_id,
        };
        let best = offers.map(told).collect();
        Offers { partitions: self.still(tenures), ticket, knows_key, refusal, best }
    }

    /// Whether `asker` owns the partition of the keys it asks about. Only when another has asked before is that found out
    /// anew: an instance that was frozen may still believe that it is the one.
    async fn may_ask(&self, partition: u32, asker: &str) -> bool {
        if self.0.asked_keys.was_asker(partition, asker) {
            return true;
        }
        let owns = matches!(self.0.ownership.is_of(partition, asker).await, Ok(true));
        if owns {
            self.0.asked_keys.set_asker(partition, asker);
        }
        owns
    }

    /// What the others have who own one of these partitions. Whoever gives no answer is left out.
    pub(super) async fn ask_for_offers(
        &self,
        who: &Who,
        request: &ClaimRequest,
        partitions: &BTreeSet<u32>,
    ) -> Vec<(Arc<str>, Offers)> {
        let Ok(body) = serde_json::to_vec(request) else { return Vec::new() };
        let others = self.0.ownership.others_with(partitions);
        self.ask_these(others, who, &Method::POST, "/internal/offers", Bytes::from(body)).await
    }

    /// Claims at another instance, under the same key.
    pub(super) async fn ask_to_claim(
        &self,
        who: &Who,
        url: &str,
        ticket: Uuid,
        request: &ClaimRequest,
    ) -> Result<SubClaim, Error> {
        let request = ClaimRequest { wait_ms: None, ..request.clone() };
        let body = serde_json::to_vec(&request).map_err(Problem::internal)?;
        let response =
            match self.ask_raw(who, url, &format!("/internal/claims?ticket={ticket}"), Bytes::from(body)).await {
                Ok(response) => response,
                Err(Unanswered::Busy) => return Err(super::peers::busy().into()),
                Err(_) => return Ok(SubClaim::Unknown),
            };
        let status = response.status();
        let Ok(bytes) = axum::body::to_bytes(response.into_body(), usize::MAX).await else {
            return Ok(SubClaim::Unknown);
        };
        match status {
            StatusCode::NO_CONTENT => Ok(SubClaim::Nothing),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => Ok(SubClaim::Unknown),
            status if status.is_success() => {
                Ok(serde_json::from_slice(&bytes).map_or(SubClaim::Unknown, |order| SubClaim::Claimed(Box::new(order))))
            }
            _ => match serde_json::from_slice(&bytes) {
                Ok(document) => Err(of_document(document).into()),
                Err(_) => Ok(SubClaim::Unknown),
            },
        }
    }

    /// Claims what was offered. None when another session was faster.
    pub(super) async fn claim_offer(
        &self,
        who: &Who,
        key: CommandId,
        offer: &Offer,
        request: &ClaimRequest,
    ) -> Result<Option<WorkOrder>, Error> {
        let request = CommandRequest::new(offer.project_id, self.claim_command(request));
        let accepted = self.submit(who, key, offer.project_id, request).await?;
        if accepted.outcome.claim.is_none() {
            return Ok(None);
        }
        Ok(Some(accepted.order.map(|order| *order).ok_or_else(lease_over)?))
    }

    /// The command of a claim: the same wherever it is carried out.
    pub(super) fn claim_command(&self, request: &ClaimRequest) -> ClaimWork {
        ClaimWork {
            session_id: request.session_id,
            session_key: request.session_key.clone(),
            roles: request.roles.clone(),
            lease_duration_ms: request.lease_duration_ms.unwrap_or(self.0.settings.lease_default_ms),
            workspace_dir: request.workspace_dir.clone(),
            data_dir: request.data_dir.clone(),
        }
    }

    /// The order of a claim that was made with this key in a partition of this instance.
    pub(super) fn claimed_before(
        &self,
        who: &Who,
        key: &CommandKey,
        command: &ClaimWork,
    ) -> Option<Result<WorkOrder, Problem>> {
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

    /// Projects of this instance with work for these roles, the most urgent first.
    pub(super) fn offers(&self, who: &Who, request: &ClaimRequest) -> Vec<Offer> {
        let wanted = |id: &ProjectId| request.project_ids.as_ref().is_none_or(|ids| ids.contains(id));
        let of_partition = |handle: &Handle| {
            let ledger = handle.committed();
            let projects = ledger.projects().keys().filter(|id| wanted(id) && may_claim(&ledger, who, **id));
            projects.filter_map(|id| ledger.offer(*id, &request.roles)).collect::<Vec<_>>()
        };
        let mut offers: Vec<Offer> = self.served().flat_map(of_partition).collect();
        offers.sort_unstable_by(|left, right| right.cmp(left));
        offers
    }

    /// Why the caller may not claim in a project the request names, of those in partitions of this instance.
    pub(super) fn refusal_here(&self, who: &Who, request: &ClaimRequest) -> Option<Problem> {
        request.project_ids.iter().flatten().find_map(|project_id| {
            let handle = self.partition_of(*project_id);
            let tenure = handle.tenure()?;
            let refusal = self.check_claimant(who, *project_id).err();
            refusal.filter(|_| handle.is_tenure(tenure))
        })
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
