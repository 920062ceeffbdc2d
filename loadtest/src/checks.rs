//! Whether a campaign's history, log and tables hold the invariants I1 to I12.
//!
//! Pure functions over what was written down. They must never use the services' own decoding, folding or checking: a
//! mistake there must not hide itself here. The numbers and their words are those of the domain's list.

mod answers;
mod audit;
mod commands;
mod dead_letters;
mod event;
mod fold;
mod history_rows;
mod leases;
mod leftovers;
mod offsets;
mod order;
mod read_model;
mod refusals;
mod strangers;
mod subscribers;
mod unknowns;

#[cfg(test)]
mod story;

use serde::Serialize;

pub use event::{Event, Log, Unreadable};
pub use read_model::Tables;

use crate::campaign::history::{Call, Connected, Delivered, Entry, OffsetSample, Peek};

/// Violations of one invariant that are written out; all are counted.
const SHOWN: usize = 20;

/// Everything the checkers look at.
#[derive(Debug, Default)]
pub struct Evidence {
    /// What the clients recorded.
    pub history: History,
    /// Every committed record.
    pub log: Log,
    /// The read model, after it had caught up.
    pub tables: Tables,
    /// The same after a rebuild from the log's start; left out where none was made.
    pub rebuilt: Option<Tables>,
    /// Processes, mounts and folders that outlived the campaign, described; left out while that was not looked at.
    pub leftovers: Option<Vec<String>>,
}

/// A history, by what its lines are about.
#[derive(Debug, Default)]
pub struct History {
    /// Every attempt.
    pub calls: Vec<Call>,
    /// What subscribers saw, in each subscriber's order.
    pub subscribed: Vec<Subscribed>,
    /// The projection's offsets over time.
    pub offsets: Vec<OffsetSample>,
    /// What strangers were told.
    pub peeks: Vec<Peek>,
}

/// A subscriber's step.
#[derive(Debug)]
pub enum Subscribed {
    /// It connected.
    Connected(Connected),
    /// It was given an event.
    Delivered(Delivered),
}

impl FromIterator<Entry> for History {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut history = Self::default();
        for entry in entries {
            match entry {
                Entry::Call(call) => history.calls.push(call),
                Entry::Connected(connected) => history.subscribed.push(Subscribed::Connected(connected)),
                Entry::Delivered(delivered) => history.subscribed.push(Subscribed::Delivered(delivered)),
                Entry::Offset(sample) => history.offsets.push(sample),
                Entry::Peek(peek) => history.peeks.push(peek),
            }
        }
        history
    }
}

/// What a checker found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The invariant's number.
    pub number: &'static str,
    /// The checker's name.
    pub checker: &'static str,
    /// Things it looked at: with none it has shown nothing.
    pub examined: u64,
    /// Times the invariant did not hold.
    pub violations: u64,
    /// The first of them, with keys, ids and offsets.
    pub evidence: Vec<String>,
}

impl Finding {
    fn new(number: &'static str, checker: &'static str) -> Self {
        Self { number, checker, examined: 0, violations: 0, evidence: Vec::new() }
    }

    fn examined(&mut self) {
        self.examined += 1;
    }

    fn violated(&mut self, detail: impl Into<String>) {
        self.violations += 1;
        if self.evidence.len() < SHOWN {
            self.evidence.push(detail.into());
        }
    }
}

/// Looks at everything, invariant by invariant.
pub fn check(evidence: &Evidence) -> Vec<Finding> {
    let commands = commands::Commands::of(&evidence.log);
    let calls = &evidence.history.calls;
    vec![
        answers::check(calls, &commands, &evidence.log),
        refusals::check(calls, &commands),
        unknowns::check(calls, &commands),
        order::check(calls, &commands, &evidence.log),
        read_model::check(evidence),
        offsets::check(evidence),
        subscribers::check(evidence),
        dead_letters::check(evidence),
        audit::check(&evidence.tables),
        strangers::check(evidence),
        leases::check(calls, &commands, &evidence.log),
        leftovers::check(evidence.leftovers.as_deref()),
    ]
}
