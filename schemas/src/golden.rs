//! Golden bytes: the samples as they were encoded when each schema version was made.
//!
//! For the generator and the tests alone. A file is never changed but on explicit request: bytes that differ mean that
//! logs written yesterday read differently today.

use std::fmt::Write;

use muster_domain::event::Event;

use crate::codec::{self, Error};
use crate::samples;

/// The golden file of one version: each sample's name and its bytes in hexadecimal, one to a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Golden {
    /// Bytes of the full sample.
    pub full: Vec<u8>,
    /// Bytes of the minimal sample.
    pub minimal: Vec<u8>,
}

impl Golden {
    /// What this build makes of the samples of `event_type`. None when the type is unknown.
    pub fn now(event_type: &str) -> Option<Result<Self, Error>> {
        let of_type = |events: Vec<Event>| events.into_iter().find(|event| event.event_type() == event_type);
        let (full, minimal) = (of_type(samples::sample_events())?, of_type(samples::minimal_events())?);
        Some(codec::encode(&full).and_then(|full| Ok(Self { full, minimal: codec::encode(&minimal)? })))
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, bytes) in [("full", &self.full), ("minimal", &self.minimal)] {
            writeln!(text, "{name} {}", hex::encode(bytes)).expect("a string takes any text");
        }
        text
    }

    /// From the file's text; none when it is no golden file.
    pub fn from_text(text: &str) -> Option<Self> {
        let find = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            hex::decode(line.trim()).ok()
        };
        Some(Self { full: find("full ")?, minimal: find("minimal ")? })
    }
}
