//! Group-committed appends to the log in Kafka, Avro included, against a bare transactional producer with the same
//! acknowledgements, batches and bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use muster_client::domain::event::Event;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_event_log::limits::Record;
use muster_event_log::limits::kafka::{BareProducer, create_topic};
use muster_event_log::{EventLog, PartitionWriter};
use muster_test_kit::Kafka;

use crate::measure::{Bounds, By, Contestant, compare};
use crate::{Figure, Mix};

/// Name of the scenario.
pub const NAME: &str = "append, Kafka";
const TOPIC: &str = "muster-limits";

/// One figure for each of `batches`.
pub async fn run(kafka: &Kafka, batches: &[usize], bounds: &Bounds) -> anyhow::Result<Vec<Figure>> {
    let config = KafkaConfig {
        topic_prefix: "muster-loadtest".to_owned(),
        partitions: 1,
        ..KafkaConfig::new(&kafka.bootstrap, &kafka.registry_url)
    };
    let log = KafkaLog::connect(&config).await?;
    create_topic(&kafka.bootstrap, TOPIC).await?;
    let bootstrap = kafka.bootstrap.clone();
    let bare = tokio::task::spawn_blocking(move || BareProducer::connect(&bootstrap, TOPIC, "muster-limits")).await??;
    let mut contestants: [Box<dyn Contestant>; 2] =
        [Box::new(Log { writer: log.open_writer(0).await? }), Box::new(Bare(bare))];
    let mut mix = Mix::new()?;
    let mut figures = Vec::new();
    for batch in batches {
        let compared = compare(&mut contestants, &mut mix, *batch, bounds, By::Total).await?;
        figures.extend(compared.into_iter().map(|comparison| Figure::new(NAME, *batch, comparison)));
    }
    Ok(figures)
}

/// A log's writer, as the command service drives it: one append at a time.
pub(super) struct Log {
    pub writer: Box<dyn PartitionWriter>,
}

impl Contestant for Log {
    fn name(&self) -> &'static str {
        "Muster"
    }

    fn process(&self) -> Option<u32> {
        Some(std::process::id())
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let start = Instant::now();
            let end = self.writer.end();
            let appended = self.writer.append(end, batch).await?;
            let took = start.elapsed();
            anyhow::ensure!(appended.offsets.len() == batch.len(), "the log took fewer events than it was given");
            Ok(took)
        }
        .boxed()
    }
}

struct Bare(BareProducer);

impl Contestant for Bare {
    fn name(&self) -> &'static str {
        "bare producer"
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let records = Record::all(batch)?;
            Ok(tokio::task::block_in_place(|| self.0.append(&records))?)
        }
        .boxed()
    }
}
