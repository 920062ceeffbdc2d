//! The smallest bounds, and what every figure must be like.

use muster_loadtest::{Bounds, Figure, Machine, Report};
use serde_json::Value;

pub const BOUNDS: Bounds =
    Bounds { rounds: 2, events_per_turn: 6, batches_per_turn_max: 2, seconds_max: 60, warm_up_seconds: 0 };

/// Sizes of batches.
pub const BATCHES: [usize; 2] = [1, 3];

/// Checks figures of each of `batches`, each beside `limits`.
pub fn check(figures: Vec<Figure>, batches: &[usize], limits: &[&str]) {
    let found: Vec<_> = figures.iter().map(|figure| (figure.batch, figure.limit.name.as_str())).collect();
    let expected: Vec<_> = batches.iter().flat_map(|batch| limits.iter().map(|limit| (*batch, *limit))).collect();
    assert_eq!(found, expected);
    for figure in &figures {
        assert_eq!(figure.muster.name, "Muster");
        assert_eq!(figure.rounds, 2);
        for side in [&figure.muster, &figure.limit] {
            assert_eq!((side.batches, side.events), (4, 4 * figure.batch as u64), "{side:?}");
            assert!(side.events_per_s > 0.0 && side.p50_ms > 0.0 && side.p50_ms <= side.p99_ms, "{side:?}");
        }
        assert!(figure.ratio_min > 0.0 && figure.ratio_min <= figure.ratio && figure.ratio <= figure.ratio_max);
    }
    let report = Report { machine: Machine::here(), figures };
    let json: Value = serde_json::to_value(&report).expect("numbers and text");
    assert_eq!(json["figures"].as_array().map_or(0, Vec::len), expected.len());
    for limit in limits {
        assert_eq!(report.table().matches(limit).count(), batches.len());
    }
}
