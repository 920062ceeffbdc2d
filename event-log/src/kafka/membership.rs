//! Dividing partitions by a consumer group of Kafka's, with the cooperative protocol: what does not move is not touched.
//!
//! The group's consumer reads nothing. It must never be mistaken for what makes writes safe: that is the transactional
//! producer's fencing.

mod client;
mod group;
mod owners;
mod place;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{KafkaConfig, clients};
use crate::{Change, Error, Member, Membership, Owners};

/// How much longer than everything it waits for an orderly departure may take.
const LEAVE_MARGIN: Duration = Duration::from_secs(5);

/// A place in the group.
pub(super) struct KafkaMembership {
    changes: Mutex<mpsc::UnboundedReceiver<Change>>,
    owners: Arc<owners::Directory>,
    place: Arc<place::Place>,
    leaving: CancellationToken,
    left: CancellationToken,
    leave_timeout: Duration,
    _watching: AbortOnDropHandle<()>,
}

impl KafkaMembership {
    pub(super) async fn join(config: &KafkaConfig, topic: &str, member: Member) -> Result<Self, Error> {
        let group = format!("{}-command-service", config.topic_prefix);
        let give_back_timeout = Duration::from_millis(config.give_back_timeout_ms);
        let (place, changes) = place::Place::new(give_back_timeout);
        let token = uuid::Uuid::new_v4().simple().to_string();
        let client_id = group::client_id(&member.url, &token);
        let describer = {
            let (config, group, topic) = (config.clone(), group.clone(), topic.to_owned());
            clients::blocking(move || group::Describer::new(&config, group, topic)).await?
        };
        let owners =
            Arc::new(owners::Directory::new(describer, Arc::clone(&place), &member.url, client_id.clone(), config));
        let (leaving, left) = (CancellationToken::new(), CancellationToken::new());
        let settings = client::settings(config, &group, &client_id, &member);
        let start = client::Start { settings, topic: topic.to_owned(), leaving: leaving.clone(), left: left.clone() };
        start.run(&place)?;
        let watching = tokio::spawn(Arc::clone(&owners).watch(move |place| start.run(place)));
        Ok(Self {
            changes: Mutex::new(changes),
            owners,
            place,
            leaving,
            left,
            leave_timeout: give_back_timeout + LEAVE_MARGIN,
            _watching: AbortOnDropHandle::new(watching),
        })
    }
}

#[async_trait]
impl Membership for KafkaMembership {
    async fn next(&self) -> Option<Change> {
        self.changes.lock().await.recv().await
    }

    fn owners(&self) -> watch::Receiver<Arc<Owners>> {
        self.owners.subscribe()
    }

    async fn refresh(&self) -> Result<Arc<Owners>, Error> {
        self.owners.refresh().await
    }

    async fn leave(&self) {
        self.leaving.cancel();
        if tokio::time::timeout(self.leave_timeout, self.left.cancelled()).await.is_err() {
            tracing::warn!("the group was not left in order in time; it notices by the session timeout");
        }
        self.place.close();
    }

    async fn has_heirs(&self) -> Result<bool, Error> {
        self.owners.others_are_there().await
    }
}

/// An instance that lets go of its place without leaving goes all the same.
impl Drop for KafkaMembership {
    fn drop(&mut self) {
        self.leaving.cancel();
        self.place.close();
    }
}
