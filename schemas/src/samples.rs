//! Made-up events for tests, the same on every machine: one of every type, made by walking its schema.
//!
//! It must never be used outside tests: the values are well formed, not meaningful.

use std::collections::HashMap;

use muster_domain::event::{Event, EventData};
use muster_domain::id::{CommandId, EventId, ProjectId, TaskId};
use muster_domain::model::Source;
use muster_domain::time::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::catalogue::{self, EventSchema};

/// One event of every type, every field filled and every list and map with two entries. They are the events of one
/// task, in `position` order.
pub fn sample_events() -> Vec<Event> {
    events(true)
}

/// One event of every type, every optional field absent and every list and map empty.
pub fn minimal_events() -> Vec<Event> {
    events(false)
}

/// One event of `event_type`, filled as [`sample_events`] does, at `position` of `project_id`. None when the type is unknown.
pub fn sample_event(event_type: &str, project_id: ProjectId, position: u64) -> Option<Event> {
    let mut event = event(catalogue::schema_for(event_type)?, true);
    event.project_id = project_id;
    event.position = position;
    event.sequence = position;
    event.id = EventId(Uuid::new_v5(&project_id.0, &position.to_be_bytes()));
    Some(event)
}

fn events(full: bool) -> Vec<Event> {
    catalogue::event_schemas().iter().map(|schema| event(schema, full)).collect()
}

fn id(name: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())
}

fn event(schema: &'static EventSchema, full: bool) -> Event {
    let of_project = schema.event_type.starts_with("project.");
    let position = schema.index as u64 + 1;
    Event {
        id: EventId(id(schema.event_type)),
        timestamp: Timestamp::from_micros(1_700_000_000_000_000 + i64::from(number(schema.event_type))),
        project_id: ProjectId(id("project")),
        task_id: (!of_project && full).then(|| TaskId(id("task"))),
        sequence: if of_project || !full { 0 } else { position },
        position,
        source: Source::Orchestrator,
        actor: "sample".to_owned(),
        command_id: CommandId(id("command")),
        command_digest: full.then(|| "ab".repeat(32)),
        causation_id: full.then(|| EventId(id("cause"))),
        correlation_id: id("correlation"),
        data: data(schema, full),
    }
}

fn data(schema: &'static EventSchema, full: bool) -> EventData {
    let avsc: Value = serde_json::from_str(schema.json).expect("the catalogue has read this text");
    let mut names = HashMap::new();
    collect_names(&avsc, &mut names);
    let mut record = Walk { names, full }.value(&avsc, schema.event_type);
    EventData::from_json(schema.event_type, record["data"].take())
        .expect("the golden test builds a sample from every schema")
}

/// A number from 1 to 10,000 that depends on the text alone.
fn number(text: &str) -> u32 {
    text.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 10_000 + 1
}

/// Every named type of a schema, at any depth: a type is spelled out only where it is first used.
fn collect_names<'a>(schema: &'a Value, names: &mut HashMap<String, &'a Value>) {
    match schema {
        Value::Object(object) => {
            if let (Some(name), Some(namespace)) = (schema["name"].as_str(), schema["namespace"].as_str()) {
                names.insert(format!("{namespace}.{name}"), schema);
            }
            object.values().for_each(|inner| collect_names(inner, names));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect_names(inner, names)),
        _ => {}
    }
}

/// A walk over one schema.
struct Walk<'a> {
    names: HashMap<String, &'a Value>,
    full: bool,
}

impl Walk<'_> {
    fn value(&self, schema: &Value, path: &str) -> Value {
        match schema {
            Value::String(name) => self.named(name, path),
            Value::Array(branches) => self.union(branches, path),
            _ => self.complex(schema, path),
        }
    }

    fn named(&self, name: &str, path: &str) -> Value {
        match name {
            "null" => Value::Null,
            "boolean" => json!(self.full),
            "int" | "long" => json!(if self.full { number(path) } else { 0 }),
            "float" | "double" => json!(if self.full { 0.25 * f64::from(number(path)) } else { 0.0 }),
            "string" => json!(if self.full { path } else { "" }),
            _ => self.names.get(name).map_or(Value::Null, |schema| self.value(schema, path)),
        }
    }

    fn union(&self, branches: &[Value], path: &str) -> Value {
        match branches.iter().find(|branch| *branch != "null") {
            Some(branch) if self.full => self.value(branch, path),
            _ => Value::Null,
        }
    }

    fn complex(&self, schema: &Value, path: &str) -> Value {
        match schema["type"].as_str().unwrap_or_default() {
            "record" => {
                let fields = schema["fields"].as_array().into_iter().flatten();
                Value::Object(fields.filter_map(|field| self.field(field, path)).collect::<Map<_, _>>())
            }
            "enum" => {
                let symbols = schema["symbols"].as_array().map(Vec::as_slice).unwrap_or_default();
                if self.full { symbols.last() } else { symbols.first() }.cloned().unwrap_or_default()
            }
            "array" => (0..self.entries()).map(|i| self.value(&schema["items"], &format!("{path}.{i}"))).collect(),
            "map" => (0..self.entries())
                .map(|i| (format!("key-{i}"), self.value(&schema["values"], &format!("{path}.{i}"))))
                .collect::<Map<_, _>>()
                .into(),
            "string" if schema["logicalType"] == "uuid" => json!(id(if self.full { path } else { "" })),
            primitive => self.named(primitive, path),
        }
    }

    fn field(&self, field: &Value, path: &str) -> Option<(String, Value)> {
        let name = field["name"].as_str()?;
        let path = format!("{path}.{name}");
        Some((name.to_owned(), self.value(&field["type"], &path)))
    }

    fn entries(&self) -> usize {
        if self.full { 2 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_samples() {
        for events in [sample_events(), minimal_events()] {
            let types: Vec<_> = events.iter().map(|event| event.event_type().to_owned()).collect();
            assert_eq!(types, EventData::TYPES);
        }
    }

    #[test]
    fn a_full_sample_leaves_no_field_null() {
        fn nulls(value: &Value) -> usize {
            match value {
                Value::Null => 1,
                Value::Array(items) => items.iter().map(nulls).sum(),
                Value::Object(fields) => fields.values().map(nulls).sum(),
                _ => 0,
            }
        }
        for event in sample_events() {
            assert_eq!(nulls(&event.data.to_json()), 0, "{}", event.event_type());
        }
    }
}
