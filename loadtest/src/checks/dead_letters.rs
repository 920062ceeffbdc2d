//! I8: log minus read model = dead letters.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::history_rows::place;
use super::read_model::{LeftOut, column};
use super::{Evidence, Finding};

/// Every event is a row of the history, or set aside, or waits behind one that was; and no row is of no event. Every
/// record that holds no event is set aside.
pub(super) fn check(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("I8", "nothing-dropped");
    let (log, tables) = (&evidence.log, &evidence.tables);
    if !tables.has("event_history") {
        return finding;
    }
    let left_out = LeftOut::of(tables);
    let mut rows: HashMap<(Uuid, u64), Uuid> = HashMap::new();
    for row in tables.rows("event_history") {
        let (Some(place), Ok(event_id)) = (place(&row), column(&row, "event_id").parse()) else {
            finding.violated(format!("a row of the history has no place or id: {row:?}"));
            continue;
        };
        if rows.insert(place, event_id).is_some() {
            finding.violated(format!("position {} of project {} is there twice", place.1, place.0));
        }
    }
    let mut known = HashSet::with_capacity(log.events.len());
    for event in &log.events {
        finding.examined();
        let place = (event.project_id, event.position);
        known.insert((place, event.id));
        match (rows.get(&place) == Some(&event.id), left_out.has(event)) {
            (false, false) => finding.violated(format!("{} is neither a row nor a dead letter", event.place())),
            (true, true) => finding.violated(format!("{} is a row and set aside", event.place())),
            _ => {}
        }
    }
    for (place, event_id) in rows {
        if !known.contains(&(place, event_id)) {
            let (project_id, position) = place;
            finding.violated(format!(
                "the row at position {position} of project {project_id} is {event_id}, not the log's"
            ));
        }
    }
    for record in &log.unreadable {
        finding.examined();
        if !left_out.is_letter(record.partition, record.offset) {
            let (partition, offset, why) = (record.partition, record.offset, &record.why);
            finding
                .violated(format!("the record at {partition}/{offset} is no dead letter, and cannot be read: {why}"));
        }
    }
    finding
}
