//! Following a partition: a consumer of its own, told where to begin, and replaced where it stands when it stalls.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use rdkafka::consumer::StreamConsumer;
use tokio::time::Instant;

use super::clients::{self, DropElsewhere, Quiet};
use super::reader::{assign, first_to_read, passes};
use super::watchdog::{Finding, Watchdog};
use super::watermarks::Watermarks;
use super::{KafkaConfig, errors, records};
use crate::decode::RawRecord;
use crate::{Error, LogOffset, stalls};

/// A record that was not decoded yet, with its offset.
pub(super) type Raw = Result<(LogOffset, RawRecord), Error>;

/// What every subscription of a log needs.
pub(super) struct Subscriptions {
    config: KafkaConfig,
    watermarks: Arc<Watermarks>,
    watchdog: Arc<Watchdog>,
}

type Client = DropElsewhere<StreamConsumer<Quiet>>;

/// Where a subscription stands.
struct Follower {
    all: Arc<Subscriptions>,
    consumer: Client,
    topic: String,
    partition: u32,
    next: LogOffset,
    /// Up to here there was nothing else when it was last looked at.
    known: LogOffset,
    /// Whether there was a record for the consumer to deliver when it was last looked at.
    is_behind: bool,
}

impl Subscriptions {
    pub(super) fn new(config: KafkaConfig, watermarks: Arc<Watermarks>) -> Arc<Self> {
        let watchdog = Arc::new(Watchdog::new(config.clone(), Arc::clone(&watermarks)));
        Arc::new(Self { config, watermarks, watchdog })
    }

    /// Every committed record of `topic`'s `partition` from `from` on, and then each new one.
    pub(super) async fn subscribe(
        self: &Arc<Self>,
        topic: String,
        partition: u32,
        from: LogOffset,
    ) -> Result<BoxStream<'static, Raw>, Error> {
        let all = Arc::clone(self);
        let consumer = all.client(&topic, partition, from).await?;
        let follower = Follower { all, consumer, topic, partition, next: from, known: from, is_behind: false };
        let records = stream::unfold(follower, |mut follower| async move {
            let record = follower.record().await;
            Some((record, follower))
        });
        Ok(records.boxed())
    }

    async fn client(self: &Arc<Self>, topic: &str, partition: u32, from: LogOffset) -> Result<Client, Error> {
        let (all, topic) = (Arc::clone(self), topic.to_owned());
        // Making a client waits for its threads, and the consumer needs a runtime to be made in.
        let runtime = tokio::runtime::Handle::current();
        clients::blocking(move || {
            let _inside = runtime.enter();
            let consumer: StreamConsumer<Quiet> = clients::consumer(&all.config)
                .create_with_context(Quiet)
                .map_err(|error| errors::configuration(&error))?;
            let consumer = DropElsewhere::new(consumer);
            let (low, _) = all.watermarks.committed(&topic, partition)?;
            assign(&*consumer, &topic, partition, first_to_read(&topic, partition, from, low)?)?;
            Ok(consumer)
        })
        .await
    }
}

impl Follower {
    async fn record(&mut self) -> Raw {
        let patience = self.all.watchdog.patience();
        let mut look_at = Instant::now() + patience;
        loop {
            match tokio::time::timeout_at(look_at, self.consumer.recv()).await {
                Ok(Ok(message)) => {
                    let (offset, raw) = records::raw(&message);
                    self.next = offset.next();
                    self.is_behind = false;
                    return Ok((offset, raw));
                }
                Ok(Err(error)) if passes(&error) => {
                    let (topic, partition) = (&self.topic, self.partition);
                    tracing::debug!(topic, partition, %error, "the subscription goes on when Kafka is back");
                }
                Ok(Err(error)) => {
                    return Err(errors::unavailable_at(&self.topic, self.partition, self.next, &error));
                }
                Err(_) => {
                    self.look().await;
                    look_at = Instant::now() + patience;
                }
            }
        }
    }

    /// Replaces the consumer when what it should deliver was there at the last look already.
    async fn look(&mut self) {
        match self.all.watchdog.look(&self.topic, self.partition, self.next, self.known).await {
            Finding::Unknown => {}
            Finding::NothingBefore(end) => (self.known, self.is_behind) = (end, false),
            Finding::Record if !self.is_behind => self.is_behind = true,
            Finding::Record => {
                let Self { topic, partition, next, .. } = self;
                stalls::count(
                    "subscription",
                    &format!(
                        "topic {topic}, partition {partition}: what is there from offset {next} on is not delivered; the client is replaced"
                    ),
                );
                match self.all.client(topic, *partition, *next).await {
                    Ok(client) => (self.consumer, self.is_behind) = (client, false),
                    Err(error) => tracing::warn!(topic, partition, %error, "the client is replaced later"),
                }
            }
        }
    }
}

/// `stream` up to and with its first error.
pub(super) fn until_error<T: Send + 'static>(
    stream: BoxStream<'static, Result<T, Error>>,
) -> BoxStream<'static, Result<T, Error>> {
    stream
        .scan(false, |failed, item| {
            let ended = std::mem::replace(failed, item.is_err());
            std::future::ready((!ended).then_some(item))
        })
        .boxed()
}
