//! What the servers under the log can do at best, for the load generator: the same bytes without any of the log's promises.
//!
//! Only built with the feature `limits`. Nothing of the product may use it, and it must never use the implementations it
//! is compared with.

pub mod kafka;
pub mod postgres;

use std::sync::Arc;

use muster_domain::event::Event;
use uuid::Uuid;

use crate::headers::headers;
use crate::{Error, framing};

/// Any id does: the bytes are never read back.
const SCHEMA_ID: u32 = 1;

/// An event as the bytes the log would write, made beforehand.
#[derive(Debug, Clone)]
pub struct Record {
    project_id: Uuid,
    position: i64,
    event_type: String,
    key: String,
    value: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

impl Record {
    /// `event` as the log would write it.
    pub fn of(event: &Event) -> Result<Self, Error> {
        Ok(Self {
            project_id: event.project_id.0,
            position: event.position.cast_signed(),
            event_type: event.event_type().to_owned(),
            key: event.project_id.to_string(),
            value: framing::frame(SCHEMA_ID, &muster_schemas::encode(event)?),
            headers: headers(event),
        })
    }

    /// `events` as the log would write them.
    pub fn all(events: &[Arc<Event>]) -> Result<Vec<Self>, Error> {
        events.iter().map(|event| Self::of(event)).collect()
    }

    /// Bytes of the value alone.
    pub fn value_bytes(&self) -> usize {
        self.value.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_bytes_of_the_log() {
        for event in muster_schemas::samples::sample_events() {
            let record = Record::of(&event).unwrap();
            assert_eq!(record.value[framing::PREFIX_BYTES..], muster_schemas::encode(&event).unwrap()[..]);
            assert_eq!(record.headers, headers(&event));
        }
    }
}
