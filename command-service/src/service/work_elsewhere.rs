//! How a claim that waits learns of work at other instances: it asks each of them once, and they answer when there is
//! some. It must never be what a claim is decided by: whoever hears of work looks again.

use std::time::Duration;

use axum::body::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use muster_schemas::api::ClaimRequest;
use tokio::time::Instant;

use super::others::headers_of;
use super::{CommandService, Who};

/// How long an instance that has no work keeps the question.
const KEPT_FOR: Duration = Duration::from_secs(5);
const KEPT_FOR_MS: u64 = 5_000;

impl CommandService {
    /// Returns when another instance may have work for a claim: when one says so, when partitions change hands, and
    /// after a while without a word. Not sooner than `claim_poll`.
    pub(super) async fn work_elsewhere(&self, who: &Who, request: &ClaimRequest) {
        tokio::time::sleep(self.0.settings.claim_poll).await;
        let mut owners = self.0.ownership.changes();
        let request = ClaimRequest { wait_ms: Some(KEPT_FOR_MS), ..request.clone() };
        let Ok(body) = serde_json::to_vec(&request) else { return };
        let body = Bytes::from(body);
        let others = self.0.ownership.others();
        let mut answers: FuturesUnordered<_> = others
            .iter()
            .map(|url| self.0.peers.ask_and_wait::<bool>(url, "/internal/work", headers_of(who), body.clone()))
            .collect();
        let told = async {
            loop {
                match answers.next().await {
                    Some(Ok(true)) => return,
                    Some(_) => {}
                    // Each has said that there is nothing, or could not be asked.
                    None => return std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = told => {}
            _ = owners.changed() => {}
            () = tokio::time::sleep(KEPT_FOR) => {}
        }
    }

    /// Whether there is work here for a claim; waits for some as long as the claim says.
    pub(crate) async fn has_work(&self, who: &Who, request: &ClaimRequest) -> bool {
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0)).min(KEPT_FOR);
        let deadline = Instant::now() + wait;
        let mut wake = self.0.wake.clone();
        loop {
            wake.mark_unchanged();
            if !self.offers(who, request).is_empty() {
                return true;
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return false,
                () = self.0.shutdown.triggered() => return false,
                changed = wake.changed() => if changed.is_err() { return false },
            }
            // However busy this instance is, it is not looked for more often than that.
            tokio::time::sleep(self.0.settings.claim_poll.min(deadline - Instant::now())).await;
        }
    }
}
