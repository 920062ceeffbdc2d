//! From stored bytes to events: finds the writer's schema, and turns what cannot be read into poison.
//!
//! It must never fail because of a record's content, only because schemas cannot be had.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_schemas::WriterSchema;
use parking_lot::RwLock;

use crate::{Error, Poison, framing};

/// Where schemas are fetched by id.
#[async_trait]
pub(crate) trait SchemaSource: Send + Sync {
    /// The text of the schema `id`; none when there is no such schema.
    async fn fetch(&self, id: u32) -> Result<Option<String>, Error>;
}

/// A record before it is decoded.
#[derive(Debug, Default)]
pub(crate) struct RawRecord {
    pub value: Bytes,
    pub event_type: Option<String>,
    pub project_id: Option<ProjectId>,
    pub position: Option<u64>,
    pub headers: Vec<(String, String)>,
}

impl RawRecord {
    fn poison(self, error: String) -> Arc<Poison> {
        Arc::new(Poison {
            error,
            event_type: self.event_type,
            project_id: self.project_id,
            position: self.position,
            value: self.value,
            headers: self.headers,
        })
    }
}

/// Schemas by id, each fetched once: an id never changes its meaning.
pub(crate) struct SchemaCache<S> {
    source: S,
    known: RwLock<HashMap<u32, Arc<Result<WriterSchema, String>>>>,
}

impl<S: SchemaSource> SchemaCache<S> {
    pub(crate) fn new(source: S) -> Self {
        Self { source, known: RwLock::default() }
    }

    pub(crate) async fn get(&self, id: u32) -> Result<Arc<Result<WriterSchema, String>>, Error> {
        if let Some(schema) = self.known.read().get(&id) {
            return Ok(Arc::clone(schema));
        }
        let schema = Arc::new(match self.source.fetch(id).await? {
            Some(json) => WriterSchema::parse(&json).map_err(|error| error.to_string()),
            // Not remembered: the schema may be on its way from another registry.
            None => return Ok(Arc::new(Err(format!("there is no schema {id}")))),
        });
        self.known.write().insert(id, Arc::clone(&schema));
        Ok(schema)
    }

    /// The event in `raw`, or why there is none. An error only when the schema cannot be had.
    pub(crate) async fn decode(&self, raw: RawRecord) -> Result<Result<Arc<Event>, Arc<Poison>>, Error> {
        let Some(id) = framing::schema_id(&raw.value) else {
            return Ok(Err(raw.poison("the value does not begin with a schema id".to_owned())));
        };
        Ok(match &*self.get(id).await? {
            Err(reason) => Err(raw.poison(reason.clone())),
            Ok(writer) => match muster_schemas::decode(writer, &raw.value[framing::PREFIX_BYTES..]) {
                Ok(event) => Ok(Arc::new(event)),
                Err(error) => Err(raw.poison(error.to_string())),
            },
        })
    }
}
