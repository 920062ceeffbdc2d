//! Every schema of this build, parsed once. It must never read files at run time: the `.avsc` texts are compiled in.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_avro_fast::Schema;

/// One event type's schema and what its file says about it.
#[derive(Debug)]
pub struct EventSchema {
    /// The type, for example `task.created`.
    pub event_type: &'static str,
    /// Full name of the Avro record, for example `muster.events.TaskCreated`.
    pub record_name: String,
    /// The `.avsc` file, whole.
    pub json: &'static str,
    /// What the event means.
    pub doc: String,
    /// Who writes it.
    pub producers: Vec<String>,
    /// Who reads it.
    pub consumers: Vec<String>,
    /// The name WebSocket clients know it by, where they have one.
    pub websocket_alias: Option<String>,
    /// Its place in [`event_schemas`].
    pub(crate) index: usize,
    pub(crate) schema: Schema,
}

/// The attributes of an `.avsc` file that Avro itself does not use.
#[derive(Debug, Deserialize)]
pub(crate) struct Attributes {
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    #[serde(default)]
    pub doc: String,
    #[serde(default)]
    pub event_type: Option<String>,
    #[serde(default)]
    pub producers: Vec<String>,
    #[serde(default)]
    pub consumers: Vec<String>,
    #[serde(default)]
    pub websocket_alias: Option<String>,
}

impl Attributes {
    pub(crate) fn record_name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

macro_rules! files {
    ($($name:ident => $text:literal),+ $(,)?) => {
        const FILES: &[(&str, &str)] = &[$(($text, include_str!(concat!("../avsc/", $text, ".avsc")))),+];
    };
}

muster_domain::for_each_event!(files);

static SCHEMAS: LazyLock<Vec<EventSchema>> = LazyLock::new(|| {
    FILES.iter().enumerate().map(|(index, (event_type, json))| load(index, event_type, json)).collect()
});

static BY_TYPE: LazyLock<HashMap<&'static str, &'static EventSchema>> =
    LazyLock::new(|| SCHEMAS.iter().map(|schema| (schema.event_type, schema)).collect());

fn load(index: usize, event_type: &'static str, json: &'static str) -> EventSchema {
    let attributes: Attributes =
        serde_json::from_str(json).expect("a test reads every compiled-in schema's attributes");
    EventSchema {
        event_type,
        record_name: attributes.record_name(),
        json,
        doc: attributes.doc,
        producers: attributes.producers,
        consumers: attributes.consumers,
        websocket_alias: attributes.websocket_alias,
        index,
        schema: json.parse().expect("a test parses every compiled-in schema"),
    }
}

/// Every event type's schema, in catalogue order.
pub fn event_schemas() -> &'static [EventSchema] {
    &SCHEMAS
}

/// The schema of `event_type`; none when this build does not know the type.
pub fn schema_for(event_type: &str) -> Option<&'static EventSchema> {
    BY_TYPE.get(event_type).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_says_of_itself_what_the_catalogue_says() {
        for schema in event_schemas() {
            let attributes: Attributes = serde_json::from_str(schema.json).unwrap();
            assert_eq!(attributes.event_type.as_deref(), Some(schema.event_type));
            assert!(schema.record_name.starts_with("muster.events."), "{}", schema.record_name);
            assert!(!schema.doc.is_empty() && !schema.producers.is_empty() && !schema.consumers.is_empty());
        }
    }

    #[test]
    fn every_file_belongs_to_the_catalogue() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("avsc");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let event_type = name.strip_suffix(".avsc").unwrap();
            assert!(schema_for(event_type).is_some() || event_type == "agent-output", "{name} is of no known type");
        }
    }
}
