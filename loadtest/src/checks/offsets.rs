//! I6: stored offset = last applied event; it never moves back.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::read_model::{LeftOut, column};
use super::{Evidence, Finding};

pub(super) fn check(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("I6", "offset-with-rows");
    forwards(evidence, &mut finding);
    with_rows(evidence, &mut finding);
    at_the_end(evidence, &mut finding);
    finding
}

/// Samples of one partition never decrease.
fn forwards(evidence: &Evidence, finding: &mut Finding) {
    let mut samples: Vec<_> = evidence.history.offsets.iter().collect();
    samples.sort_by_key(|sample| sample.at_ns);
    let mut before: HashMap<(&str, i32, u32), i64> = HashMap::new();
    for sample in samples {
        for (partition, next_offset) in &sample.next_offsets {
            finding.examined();
            let newest = before.entry((&sample.projection, sample.version, *partition)).or_insert(*next_offset);
            if next_offset < newest {
                let (projection, at_ms) = (&sample.projection, sample.at_ns / 1_000_000);
                finding.violated(format!(
                    "{projection}, partition {partition}: the offset moved from {newest} to {next_offset} by {at_ms} ms"
                ));
            }
            *newest = (*newest).max(*next_offset);
        }
    }
}

/// At each moment as many events were applied as lie before the offsets. Where events were set aside, offsets and
/// positions part for good: then only the end tells. A record that holds no event counts for neither.
fn with_rows(evidence: &Evidence, finding: &mut Finding) {
    let log = &evidence.log;
    let left_out = LeftOut::of(&evidence.tables);
    if log.events.iter().any(|event| left_out.has(event)) {
        return;
    }
    let mut offsets: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
    for event in &log.events {
        offsets.entry(event.partition).or_default().push(event.offset);
    }
    for sample in &evidence.history.offsets {
        let Some(applied) = sample.applied_events else { continue };
        finding.examined();
        let passed = sample.next_offsets.iter().map(|(partition, next_offset)| {
            offsets.get(partition).map_or(0, |offsets| offsets.partition_point(|offset| offset < next_offset))
        });
        let passed = passed.sum::<usize>() as u64;
        if passed != applied {
            let at_ms = sample.at_ns / 1_000_000;
            finding
                .violated(format!("at {at_ms} ms the offsets had passed {passed} events, and {applied} were applied"));
        }
    }
}

/// In the end each offset is right behind the last record.
fn at_the_end(evidence: &Evidence, finding: &mut Finding) {
    let events = evidence.log.events.iter().map(|event| (event.partition, event.offset));
    let records = evidence.log.unreadable.iter().map(|record| (record.partition, record.offset));
    let mut last: BTreeMap<u32, i64> = BTreeMap::new();
    for (partition, offset) in events.chain(records) {
        let last = last.entry(partition).or_insert(offset);
        *last = offset.max(*last);
    }
    for row in evidence.tables.rows("projection_offsets") {
        let number = |name: &str| row.get(name).and_then(Value::as_i64);
        let (Some(partition), Some(next_offset)) = (number("partition"), number("next_offset")) else { continue };
        finding.examined();
        let due =
            u32::try_from(partition).ok().and_then(|partition| last.remove(&partition)).map_or(0, |last| last + 1);
        if next_offset != due {
            let projection = column(&row, "projection");
            finding.violated(format!(
                "{projection}, partition {partition}: the offset ended at {next_offset}; the log's last record asks for {due}"
            ));
        }
    }
    if evidence.tables.has("projection_offsets") {
        for (partition, offset) in last {
            finding.violated(format!("partition {partition} has records up to {offset}, and no stored offset"));
        }
    }
}
