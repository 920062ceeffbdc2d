//! The consumer that is the instance's place in the group, and the thread that polls it.
//!
//! It must never be polled elsewhere: rebalances happen inside its polls, and they wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use super::super::reader::passes;
use super::super::{KafkaConfig, clients, errors};
use super::place::{Context, Place};
use crate::{Error, Member};

/// Longest wait of one poll, and so for how long a departure may go unnoticed.
const POLL: Duration = Duration::from_millis(50);

/// Slowest heartbeat: an instance learns of a rebalance by the answer to its next one.
const HEARTBEAT_MAX_MS: u64 = 250;

/// How long the client may be busy in a rebalance beyond what the instance is given, in milliseconds.
const POLL_MARGIN_MS: u64 = 10_000;

/// The client's settings. What ownership rests on cannot be configured away.
pub(super) fn settings(config: &KafkaConfig, group: &str, client_id: &str, member: &Member) -> ClientConfig {
    let session_ms = member.session_timeout_ms;
    let heartbeat_ms = (session_ms / 3).clamp(1, HEARTBEAT_MAX_MS);
    // Also how long the group waits for a member that is alive and does not answer: no longer than it may rightly take.
    let poll_ms = session_ms.max(config.give_back_timeout_ms.saturating_add(POLL_MARGIN_MS));
    let mut client = clients::base(config);
    client
        .set("client.id", client_id)
        .set("group.id", group)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", session_ms.to_string())
        .set("heartbeat.interval.ms", heartbeat_ms.to_string())
        .set("max.poll.interval.ms", poll_ms.to_string())
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "latest")
        // Never asked for: every partition is paused. Should one be read before it is, then little.
        .set("queued.max.messages.kbytes", "64");
    client
}

/// What it takes to start a client, again if need be.
pub(super) struct Start {
    pub settings: ClientConfig,
    pub topic: String,
    pub leaving: CancellationToken,
    pub left: CancellationToken,
}

impl Start {
    /// Starts a client in place of any other.
    pub(super) fn run(&self, place: &Arc<Place>) -> Result<(), Error> {
        let context = place.renew();
        let (settings, topic) = (self.settings.clone(), self.topic.clone());
        let (leaving, left) = (self.leaving.clone(), self.left.clone());
        let consumer: BaseConsumer<Context> =
            settings.create_with_context(context).map_err(|error| errors::configuration(&error))?;
        consumer.subscribe(&[&topic]).map_err(|error| Error::unavailable(&format!("topic {topic}"), error))?;
        let thread = std::thread::Builder::new().name("muster-log-group".to_owned());
        let run = move || {
            serve(&consumer, &leaving);
            let current = consumer.context().is_current();
            // Tells the group, which need not wait for the session timeout then.
            drop(consumer);
            if current {
                left.cancel();
            }
        };
        thread.spawn(run).map(drop).map_err(|error| Error::unavailable("a thread for the group's client", error))
    }
}

/// Polls until the instance leaves, or the client was replaced.
fn serve(consumer: &BaseConsumer<Context>, leaving: &CancellationToken) {
    let mut reported: Option<(KafkaError, Instant)> = None;
    while consumer.context().is_current() && !leaving.is_cancelled() {
        match consumer.poll(POLL) {
            // Read before the partition was paused, or nothing at all.
            None | Some(Ok(_)) => {}
            Some(Err(error)) if passes(&error) => tracing::debug!(%error, "the group's client goes on trying"),
            Some(Err(error)) => {
                // A refusal, such as of the session timeout, comes again with each try.
                let again = reported.as_ref().is_some_and(|(last, at)| *last == error && at.elapsed().as_secs() < 10);
                if !again {
                    tracing::error!(%error, "the group of instances cannot be taken part in");
                    reported = Some((error, Instant::now()));
                }
            }
        }
    }
    if !consumer.context().is_current() {
        return;
    }
    // Gives everything back, inside the polls. That is bounded, and so is waiting for what the client makes of it.
    consumer.unsubscribe();
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        consumer.poll(Duration::from_millis(1));
        let empty = consumer.assignment().is_ok_and(|list| list.count() == 0);
        if (empty && consumer.context().holds_nothing()) || Instant::now() >= deadline {
            return;
        }
    }
}
