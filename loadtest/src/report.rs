//! What was measured, as a table for people and as JSON for tools.

use std::fmt::Write as _;

use serde::Serialize;

use crate::measure::{Comparison, Side};

/// One figure beside its limit.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// The scenario.
    pub scenario: String,
    /// Events in a batch.
    pub batch: usize,
    /// The product.
    pub muster: Side,
    /// What the machine did at best, in the same run.
    pub limit: Side,
    /// The limit's time over the product's: 1 is the limit, 0.5 is half as fast. Median of the rounds.
    pub ratio: f64,
    /// The worst round.
    pub ratio_min: f64,
    /// The best round.
    pub ratio_max: f64,
    /// Rounds.
    pub rounds: usize,
}

impl Figure {
    /// Of a comparison.
    pub fn new(scenario: &str, batch: usize, comparison: Comparison) -> Self {
        let Comparison { muster, limit, mut ratios } = comparison;
        ratios.sort_by(f64::total_cmp);
        let at = |index: usize| ratios.get(index).copied().unwrap_or(f64::NAN);
        Self {
            scenario: scenario.to_owned(),
            batch,
            muster,
            limit,
            ratio: at(ratios.len() / 2),
            ratio_min: at(0),
            ratio_max: at(ratios.len().saturating_sub(1)),
            rounds: ratios.len(),
        }
    }
}

/// What it was measured on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Processors this process may use.
    pub cores: usize,
    /// `release` or `dev`.
    pub build: &'static str,
    /// Processes that wanted a processor in the last minute, on average, when the run began.
    pub load_before: Option<f64>,
    /// The same when it ended.
    pub load_after: Option<f64>,
}

impl Machine {
    /// This one, now.
    pub fn here() -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            build: if cfg!(debug_assertions) { "dev" } else { "release" },
            load_before: load(),
            load_after: None,
        }
    }

    /// Notes that the run has ended.
    pub fn end(&mut self) {
        self.load_after = load();
    }
}

fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// What was measured.
    pub figures: Vec<Figure>,
}

impl Report {
    /// As a table in Markdown.
    pub fn table(&self) -> String {
        let mut table = "| scenario | batch | Muster events/s | p50 ms | p99 ms | processors | limit | events/s | p50 ms | p99 ms | ratio | worst–best round |\n\
             |---|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|\n"
            .to_owned();
        for figure in &self.figures {
            let Figure { scenario, batch, muster, limit, ratio, ratio_min, ratio_max, .. } = figure;
            let _ = writeln!(
                table,
                "| {scenario} | {batch} | {:.0} | {:.2} | {:.2} | {} | {} | {:.0} | {:.2} | {:.2} | {ratio:.2} | {ratio_min:.2}–{ratio_max:.2} |",
                muster.events_per_s,
                muster.p50_ms,
                muster.p99_ms,
                muster.processors.map_or("–".to_owned(), |processors| format!("{processors:.2}")),
                limit.name,
                limit.events_per_s,
                limit.p50_ms,
                limit.p99_ms,
            );
        }
        let load = |load: Option<f64>| load.map_or("unknown".to_owned(), |load| format!("{load:.2}"));
        let Machine { cores, build, load_before, load_after } = &self.machine;
        let _ = writeln!(
            table,
            "\n{cores} cores, {build} build, load {} before and {} after. Ratio: the limit's time over Muster's; 1 is the limit.\n\
             Processors: what Muster's process used while it worked.",
            load(*load_before),
            load(*load_after)
        );
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round_is_the_ratio() {
        let side = |name: &str| Side {
            name: name.to_owned(),
            events: 10,
            events_per_s: 5.0,
            batches: 2,
            p50_ms: 1.0,
            p99_ms: 2.0,
            processors: Some(0.25),
        };
        let comparison = Comparison { muster: side("Muster"), limit: side("COPY"), ratios: vec![0.9, 0.1, 0.5] };
        let figure = Figure::new("project", 100, comparison);
        assert_eq!((figure.ratio, figure.ratio_min, figure.ratio_max, figure.rounds), (0.5, 0.1, 0.9, 3));
        let report = Report { machine: Machine::here(), figures: vec![figure] };
        assert!(
            report
                .table()
                .contains("| project | 100 | 5 | 1.00 | 2.00 | 0.25 | COPY | 5 | 1.00 | 2.00 | 0.50 | 0.10–0.90 |")
        );
    }
}
