//! Requests for partitions that are not this instance's: passed on to the owner, or kept while there is none.
//!
//! It must never give up a request that another try can still bring home in time, nor try without end.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use muster_schemas::api::BatchResult;
use muster_service_kit::Problem;
use tokio::time::Instant;

use super::batch::document;
use super::peers::{Original, Unanswered, busy};
use super::{CommandService, Elsewhere};
use crate::partition::Standing;

const FIRST_WAIT: Duration = Duration::from_millis(10);
/// How long an owner may take to answer, beyond what it may wait for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// How long a request has looked for an owner, over several tries.
#[derive(Debug)]
pub(crate) struct Journey {
    deadline: Option<Instant>,
    wait: Duration,
    in_doubt: bool,
}

impl Default for Journey {
    fn default() -> Self {
        Self { deadline: None, wait: FIRST_WAIT, in_doubt: false }
    }
}

impl Journey {
    /// Takes in that the command may have been carried out already.
    pub(crate) fn doubt(&mut self, in_doubt: bool) {
        self.in_doubt |= in_doubt;
    }

    /// What the caller is told. That nothing was done by who answers last does not say so of who was asked before.
    pub(crate) fn answer(&self, response: Response) -> Response {
        let undone = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        if self.in_doubt && undone { in_doubt().into_response() } else { response }
    }

    /// As [`Journey::answer`], of one command of many.
    pub(crate) fn answer_one(&self, result: &mut BatchResult) {
        let undone = result.problem.as_ref().is_some_and(|problem| matches!(problem.status, 429 | 503));
        if self.in_doubt && undone {
            result.problem = Some(document(&in_doubt()));
        }
    }
}

fn in_doubt() -> Problem {
    Elsewhere { partition: 0, in_doubt: true }.problem()
}

/// Where a request goes.
pub(crate) enum Next<T> {
    /// The partition is this instance's, or is becoming so.
    Here,
    /// Its owner has answered.
    Answered(T),
}

impl CommandService {
    /// Passes a request on to the owner of its partition; waits, bounded, where there is none.
    pub(crate) async fn pass_on_to_owner(
        &self,
        original: &Original,
        elsewhere: Elsewhere,
        journey: &mut Journey,
    ) -> Result<Next<Response>, Problem> {
        // A claim may wait for work; whatever else is not answered by then is lost on its way.
        let within = match original.uri.path() {
            "/api/claims" => self.0.settings.claim_wait_max + ANSWER_WITHIN,
            _ => self.0.settings.recovery_patience + ANSWER_WITHIN,
        };
        let ask = |url: Arc<str>| async move {
            let answer = tokio::time::timeout(within, self.0.peers.pass_on(&url, original));
            answer.await.unwrap_or(Err(Unanswered::InDoubt))
        };
        self.at_owner(elsewhere, journey, ask).await
    }

    /// Asks the owner of a partition by `ask`, again with another owner or as long as there is none, within
    /// `handover_patience`.
    pub(super) async fn at_owner<T, F: Future<Output = Result<T, Unanswered>>>(
        &self,
        elsewhere: Elsewhere,
        journey: &mut Journey,
        ask: impl Fn(Arc<str>) -> F,
    ) -> Result<Next<T>, Problem> {
        let Elsewhere { partition, in_doubt } = elsewhere;
        journey.doubt(in_doubt);
        loop {
            if matches!(self.0.partitions[partition as usize].standing(), Standing::Serving | Standing::TakingOver) {
                return Ok(Next::Here);
            }
            if let Some(owner) = self.0.ownership.other_owner(partition) {
                match self.unless_replaced(partition, &owner, ask(Arc::clone(&owner))).await {
                    Ok(answer) => return Ok(Next::Answered(answer)),
                    Err(Unanswered::Busy) if !journey.in_doubt => return Err(busy()),
                    Err(why) => {
                        tracing::debug!(partition, owner = &*owner, %why, "a request was not answered");
                        journey.doubt(why == Unanswered::InDoubt);
                    }
                }
            }
            if !self.wait_for_owner(partition, journey).await {
                return Err(Elsewhere { partition, in_doubt: journey.in_doubt }.problem());
            }
        }
    }

    /// Waits for an answer of `owner`, but not for one that was replaced: it may never come, and its successor knows.
    async fn unless_replaced<T>(
        &self,
        partition: u32,
        owner: &str,
        answer: impl Future<Output = Result<T, Unanswered>>,
    ) -> Result<T, Unanswered> {
        let mut owners = self.0.ownership.changes();
        let is_other = |url: Option<&Arc<str>>| url.is_some_and(|url| **url != *owner);
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            Ok(_) = owners.wait_for(|owners| is_other(owners.get(&partition))) => Err(Unanswered::InDoubt),
        }
    }

    /// Waits until something may have changed. False when the patience is over, or the process stops.
    async fn wait_for_owner(&self, partition: u32, journey: &mut Journey) -> bool {
        let deadline = *journey.deadline.get_or_insert_with(|| Instant::now() + self.0.settings.handover_patience);
        // A process that stops still passes on what came before, where there is another to pass it to.
        let stops = self.0.shutdown.is_triggered();
        if stops {
            self.0.ownership.look_without_follower().await;
        }
        if Instant::now() >= deadline || stops && self.0.ownership.others().is_empty() {
            return false;
        }
        let handle = &self.0.partitions[partition as usize];
        let mut seats = handle.changes();
        if matches!(handle.standing(), Standing::Serving | Standing::TakingOver) {
            return true;
        }
        let mut owners = self.0.ownership.look();
        let wait = journey.wait;
        journey.wait = (wait * 2).min(LONGEST_WAIT);
        tokio::select! {
            _ = seats.changed() => {}
            _ = owners.changed() => {}
            () = tokio::time::sleep(wait) => {}
            () = tokio::time::sleep_until(deadline) => {}
            () = self.0.shutdown.triggered(), if !stops => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_doubt_outlives_the_answer_of_who_did_nothing() {
        let body = async |journey: &Journey| {
            let answer = journey.answer(busy().into_response());
            let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap()
        };
        let mut journey = Journey::default();
        assert_eq!(body(&journey).await["code"], "overloaded");
        journey.doubt(true);
        assert_eq!(body(&journey).await["in_doubt"], true);
        let done = journey.answer(Response::default());
        assert_eq!(done.status(), StatusCode::OK);

        let refused = |problem: &Problem| BatchResult { outcome: None, problem: Some(document(problem)) };
        let mut result = refused(&busy());
        journey.answer_one(&mut result);
        assert_eq!(result.problem.unwrap().extensions["in_doubt"], true);
        let mut result = refused(&crate::problem::not_a_member());
        journey.answer_one(&mut result);
        assert_eq!(result.problem.unwrap().status, 403);
    }
}
