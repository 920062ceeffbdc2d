//! Following a partition: a consumer of its own, told where to begin.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use rdkafka::consumer::StreamConsumer;

use super::clients::{self, DropElsewhere, Quiet};
use super::reader::{assign, first_to_read, passes};
use super::watermarks::Watermarks;
use super::{KafkaConfig, errors, records};
use crate::decode::RawRecord;
use crate::{Error, LogOffset};

/// A record that was not decoded yet, with its offset.
pub(super) type Raw = Result<(LogOffset, RawRecord), Error>;

/// Every committed record of `topic`'s `partition` from `from` on, and then each new one.
pub(super) async fn subscribe(
    config: &KafkaConfig,
    watermarks: &Arc<Watermarks>,
    topic: String,
    partition: u32,
    from: LogOffset,
) -> Result<BoxStream<'static, Raw>, Error> {
    let (config, watermarks) = (config.clone(), Arc::clone(watermarks));
    // Making a client waits for its threads, and the consumer needs a runtime to be made in.
    let runtime = tokio::runtime::Handle::current();
    let (consumer, topic) = clients::blocking(move || {
        let _inside = runtime.enter();
        let consumer: StreamConsumer<Quiet> =
            clients::consumer(&config).create_with_context(Quiet).map_err(|error| errors::configuration(&error))?;
        let (low, _) = watermarks.committed(&topic, partition)?;
        assign(&consumer, &topic, partition, first_to_read(&topic, partition, from, low)?)?;
        Ok((DropElsewhere::new(consumer), topic))
    })
    .await?;
    Ok(stream::unfold((consumer, from), move |(consumer, next)| {
        let topic = topic.clone();
        async move {
            loop {
                match consumer.recv().await {
                    Ok(message) => {
                        let (offset, raw) = records::raw(&message);
                        drop(message);
                        return Some((Ok((offset, raw)), (consumer, offset.next())));
                    }
                    Err(error) if passes(&error) => {
                        tracing::debug!(topic, partition, %error, "the subscription goes on when Kafka is back");
                    }
                    Err(error) => {
                        return Some((Err(errors::unavailable_at(&topic, partition, next, &error)), (consumer, next)));
                    }
                }
            }
        }
    })
    .boxed())
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
