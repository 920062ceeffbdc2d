//! Acknowledged commands through the batch endpoint, against a bare transactional producer with the bytes of their
//! events, the same acknowledgements, and as many records in a transaction as Muster's transactions had.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use muster_client::Client;
use muster_client::api::BatchItem;
use muster_client::domain::event::Event;
use muster_client::domain::id::CommandId;
use muster_event_log::limits::Record;
use muster_event_log::limits::kafka::{BareProducer, create_topic};
use muster_test_kit::Kafka;
use uuid::Uuid;

use super::board::{Card, cards};
use crate::measure::{Bounds, By, Contestant, compare};
use crate::service::{LogPlace, Programs, Service};
use crate::{Figure, Mix};

/// Name of the scenario.
pub const NAME: &str = "commands, 100 per request";
const COMMANDS_PER_REQUEST: usize = 100;

/// One figure: `lanes` requests at once, of 100 commands each.
pub async fn run(
    programs: &Programs,
    kafka: &Kafka,
    lanes: usize,
    batch: usize,
    bounds: &Bounds,
) -> anyhow::Result<Vec<Figure>> {
    let prefix = super::prefix();
    let log = LogPlace { kafka, prefix: &prefix, partitions: 1 };
    let muster = Service::commands(&programs.command_service, &log).await?;
    let cards = cards(muster.client(), 1, lanes * COMMANDS_PER_REQUEST).await?;
    let lanes_of = |cards: &[Card]| cards.chunks(COMMANDS_PER_REQUEST).map(<[Card]>::to_vec).collect::<Vec<_>>();
    let per_transaction = Arc::new(AtomicUsize::new(COMMANDS_PER_REQUEST));
    let mut batches = Batches {
        process: muster.id(),
        client: muster.client().clone(),
        metrics: format!("{}/metrics", muster.url()),
        lanes: lanes_of(&cards),
        per_transaction: Arc::clone(&per_transaction),
    };
    batches.send(batch).await?;
    let records = super::records(&log, COMMANDS_PER_REQUEST).await?;
    let topic = format!("{prefix}-limits");
    create_topic(&kafka.bootstrap, &topic).await?;
    let bootstrap = kafka.bootstrap.clone();
    let bare = tokio::task::spawn_blocking(move || BareProducer::connect(&bootstrap, &topic, &topic)).await??;
    let mut contestants: [Box<dyn Contestant>; 2] =
        [Box::new(batches), Box::new(Bare { producer: bare, records, per_transaction: Arc::clone(&per_transaction) })];
    let compared = compare(&mut contestants, &mut Mix::new()?, batch, bounds, By::Total).await;
    let compared =
        compared.with_context(|| format!("the command service's output ends with:\n{}", muster.log_tail()))?;
    let name = format!("{NAME}, {lanes} at once, {} per transaction", per_transaction.load(Ordering::Relaxed));
    Ok(compared.into_iter().map(|comparison| Figure::new(&name, batch, comparison)).collect())
}

/// Requests of 100 commands, some at once.
struct Batches {
    process: u32,
    client: Client,
    metrics: String,
    lanes: Vec<Vec<Card>>,
    /// Events in one of its transactions, on average, while it last worked.
    per_transaction: Arc<AtomicUsize>,
}

impl Batches {
    async fn send(&mut self, commands: usize) -> anyhow::Result<Duration> {
        let requests = commands.div_ceil(COMMANDS_PER_REQUEST * self.lanes.len());
        let before = self.transactions().await?;
        let start = Instant::now();
        let lanes = std::mem::take(&mut self.lanes).into_iter().map(|mut cards| {
            let client = self.client.clone();
            tokio::spawn(async move {
                for _ in 0..requests {
                    let items = cards.iter_mut().map(|card| BatchItem::new(CommandId(Uuid::now_v7()), card.change()));
                    let results = client.batch(items.collect()).await?;
                    anyhow::ensure!(results.iter().all(|result| result.outcome.is_some()), "{results:?}");
                }
                Ok(cards)
            })
        });
        let done = try_join_all(lanes).await?;
        let took = start.elapsed();
        self.lanes = done.into_iter().collect::<anyhow::Result<_>>()?;
        let after = self.transactions().await?;
        let (events, transactions) = (after.0 - before.0, after.1 - before.1);
        if let Some(mean) = events.checked_div(transactions) {
            self.per_transaction.store(usize::try_from(mean)?.max(1), Ordering::Relaxed);
        }
        Ok(took)
    }

    /// Events and transactions so far, as the service counts them.
    async fn transactions(&self) -> anyhow::Result<(u64, u64)> {
        let text = reqwest::get(&self.metrics).await?.text().await?;
        let find = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok());
            value.map(whole).with_context(|| format!("no metric {name}"))
        };
        if !text.contains("muster_command_batch_events_sum") {
            return Ok((0, 0));
        }
        Ok((find("muster_command_batch_events_sum")?, find("muster_command_batch_events_count")?))
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a run are whole and far below 2^52"
)]
fn whole(count: f64) -> u64 {
    count as u64
}

impl Contestant for Batches {
    fn name(&self) -> &'static str {
        "Muster"
    }

    fn process(&self) -> Option<u32> {
        Some(self.process)
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        self.send(batch.len()).boxed()
    }
}

/// The bare producer.
struct Bare {
    producer: BareProducer,
    records: Vec<Record>,
    per_transaction: Arc<AtomicUsize>,
}

impl Contestant for Bare {
    fn name(&self) -> &'static str {
        "bare producer"
    }

    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
        async move {
            let records: Vec<_> = self.records.iter().cycle().take(batch.len()).cloned().collect();
            let size = self.per_transaction.load(Ordering::Relaxed);
            let mut took = Duration::ZERO;
            for records in records.chunks(size) {
                took += tokio::task::block_in_place(|| self.producer.append(records))?;
            }
            Ok(took)
        }
        .boxed()
    }
}
