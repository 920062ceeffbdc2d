//! Claims: the most urgent work of all projects a caller may work in, at once or as soon as there is some, whichever
//! instance has it.
//!
//! A claim's key belongs to a partition like a project does, and the owner of that partition carries the claim out: so
//! the same key is never at work in two places, and cannot claim twice.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use muster_domain::command::WorkOrder;
use muster_domain::id::CommandId;
use muster_event_log::partition_of;
use muster_schemas::api::ClaimRequest;
use muster_service_kit::Problem;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use super::offers::{Candidate, Place, SubClaim};
use super::{CommandService, Elsewhere, Error, Who};
use crate::partition::{CommandKey, Offer};
use crate::problem::recovering;

/// What one look for work came to.
enum Round {
    Claimed(Box<WorkOrder>),
    Nothing,
    /// A partition is changing hands: whether the key was used there is not known.
    Unsure,
}

/// Held while a claim's key is at work.
type Claiming = Arc<OwnedMutexGuard<()>>;

/// How a claim looks for work.
struct Look {
    claiming: Claiming,
    /// Where it may be carried out.
    partitions: BTreeSet<u32>,
    /// Whether nobody knows the key.
    sure: bool,
    /// Whether the other instances are asked, though there is nothing here.
    ask_others: bool,
}

impl CommandService {
    /// The partition whose owner carries out the claims of this key.
    pub(super) fn home_of(&self, who: &Who, key: CommandId) -> u32 {
        partition_of(&format!("{}/{}", who.actor.user, key.0), self.0.log.partition_count())
    }

    /// Claims work, waiting for some where the request says so; none when there was none in time. The same `key` gives
    /// the same order while its lease lives, and `stale_fencing_token` after it.
    pub async fn claim(&self, who: &Who, key: CommandId, request: &ClaimRequest) -> Result<Option<WorkOrder>, Error> {
        let partition = self.home_of(who, key);
        let tenure = self.serving(partition).await?;
        let command_key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        // The same key at the same time could otherwise claim in two projects.
        let claiming: Claiming = Arc::new(self.0.claims.lock(&command_key).await);
        let handle = &self.0.partitions[partition as usize];
        let mut seats = handle.changes();
        if !handle.is_tenure(tenure) {
            return Err(Elsewhere { partition, in_doubt: false }.into());
        }
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0)).min(self.0.settings.claim_wait_max);
        let (started, deadline) = (Instant::now(), Instant::now() + wait);
        let mut wake = self.0.wake.clone();
        let mut look = Look { claiming, partitions: self.partitions_for(request), sure: false, ask_others: true };
        let mut elsewhere = pin!(self.work_elsewhere(who, request));
        loop {
            wake.mark_unchanged();
            if !handle.is_tenure(tenure) {
                return Err(Elsewhere { partition, in_doubt: false }.into());
            }
            match self.look_for_work(who, &command_key, request, &mut look).await? {
                Round::Claimed(order) => return Ok(Some(*order)),
                Round::Nothing => {}
                Round::Unsure => {
                    let patience = started.max(deadline.min(Instant::now())) + self.0.settings.handover_patience;
                    if !self.wait_for_others(patience).await {
                        return Err(recovering().into());
                    }
                    look.ask_others = true;
                    continue;
                }
            }
            look.ask_others = false;
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(None),
                () = self.0.shutdown.triggered() => return Ok(None),
                changed = wake.changed() => if changed.is_err() { return Ok(None) },
                // Goes on while something happens here, or a busy instance would never hear of the others.
                () = &mut elsewhere => {
                    look.ask_others = true;
                    elsewhere.set(self.work_elsewhere(who, request));
                }
                // The next owner of the key would not know that it is in use here.
                _ = seats.wait_for(|seat| !seat.is_of(tenure)) => return Ok(None),
            }
        }
    }

    /// The partitions a claim may be carried out in, now and when it was sent before.
    fn partitions_for(&self, request: &ClaimRequest) -> BTreeSet<u32> {
        match &request.project_ids {
            Some(projects) => projects.iter().map(|project_id| self.0.log.partition_for(*project_id)).collect(),
            None => self.all_partitions(),
        }
    }

    /// As [`CommandService::claim`], in partitions of this instance alone and at once, for another that was given
    /// `ticket` with the offers. Goes on when nobody waits for it any more.
    pub(crate) async fn claim_here(
        &self,
        who: &Who,
        key: CommandId,
        ticket: Uuid,
        request: ClaimRequest,
    ) -> Result<Option<WorkOrder>, Error> {
        let command_key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        let claiming = self.0.claims.lock(&command_key).await;
        if !self.0.asked_keys.is_last(&command_key, ticket) {
            return Err(recovering().into());
        }
        let (service, who) = (self.clone(), who.clone());
        to_its_end(async move {
            let _claiming = claiming;
            if let Some(answer) = service.claimed_before(&who, &command_key, &service.claim_command(&request)) {
                return Ok(Some(answer?));
            }
            for offer in service.offers(&who, &request) {
                if let Some(order) = service.claim_offer(&who, key, &offer, &request).await? {
                    return Ok(Some(order));
                }
                // Another session was faster; there may be more elsewhere.
            }
            Ok(None)
        })
        .await
    }

    /// One look for work, among the other instances as well where `look` says so or there is some here.
    async fn look_for_work(
        &self,
        who: &Who,
        key: &CommandKey,
        request: &ClaimRequest,
        look: &mut Look,
    ) -> Result<Round, Error> {
        let tenures = self.tenures();
        if let Some(answer) = self.claimed_before(who, key, &self.claim_command(request)) {
            return Ok(Round::Claimed(Box::new(answer?)));
        }
        let offers = self.offers(who, request);
        let refusal = self.refusal_here(who, request);
        let mut served: BTreeSet<u32> = self.still(tenures).into_iter().collect();
        let mut candidates: Vec<Candidate> = offers.into_iter().map(Candidate::here).collect();
        if self.has_others() && (look.ask_others || !candidates.is_empty()) {
            for (url, answer) in self.ask_for_offers(who, request, &look.partitions).await {
                if answer.knows_key {
                    let claimed = self.claim_at(who, &url, answer.ticket, request, &mut look.sure).await?;
                    return Ok(claimed.unwrap_or(Round::Unsure));
                }
                if let Some(problem) = answer.refusal {
                    return Err(crate::problem::of_document(problem).into());
                }
                served.extend(answer.partitions);
                candidates.extend(answer.best.into_iter().map(|offer| Candidate::at(&url, answer.ticket, offer)));
            }
        }
        if !look.sure && !look.partitions.is_subset(&served) {
            return Ok(Round::Unsure);
        }
        if let Some(problem) = refusal {
            return Err(problem.into());
        }
        look.sure = true;
        candidates.sort_unstable_by_key(|candidate| std::cmp::Reverse(candidate.offer));
        for Candidate { offer, place } in candidates {
            let round = match place {
                Place::Here => match self.claim_offer_to_its_end(look, who, key.command_id, offer, request).await {
                    Ok(order) => order.map(|order| Round::Claimed(Box::new(order))),
                    Err(Error::Elsewhere(_)) => {
                        look.sure = false;
                        Some(Round::Unsure)
                    }
                    Err(error) => return Err(error),
                },
                Place::At(url, ticket) => {
                    let request = ClaimRequest { project_ids: Some(vec![offer.project_id]), ..request.clone() };
                    self.claim_at(who, &url, ticket, &request, &mut look.sure).await?
                }
            };
            if let Some(round) = round {
                return Ok(round);
            }
            // Another session was faster; there may be more elsewhere.
        }
        Ok(Round::Nothing)
    }

    /// As [`CommandService::claim_offer`], and nothing else is done with the key until it is known what became of it:
    /// also when the caller has gone, who may ask again at once.
    async fn claim_offer_to_its_end(
        &self,
        look: &Look,
        who: &Who,
        key: CommandId,
        offer: Offer,
        request: &ClaimRequest,
    ) -> Result<Option<WorkOrder>, Error> {
        let (service, claiming) = (self.clone(), Arc::clone(&look.claiming));
        let (who, request) = (who.clone(), request.clone());
        to_its_end(async move {
            let _claiming = claiming;
            service.claim_offer(&who, key, &offer, &request).await
        })
        .await
    }

    /// Has another instance claim. None when there was nothing to claim.
    async fn claim_at(
        &self,
        who: &Who,
        url: &str,
        ticket: Uuid,
        request: &ClaimRequest,
        sure: &mut bool,
    ) -> Result<Option<Round>, Error> {
        Ok(match self.ask_to_claim(who, url, ticket, request).await? {
            SubClaim::Claimed(order) => Some(Round::Claimed(order)),
            SubClaim::Nothing => None,
            SubClaim::Unknown => {
                *sure = false;
                Some(Round::Unsure)
            }
        })
    }

    fn has_others(&self) -> bool {
        !self.0.ownership.others().is_empty()
    }
}

/// Carries `work` to its end, whether somebody waits for it or not.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work.in_current_span()).await.unwrap_or_else(|error| Err(Problem::internal(error).into()))
}
