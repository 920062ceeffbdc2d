//! The log by commands: which events each caller's key caused, and how clients ended up with a key.

use std::collections::HashMap;

use uuid::Uuid;

use super::event::{Event, Log};
use crate::campaign::history::{Call, End};

/// A caller and an idempotency key.
pub(super) type Key<'a> = (&'a str, Uuid);

/// The events of each command, in the order of the log.
pub(super) struct Commands<'a>(HashMap<Key<'a>, Vec<&'a Event>>);

impl<'a> Commands<'a> {
    pub(super) fn of(log: &'a Log) -> Self {
        let mut commands: HashMap<Key<'a>, Vec<&'a Event>> = HashMap::new();
        for event in &log.events {
            commands.entry((&event.actor, event.command_id)).or_default().push(event);
        }
        Self(commands)
    }

    /// The events of a key; empty where there are none.
    pub(super) fn get<'k>(&'k self, key: Key<'k>) -> &'k [&'k Event] {
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Key<'a>, &[&'a Event])> {
        self.0.iter().map(|(key, events)| (key, events.as_slice()))
    }
}

/// Every attempt at each key, in the order they were begun.
pub(super) fn attempts(calls: &[Call]) -> HashMap<Key<'_>, Vec<&Call>> {
    let mut attempts: HashMap<Key<'_>, Vec<&Call>> = HashMap::new();
    for call in calls {
        attempts.entry(key_of(call)).or_default().push(call);
    }
    for calls in attempts.values_mut() {
        calls.sort_by_key(|call| call.started_at_ns);
    }
    attempts
}

pub(super) fn key_of(call: &Call) -> Key<'_> {
    (&call.caller, call.key)
}

/// What a call tells about the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// It is in the log.
    Done,
    /// It needed no event, or found no work: this attempt wrote nothing, and another may.
    Nothing,
    /// It is refused: this attempt wrote nothing.
    Refused,
    /// It was not tried: come back later. This attempt wrote nothing.
    Later,
    /// Nothing.
    InDoubt,
    /// The key has been used: by a claim whose lease is over, or for another body.
    Used,
}

/// Refusals that say nothing about the command, only about the moment.
const LATER: [u16; 2] = [429, 503];
/// Refusals behind which the command may have gone through.
const OPEN: [u16; 4] = [408, 500, 502, 504];

pub(super) fn told(call: &Call) -> Told {
    match &call.end {
        End::Ok(answer) => match &answer.event_ids {
            Some(ids) if ids.is_empty() => Told::Nothing,
            _ => Told::Done,
        },
        End::Nothing => Told::Nothing,
        End::Unknown { .. } | End::Refused { in_doubt: true, .. } => Told::InDoubt,
        End::Refused { status, .. } if OPEN.contains(status) => Told::InDoubt,
        End::Refused { status, .. } if LATER.contains(status) => Told::Later,
        End::Refused { code, .. } if code == "idempotency_key_reused" => Told::Used,
        End::Refused { code, .. } if code == "stale_fencing_token" && call.command == "claim_work" => Told::Used,
        End::Refused { .. } => Told::Refused,
    }
}

/// What stands for a call in evidence.
pub(super) fn name(call: &Call) -> String {
    let Call { client, seq, key, caller, instance, command, started_at_ns, ended_at_ns, .. } = call;
    let (started_ms, ended_ms) = (started_at_ns / 1_000_000, ended_at_ns / 1_000_000);
    format!("{command} {key} of {caller} (client {client}, call {seq} to {instance}, {started_ms}..{ended_ms} ms)")
}

/// What stands for a command's events in evidence.
pub(super) fn places(events: &[&Event]) -> String {
    const SHOWN: usize = 8;
    let mut places: Vec<String> = events.iter().take(SHOWN).map(|event| event.place()).collect();
    if events.len() > SHOWN {
        places.push(format!("{} more", events.len() - SHOWN));
    }
    if places.is_empty() { "nothing".to_owned() } else { places.join(", ") }
}
