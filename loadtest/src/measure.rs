//! Taking turns: the product and its limits do the same batches one after the other, round by round.
//!
//! Knows durations and counts. It must never know what is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use hdrhistogram::Histogram;
use muster_client::domain::event::Event;
use serde::Serialize;

use crate::Mix;

/// How much is measured at most.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Rounds; in each, everyone has one turn.
    pub rounds: u32,
    /// Events of a turn, where the batch size leaves the choice.
    pub events_per_turn: usize,
    /// Batches of a turn at most.
    pub batches_per_turn_max: usize,
    /// Seconds after which no further round of a figure is begun.
    pub seconds_max: u64,
    /// Seconds of work before the first round that do not count: a broker's JVM is still compiling then.
    pub warm_up_seconds: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { rounds: 9, events_per_turn: 6_000, batches_per_turn_max: 150, seconds_max: 60, warm_up_seconds: 0 }
    }
}

impl Bounds {
    fn batches(&self, batch: usize) -> usize {
        (self.events_per_turn / batch.max(1)).clamp(1, self.batches_per_turn_max.max(1))
    }
}

/// What the ratio of a round is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// All its working time: how much is done.
    Total,
    /// Its median batch: how long one waits.
    Median,
}

/// One that is measured.
pub trait Contestant: Send {
    /// What it is called in the table.
    fn name(&self) -> &str;

    /// The process that does the work, where its processor time says something: not where it also prepares what is timed.
    fn process(&self) -> Option<u32> {
        None
    }

    /// Does the work for `batch`. Returns how long the work itself took, without its preparation.
    fn work<'a>(&'a mut self, batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>>;
}

/// What one contestant came to.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// What it is.
    pub name: String,
    /// Events it worked on.
    pub events: u64,
    /// Events per second of its own working time.
    pub events_per_s: f64,
    /// Batches it worked on: the samples of the percentiles.
    pub batches: u64,
    /// Half of its batches took at most this long, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 of its batches took at most this long, in milliseconds.
    pub p99_ms: f64,
    /// Processors its own process used while it worked; the rest is waiting for the servers under it.
    pub processors: Option<f64>,
}

/// The product beside one of its limits.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// The product.
    pub muster: Side,
    /// The limit.
    pub limit: Side,
    /// The limit's time over the product's, for each round. 1 is the limit, 0.5 is half as fast.
    pub ratios: Vec<f64>,
}

/// What is kept of each contestant.
struct Series {
    name: String,
    nanos: Histogram<u64>,
    busy: Duration,
    processor_time: Option<Duration>,
    events: u64,
    /// Time of each round, in seconds: all of it, or that of the median batch.
    rounds: Vec<f64>,
}

impl Series {
    fn new(name: &str) -> anyhow::Result<Self> {
        let nanos = Histogram::new(3)?;
        Ok(Self {
            name: name.to_owned(),
            nanos,
            busy: Duration::ZERO,
            processor_time: None,
            events: 0,
            rounds: Vec::new(),
        })
    }

    fn record(&mut self, took: Duration, events: usize) -> anyhow::Result<()> {
        self.nanos.record(u64::try_from(took.as_nanos())?)?;
        self.events += events as u64;
        Ok(())
    }

    fn end_round(&mut self, mut batches: Vec<Duration>, by: By) {
        batches.sort_unstable();
        let total = batches.iter().sum();
        let time = match by {
            By::Total => total,
            By::Median => batches.get(batches.len() / 2).copied().unwrap_or_default(),
        };
        self.busy += total;
        self.rounds.push(time.as_secs_f64());
    }

    fn side(&self) -> Side {
        Side {
            name: self.name.clone(),
            events: self.events,
            events_per_s: count(self.events) / self.busy.as_secs_f64(),
            batches: self.nanos.len(),
            p50_ms: count(self.nanos.value_at_quantile(0.5)) / 1e6,
            p99_ms: count(self.nanos.value_at_quantile(0.99)) / 1e6,
            processors: self.processor_time.map(|time| time.as_secs_f64() / self.busy.as_secs_f64()),
        }
    }
}

/// Lets the first of `contestants`, the product, and the others, its limits, take turns. One comparison for each limit.
pub async fn compare(
    contestants: &mut [Box<dyn Contestant>],
    mix: &mut Mix,
    batch: usize,
    bounds: &Bounds,
    by: By,
) -> anyhow::Result<Vec<Comparison>> {
    warm_up(contestants, mix, batch, bounds).await?;
    let mut series = contestants.iter().map(|one| Series::new(one.name())).collect::<anyhow::Result<Vec<_>>>()?;
    let begun = Instant::now();
    for round in 0..bounds.rounds.max(1) as usize {
        if round > 0 && begun.elapsed().as_secs() >= bounds.seconds_max {
            break;
        }
        let batches = (0..bounds.batches(batch)).map(|_| mix.take(batch)).collect::<anyhow::Result<Vec<_>>>()?;
        // Whoever came first comes last in the next round.
        for turn in 0..contestants.len() {
            let who = (round + turn) % contestants.len();
            let before = contestants[who].process().and_then(processor_time);
            let mut took = Vec::with_capacity(batches.len());
            for batch in &batches {
                took.push(contestants[who].work(batch).await?);
                series[who].record(took[took.len() - 1], batch.len())?;
            }
            let after = contestants[who].process().and_then(processor_time);
            series[who].end_round(took, by);
            if let (Some(before), Some(after)) = (before, after) {
                *series[who].processor_time.get_or_insert_default() += after.saturating_sub(before);
            }
        }
    }
    let Some((muster, limits)) = series.split_first() else { return Ok(Vec::new()) };
    Ok(limits.iter().map(|limit| comparison(muster, limit)).collect())
}

/// What does not count. Connections, caches and statements are made by the first batch; the others are the product's alone.
async fn warm_up(
    contestants: &mut [Box<dyn Contestant>],
    mix: &mut Mix,
    batch: usize,
    bounds: &Bounds,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let first = mix.take(batch)?;
    for contestant in contestants.iter_mut() {
        contestant.work(&first).await?;
    }
    while let Some(product) = contestants.first_mut()
        && begun.elapsed().as_secs() < bounds.warm_up_seconds
    {
        product.work(&mix.take(batch)?).await?;
    }
    Ok(())
}

fn comparison(muster: &Series, limit: &Series) -> Comparison {
    let ratio = |(limit, muster): (&f64, &f64)| limit / muster;
    let ratios = limit.rounds.iter().zip(&muster.rounds).map(ratio).collect();
    Comparison { muster: muster.side(), limit: limit.side(), ratios }
}

/// Processor time a process has used so far, to the kernel's hundredth of a second.
fn processor_time(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in brackets, may hold anything; after it, user and system time are the 12th and 13th word.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut hundredths = || words.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((hundredths()? + hundredths()?) * 10))
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a run are far below 2^52")]
pub fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn processor_time_goes_on_while_one_works() {
        let before = processor_time(std::process::id()).unwrap();
        let begun = Instant::now();
        while processor_time(std::process::id()).unwrap() == before {
            assert!(begun.elapsed() < Duration::from_secs(30), "30 s of work took no processor time");
        }
        assert_eq!(processor_time(u32::MAX), None);
    }

    struct Steady(&'static str, Duration);

    impl Contestant for Steady {
        fn name(&self) -> &str {
            self.0
        }

        fn work<'a>(&'a mut self, _batch: &'a [Arc<Event>]) -> BoxFuture<'a, anyhow::Result<Duration>> {
            async { Ok(self.1) }.boxed()
        }
    }

    #[tokio::test]
    async fn one_that_takes_twice_as_long_has_half_the_ratio() {
        let steady = |name, ms| Box::new(Steady(name, Duration::from_millis(ms))) as Box<dyn Contestant>;
        let bounds = Bounds { rounds: 3, events_per_turn: 40, batches_per_turn_max: 100, ..Bounds::default() };
        for by in [By::Total, By::Median] {
            let mut contestants = [steady("product", 4), steady("one", 2), steady("other", 4)];
            let compared = compare(&mut contestants, &mut Mix::new().unwrap(), 10, &bounds, by).await.unwrap();
            assert_eq!(compared.len(), 2);
            for (comparison, expected) in compared.iter().zip([0.5, 1.0]) {
                assert_eq!(comparison.ratios.len(), 3);
                assert!(comparison.ratios.iter().all(|ratio| (ratio - expected).abs() < 1e-9), "{comparison:?}");
            }
            assert_eq!((compared[0].muster.events, compared[0].muster.batches), (120, 12));
            assert!((compared[0].muster.events_per_s - 2_500.0).abs() < 1e-6);
            assert!((compared[0].limit.p50_ms - 2.0).abs() < 0.01);
        }
    }
}
