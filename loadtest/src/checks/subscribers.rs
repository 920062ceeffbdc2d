//! I7: a subscriber sees every position once, in order, across reconnects.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::read_model::LeftOut;
use super::{Evidence, Finding, Subscribed};
use crate::campaign::history::{Connected, Delivered};

struct Subscriber {
    project_id: Uuid,
    last: u64,
    at_ns: u64,
}

/// Each delivery is the next position and the log's event; a connection goes on where the last one ended; and in the end
/// everything that was applied was seen.
pub(super) fn check(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("I7", "each-position-once");
    let left_out = LeftOut::of(&evidence.tables);
    let mut ends: HashMap<Uuid, u64> = HashMap::new();
    let mut ids: HashMap<(Uuid, u64), Uuid> = HashMap::new();
    for event in evidence.log.events.iter().filter(|event| !left_out.has(event)) {
        ids.insert((event.project_id, event.position), event.id);
        let end = ends.entry(event.project_id).or_default();
        *end = event.position.max(*end);
    }
    let mut subscribers: BTreeMap<u32, Subscriber> = BTreeMap::new();
    for step in &evidence.history.subscribed {
        match step {
            Subscribed::Connected(connected) => reconnected(connected, &mut subscribers, &mut finding),
            Subscribed::Delivered(delivered) => {
                finding.examined();
                seen(delivered, &ids, &mut subscribers, &mut finding);
            }
        }
    }
    for (number, subscriber) in subscribers {
        let end = ends.get(&subscriber.project_id).copied().unwrap_or(0);
        if subscriber.last < end {
            let (project_id, last, at_ms) = (subscriber.project_id, subscriber.last, subscriber.at_ns / 1_000_000);
            finding.violated(format!(
                "subscriber {number} of {project_id} ended at position {last} ({at_ms} ms); the project has {end}"
            ));
        }
    }
    finding
}

fn reconnected(connected: &Connected, subscribers: &mut BTreeMap<u32, Subscriber>, finding: &mut Finding) {
    let Connected { subscriber, connection, project_id, after, at_ns } = *connected;
    let known = subscribers.entry(subscriber).or_insert(Subscriber { project_id, last: after, at_ns });
    if known.project_id != project_id || known.last != after {
        let last = known.last;
        finding.violated(format!(
            "subscriber {subscriber} asked on connection {connection} for what follows {after} of {project_id}, and had {last}"
        ));
    }
    known.last = after;
}

fn seen(
    delivered: &Delivered,
    ids: &HashMap<(Uuid, u64), Uuid>,
    subscribers: &mut BTreeMap<u32, Subscriber>,
    finding: &mut Finding,
) {
    let Delivered { subscriber, connection, project_id, position, event_id, at_ns } = *delivered;
    let at_ms = at_ns / 1_000_000;
    let who = || format!("subscriber {subscriber}, connection {connection}, {at_ms} ms");
    let Some(known) = subscribers.get_mut(&subscriber) else {
        finding.violated(format!("{}: was given position {position} before it was connected", who()));
        return;
    };
    let due = known.last + 1;
    if known.project_id != project_id || position != due {
        finding.violated(format!("{}: was given position {position} of {project_id} where {due} was due", who()));
    }
    match ids.get(&(project_id, position)) {
        Some(id) if *id == event_id => {}
        other => finding.violated(format!(
            "{}: was given {event_id} as position {position} of {project_id}; the log has {other:?}",
            who()
        )),
    }
    (known.last, known.at_ns) = (position, at_ns);
}
