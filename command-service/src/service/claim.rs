//! Claims: the most urgent work of all projects a caller may work in, at once or as soon as there is some, whichever
//! instance has it.
//!
//! A claim's key belongs to a partition like a project does, and the owner of that partition carries the claim out: so
//! the same key is never at work in two places, and cannot claim twice.

use std::time::Duration;

use muster_domain::command::WorkOrder;
use muster_domain::id::CommandId;
use muster_event_log::partition_of;
use muster_schemas::api::ClaimRequest;
use tokio::time::Instant;

use super::offers::{Candidate, Place, SubClaim};
use super::{CommandService, Elsewhere, Error, Who};
use crate::partition::CommandKey;
use crate::problem::recovering;

/// What one look for work came to.
enum Round {
    Claimed(Box<WorkOrder>),
    Nothing,
    /// A partition is changing hands: whether the key was used there is not known.
    Unsure,
}

impl CommandService {
    /// Claims work, waiting for some where the request says so; none when there was none in time. The same `key` gives
    /// the same order while its lease lives, and `stale_fencing_token` after it.
    pub async fn claim(&self, who: &Who, key: CommandId, request: &ClaimRequest) -> Result<Option<WorkOrder>, Error> {
        let partition = partition_of(&format!("{}/{}", who.actor.user, key.0), self.0.log.partition_count());
        let tenure = self.serving(partition).await?;
        let command_key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        // The same key at the same time could otherwise claim in two projects.
        let _claiming = self.0.claims.lock(&command_key).await;
        let handle = &self.0.partitions[partition as usize];
        let mut seats = handle.changes();
        if !handle.is_tenure(tenure) {
            return Err(Elsewhere { partition, in_doubt: false }.into());
        }
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0)).min(self.0.settings.claim_wait_max);
        let (started, deadline) = (Instant::now(), Instant::now() + wait);
        let mut wake = self.0.wake.clone();
        let mut sure = false;
        let mut ask_others = true;
        loop {
            wake.mark_unchanged();
            match self.look_for_work(who, &command_key, request, &mut sure, ask_others).await? {
                Round::Claimed(order) => return Ok(Some(*order)),
                Round::Nothing => {}
                Round::Unsure => {
                    let patience = started.max(deadline.min(Instant::now())) + self.0.settings.handover_patience;
                    if !self.wait_for_others(patience).await {
                        return Err(recovering().into());
                    }
                    continue;
                }
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return Ok(None),
                () = self.0.shutdown.triggered() => return Ok(None),
                changed = wake.changed() => {
                    if changed.is_err() {
                        return Ok(None);
                    }
                    ask_others = false;
                }
                () = tokio::time::sleep(self.0.settings.claim_poll), if self.has_others() => ask_others = true,
                // The next owner of the key would not know that it is in use here.
                _ = seats.wait_for(|seat| !seat.is_of(tenure)) => return Ok(None),
            }
        }
    }

    /// As [`CommandService::claim`], in partitions of this instance alone and at once.
    pub(crate) async fn claim_here(
        &self,
        who: &Who,
        key: CommandId,
        request: &ClaimRequest,
    ) -> Result<Option<WorkOrder>, Error> {
        let command_key = CommandKey { actor: who.actor.user.as_str().into(), command_id: key };
        if let Some(answer) = self.claimed_before(who, &command_key, &self.claim_command(request)) {
            return Ok(Some(answer?));
        }
        for offer in self.offers(who, request) {
            if let Some(order) = self.claim_offer(who, key, &offer, request).await? {
                return Ok(Some(order));
            }
            // Another session was faster; there may be more elsewhere.
        }
        Ok(None)
    }

    /// One look for work, among the other instances as well where `ask_others` says so or there is some here. `sure`
    /// once nobody knows the key.
    async fn look_for_work(
        &self,
        who: &Who,
        key: &CommandKey,
        request: &ClaimRequest,
        sure: &mut bool,
        ask_others: bool,
    ) -> Result<Round, Error> {
        let tenures = self.tenures();
        if let Some(answer) = self.claimed_before(who, key, &self.claim_command(request)) {
            return Ok(Round::Claimed(Box::new(answer?)));
        }
        let offers = self.offers(who, request);
        let refusal = self.refusal_here(who, request);
        let mut served = self.still(tenures);
        let mut candidates: Vec<Candidate> = offers.into_iter().map(Candidate::here).collect();
        if self.has_others() && (ask_others || !candidates.is_empty()) {
            for (url, answer) in self.ask_for_offers(who, request).await {
                if answer.knows_key {
                    return Ok(self.claim_at(who, &url, request, sure).await?.unwrap_or(Round::Unsure));
                }
                if let Some(problem) = answer.refusal {
                    return Err(crate::problem::of_document(problem).into());
                }
                served.extend(answer.partitions);
                candidates.extend(answer.best.into_iter().map(|offer| Candidate::at(&url, offer)));
            }
        } else if *sure {
            served = (0..self.0.log.partition_count()).collect();
        }
        if !*sure && !self.are_all(served.iter()) {
            return Ok(Round::Unsure);
        }
        if let Some(problem) = refusal {
            return Err(problem.into());
        }
        *sure = true;
        candidates.sort_unstable_by_key(|candidate| std::cmp::Reverse(candidate.offer));
        for Candidate { offer, place } in candidates {
            let round = match place {
                Place::Here => match self.claim_offer(who, key.command_id, &offer, request).await {
                    Ok(order) => order.map(|order| Round::Claimed(Box::new(order))),
                    Err(Error::Elsewhere(_)) => {
                        *sure = false;
                        Some(Round::Unsure)
                    }
                    Err(error) => return Err(error),
                },
                Place::At(url) => {
                    let request = ClaimRequest { project_ids: Some(vec![offer.project_id]), ..request.clone() };
                    self.claim_at(who, &url, &request, sure).await?
                }
            };
            if let Some(round) = round {
                return Ok(round);
            }
            // Another session was faster; there may be more elsewhere.
        }
        Ok(Round::Nothing)
    }

    /// Has another instance claim. None when there was nothing to claim.
    async fn claim_at(
        &self,
        who: &Who,
        url: &str,
        request: &ClaimRequest,
        sure: &mut bool,
    ) -> Result<Option<Round>, Error> {
        Ok(match self.ask_to_claim(who, url, request).await? {
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
