//! Questions to every other instance at once, and whether their answers cover the whole log. It must never take silence
//! for an answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::response::Response;
use futures::future::join_all;
use http::{HeaderMap, Method};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::peers::{FORWARDED_HEADER, Unanswered};
use super::{CommandService, Who};
use crate::partition::Handle;

const WAIT: Duration = Duration::from_millis(50);

impl Who {
    /// Whether another instance has passed the request on.
    pub(super) fn was_passed_on(&self) -> bool {
        self.original.as_ref().is_some_and(|original| original.headers.contains_key(FORWARDED_HEADER))
    }
}

impl CommandService {
    /// Asks one instance, as the caller.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        who: &Who,
        url: &str,
        path: &str,
        body: Bytes,
    ) -> Result<T, Unanswered> {
        self.0.peers.ask_json(url, &Method::POST, path, headers_of(who), body).await
    }

    /// As [`CommandService::ask`], whatever the answer is.
    pub(super) async fn ask_raw(&self, who: &Who, url: &str, path: &str, body: Bytes) -> Result<Response, Unanswered> {
        self.0.peers.ask(url, &Method::POST, path, headers_of(who), body).await
    }

    /// The answers of every other instance that gave one in time.
    pub(super) async fn ask_others<T: DeserializeOwned>(
        &self,
        who: &Who,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Vec<T> {
        let others = self.0.ownership.others();
        self.ask_these(others, who, method, path, body).await.into_iter().map(|(_, answer)| answer).collect()
    }

    /// As [`CommandService::ask_others`], of these instances, with who answered.
    pub(super) async fn ask_these<T: DeserializeOwned>(
        &self,
        urls: BTreeSet<Arc<str>>,
        who: &Who,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Vec<(Arc<str>, T)> {
        let answers = join_all(urls.into_iter().map(|url| {
            let body = body.clone();
            async move {
                let asked = self.0.peers.ask_beside_others(&url, method, path, headers_of(who), body);
                Some((Arc::clone(&url), asked.await.ok()?))
            }
        }));
        answers.await.into_iter().flatten().collect()
    }

    /// Every partition of the log.
    pub(super) fn all_partitions(&self) -> BTreeSet<u32> {
        (0..self.0.log.partition_count()).collect()
    }

    /// Whether these are all the log's partitions.
    pub(super) fn are_all<'a>(&self, partitions: impl Iterator<Item = &'a u32>) -> bool {
        partitions.collect::<BTreeSet<_>>().len() >= self.0.partitions.len()
    }

    /// The partitions this instance serves, with their tenures.
    pub(super) fn tenures(&self) -> Vec<(u32, u64)> {
        (0..).zip(&self.0.partitions).filter_map(|(number, handle)| Some((number, handle.tenure()?))).collect()
    }

    /// Those of these partitions that were served all the time since.
    pub(super) fn still(&self, tenures: Vec<(u32, u64)>) -> Vec<u32> {
        let still = |(number, tenure): &(u32, u64)| self.0.partitions[*number as usize].tenure() == Some(*tenure);
        tenures.into_iter().filter(still).map(|(number, _)| number).collect()
    }

    /// Waits a moment for the partitions to settle. False when it is too late.
    pub(super) async fn wait_for_others(&self, deadline: Instant) -> bool {
        if Instant::now() >= deadline || self.0.shutdown.is_triggered() {
            return false;
        }
        let mut owners = self.0.ownership.look();
        tokio::select! {
            _ = owners.changed() => {}
            () = tokio::time::sleep(WAIT) => {}
            () = self.0.shutdown.triggered() => {}
        }
        true
    }

    /// The partitions of this instance that take commands.
    pub(super) fn served(&self) -> impl Iterator<Item = &Handle> {
        self.0.partitions.iter().filter(|handle| handle.is_serving())
    }
}

pub(super) fn headers_of(who: &Who) -> &HeaderMap {
    static NONE: std::sync::LazyLock<HeaderMap> = std::sync::LazyLock::new(HeaderMap::new);
    who.original.as_ref().map_or(&NONE, |original| &original.headers)
}
