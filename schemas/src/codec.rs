//! Events to Avro and back. Encoding uses this build's schemas; decoding always uses the schema the writer had.
//!
//! It must never guess a schema from bytes: whoever stores a datum stores which schema wrote it.

use std::cell::RefCell;
use std::io::BufRead;

use muster_domain::event::{Event, EventData, UnknownEvent};
use serde::{Deserialize, Serialize};
use serde_avro_fast::Schema;
use serde_avro_fast::de::DeserializerState;
use serde_avro_fast::ser::SerializerConfig;

use crate::catalogue::{self, Attributes};
use crate::loose::LooseJson;
use crate::wire::WireEvent;

/// Why an event could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The event's type is not in this build's catalogue, so there is no schema to write it with. A defect of the
    /// caller; never retried.
    #[error("no schema for event type {event_type:?}")]
    NoSchema {
        /// The type.
        event_type: String,
    },
    /// The event does not fit its own schema, for example a count above 2^63-1. Never retried.
    #[error("event of type {event_type} does not fit its schema: {reason}")]
    Encode {
        /// The type.
        event_type: String,
        /// What did not fit.
        reason: String,
    },
    /// The text is no Avro record schema. Never retried.
    #[error("not an Avro record schema: {reason}")]
    Schema {
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes are not a datum of the writer's schema, or not an event. The record is poison; never retried.
    #[error("cannot decode {record_name}: {reason}")]
    Decode {
        /// The writer's record.
        record_name: String,
        /// What is wrong with the bytes.
        reason: String,
    },
}

/// The schema a datum was written with: of this build, of an earlier or of a later one.
#[derive(Debug)]
pub struct WriterSchema {
    record_name: String,
    event_type: Option<String>,
    schema: Schema,
}

impl WriterSchema {
    /// Parses the text of an `.avsc` file, as a registry returns it.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let reason = |reason: String| Error::Schema { reason };
        let attributes: Attributes = serde_json::from_str(json).map_err(|e| reason(e.to_string()))?;
        Ok(Self {
            record_name: attributes.record_name(),
            schema: json.parse().map_err(|e: serde_avro_fast::schema::SchemaError| reason(e.to_string()))?,
            event_type: attributes.event_type,
        })
    }

    /// Full name of the record, for example `muster.events.TaskCreated`.
    pub fn record_name(&self) -> &str {
        &self.record_name
    }

    /// The event type the schema says it is of.
    pub fn event_type(&self) -> Option<&str> {
        self.event_type.as_deref()
    }

    pub(crate) fn read<'a, T: Deserialize<'a>>(&self, datum: &'a [u8]) -> Result<T, Error> {
        let failed = |reason: String| Error::Decode { record_name: self.record_name.clone(), reason };
        let mut state = DeserializerState::from_slice(datum, &self.schema);
        let value = T::deserialize(state.deserializer()).map_err(|e| failed(e.to_string()))?;
        match state.into_reader().fill_buf() {
            Ok([]) => Ok(value),
            Ok(rest) => Err(failed(format!("{} bytes follow the datum", rest.len()))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// `event` as a bare Avro datum of its type's current schema.
pub fn encode(event: &Event) -> Result<Vec<u8>, Error> {
    encode_any(event)
}

/// The event in `datum`, which was written with `writer`.
///
/// A type this build does not know becomes [`EventData::Unknown`]; fields it does not know are left out.
pub fn decode(writer: &WriterSchema, datum: &[u8]) -> Result<Event, Error> {
    decode_any(writer, datum)
}

thread_local! {
    /// One reusable serializer state for each schema; reusing it saves the allocations of every nested block.
    static CONFIGS: RefCell<Vec<Option<SerializerConfig<'static>>>> = const { RefCell::new(Vec::new()) };
}

fn write<D: Serialize>(event: &Event, data: &D) -> Result<Vec<u8>, Error> {
    let event_type = event.event_type();
    let schema =
        catalogue::schema_for(event_type).ok_or_else(|| Error::NoSchema { event_type: event_type.to_owned() })?;
    CONFIGS.with_borrow_mut(|configs| {
        if configs.is_empty() {
            configs.resize_with(catalogue::event_schemas().len(), || None);
        }
        let config = configs[schema.index].get_or_insert_with(|| SerializerConfig::new(&schema.schema));
        serde_avro_fast::to_datum(&WireEvent::of(event, data), Vec::with_capacity(512), config)
            .map_err(|e| Error::Encode { event_type: event_type.to_owned(), reason: e.to_string() })
    })
}

/// The payload of an unknown type, waiting to be told which type it is of.
struct UnknownData(serde_json::Value);

impl<'de> Deserialize<'de> for UnknownData {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        LooseJson::deserialize(deserializer).map(|LooseJson(data)| Self(data))
    }
}

impl From<UnknownData> for EventData {
    fn from(UnknownData(data): UnknownData) -> Self {
        Self::Unknown(UnknownEvent { event_type: String::new(), data })
    }
}

fn read<'a, D>(writer: &WriterSchema, expected_type: Option<&str>, datum: &'a [u8]) -> Result<Event, Error>
where
    D: Deserialize<'a> + Into<EventData>,
{
    let wire: WireEvent<'a, D> = writer.read(datum)?;
    let event_type = wire.event_type.clone();
    if let Some(expected) = expected_type
        && *expected != *event_type
    {
        return Err(Error::Decode {
            record_name: writer.record_name.clone(),
            reason: format!("the event says its type is {event_type:?}, its schema says {expected:?}"),
        });
    }
    let mut event = Event::from(wire);
    if let EventData::Unknown(unknown) = &mut event.data {
        unknown.event_type = event_type.into_owned();
    }
    Ok(event)
}

macro_rules! codec {
    ($($name:ident => $text:literal),+ $(,)?) => {
        fn encode_any(event: &Event) -> Result<Vec<u8>, Error> {
            match &event.data {
                $(EventData::$name(data) => write(event, data),)+
                EventData::Unknown(unknown) => Err(Error::NoSchema { event_type: unknown.event_type.clone() }),
            }
        }

        fn decode_any(writer: &WriterSchema, datum: &[u8]) -> Result<Event, Error> {
            match writer.event_type() {
                $(Some($text) => read::<muster_domain::event::$name>(writer, Some($text), datum),)+
                other => read::<UnknownData>(writer, other, datum),
            }
        }
    };
}

muster_domain::for_each_event!(codec);
