//! How long a partition is unserved once the group has noticed that its owner was killed, with a little history behind
//! it and with a lot: from the new owner's first step to the first command it acknowledged.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_client::api::PartitionStatus;
use muster_client::{Client, RetryPolicy};
use muster_event_log::EventLog;
use muster_event_log::kafka::{KafkaConfig, KafkaLog};
use muster_test_kit::Kafka;

use super::commands::board::{Card, cards};
use crate::measure::{Comparison, Side};
use crate::service::{LogPlace, Service};
use crate::{Figure, Mix};

/// Name of the scenario.
pub const NAME: &str = "takeover after kill -9";
/// Longest wait for anything that must come; reached only when something is broken.
const DEADLINE: Duration = Duration::from_mins(5);
const FILL_BATCH: usize = 1000;
/// Clients that keep sending while the owner is killed. Each waits for its answer, so that one of them always waits.
const CLIENTS: usize = 4;
/// Pause between two looks at who serves.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Events from which on a snapshot is waited for before the owner is killed: the service's own default.
const SNAPSHOT_FROM: usize = 20_000;

/// One figure: `many` events behind the partition beside `few`, `rounds` kills of each.
pub async fn run(
    program: &Path,
    kafka: &Kafka,
    (few, many): (usize, usize),
    rounds: u32,
) -> anyhow::Result<Vec<Figure>> {
    let small = measure(program, kafka, few, rounds).await?;
    let large = measure(program, kafka, many, rounds).await?;
    let ratios = small.iter().zip(&large).map(|(small, large)| small.as_secs_f64() / large.as_secs_f64()).collect();
    let comparison = Comparison {
        muster: side(&format!("Muster, {many} events"), large),
        limit: side(&format!("Muster, {few} events"), small),
        ratios,
    };
    Ok(vec![Figure::new(NAME, 1, comparison)])
}

/// The time of each takeover.
async fn measure(program: &Path, kafka: &Kafka, events: usize, rounds: u32) -> anyhow::Result<Vec<Duration>> {
    let prefix = super::commands::prefix();
    let log = LogPlace { kafka, prefix: &prefix, partitions: 1 };
    fill(&log, events).await?;
    let mut owner = Service::commands(program, &log).await?;
    let cards = cards(owner.client(), 1, CLIENTS).await?;
    if events >= SNAPSHOT_FROM {
        owner.wait_for("muster_command_snapshots_total{outcome=\"kept\"}", DEADLINE).await?;
    }
    let mut times = Vec::new();
    for _ in 0..rounds.max(1) {
        let other = Service::commands(program, &log).await?;
        // Whoever joins may be given the partition.
        let (killed, next) = if state(other.client()).await? == "idle" { (owner, other) } else { (other, owner) };
        times.push(take_over(&killed, &next, &cards).await?);
        owner = next;
    }
    Ok(times)
}

/// Writes events as a busy installation has them, without a service.
async fn fill(log: &LogPlace<'_>, events: usize) -> anyhow::Result<()> {
    let config = KafkaConfig {
        topic_prefix: log.prefix.to_owned(),
        partitions: log.partitions,
        ..KafkaConfig::new(&log.kafka.bootstrap, &log.kafka.registry_url)
    };
    let kafka = KafkaLog::connect(&config).await?;
    let mut writer = kafka.open_writer(0).await?;
    let mut mix = Mix::new()?;
    let mut left = events;
    while left > 0 {
        let batch = mix.take(left.min(FILL_BATCH))?;
        left -= batch.len();
        writer.append(writer.end(), &batch).await?;
    }
    Ok(())
}

/// Kills `owner` while clients send to `next`. From the first moment `next` is seen to have the partition until the
/// first command that was acknowledged after it.
async fn take_over(owner: &Service, next: &Service, cards: &[Card]) -> anyhow::Result<Duration> {
    let patient = RetryPolicy {
        first_wait: LOOK_EVERY,
        longest_wait: Duration::from_millis(20),
        ..RetryPolicy::for_at_most(DEADLINE)
    };
    let client = next.client().clone().with_retry(patient);
    // A command through the other shows that both know each other.
    client.execute(&cards[0].clone().change(), None).await?;
    owner.kill()?;
    let noticed = async {
        let begun = Instant::now();
        while state(&client).await? == "idle" {
            anyhow::ensure!(begun.elapsed() < DEADLINE, "nobody takes the partition:\n{}", next.log_tail());
            tokio::time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(Instant::now())
    };
    let noticed = noticed.await?;
    // Sent at that moment by several, as any client would that waits; the first answer counts.
    let sends = cards.iter().map(|card| {
        let (client, mut card) = (client.clone(), card.clone());
        Box::pin(async move { client.execute(&card.change(), None).await })
    });
    let (first, _rest) = futures::future::select_ok(sends).await?;
    anyhow::ensure!(!first.event_ids.is_empty(), "the command changed nothing");
    Ok(noticed.elapsed())
}

/// What the service at `client` does with the partition.
async fn state(client: &Client) -> anyhow::Result<String> {
    let partitions: Vec<PartitionStatus> = client.get("/api/partitions").await?;
    Ok(partitions.into_iter().next().context("there is a partition")?.state)
}

fn side(name: &str, mut times: Vec<Duration>) -> Side {
    times.sort_unstable();
    let ms = |index: usize| times.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    let total: Duration = times.iter().sum();
    Side {
        name: name.to_owned(),
        events: times.len() as u64,
        events_per_s: crate::measure::count(times.len() as u64) / total.as_secs_f64(),
        batches: times.len() as u64,
        p50_ms: ms(times.len() / 2),
        p99_ms: ms(times.len().saturating_sub(1)),
        processors: None,
    }
}
