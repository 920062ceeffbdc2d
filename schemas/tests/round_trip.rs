//! Every event type through its own schema and back, and through schemas that are not this build's.

use std::collections::{HashMap, HashSet};

use apache_avro::types::Value as Avro;
use muster_domain::event::{Event, EventData};
use muster_schemas::samples::{minimal_events, sample_events};
use muster_schemas::{WriterSchema, decode, encode, schema_for};
use serde_json::{Value, json};

fn current(event: &Event) -> WriterSchema {
    WriterSchema::parse(schema_for(event.event_type()).expect("catalogued").json).expect("valid schema")
}

#[test]
fn every_event_returns_from_its_bytes() {
    for event in sample_events().into_iter().chain(minimal_events()) {
        let bytes = encode(&event).unwrap();
        assert_eq!(decode(&current(&event), &bytes).unwrap(), event);
    }
}

#[test]
fn every_event_returns_from_its_json() {
    for event in sample_events().into_iter().chain(minimal_events()) {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }
}

#[test]
fn another_implementation_of_avro_writes_the_same_bytes() {
    for event in sample_events() {
        let schema = apache_avro::Schema::parse_str(schema_for(event.event_type()).unwrap().json).unwrap();
        let bytes = encode(&event).unwrap();
        let reader = apache_avro::reader::datum::GenericDatumReader::builder(&schema).build().unwrap();
        let value = reader.read_value(&mut bytes.as_slice()).unwrap();
        let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().unwrap();
        let again = writer.write_value_to_vec(value).unwrap();
        // Maps have no order in Avro, and apache-avro keeps none.
        if event.data.to_json().to_string().contains("key-1") {
            assert_eq!(again.len(), bytes.len());
        } else {
            assert_eq!(again, bytes, "{}", event.event_type());
        }
    }
}

/// Every named type of a schema, at any depth: a type is spelled out only where it is first used.
fn collect_names(schema: &Value, names: &mut HashMap<String, Value>) {
    match schema {
        Value::Object(object) => {
            if let (Some(name), Some(namespace)) = (schema["name"].as_str(), schema["namespace"].as_str()) {
                names.insert(format!("{namespace}.{name}"), schema.clone());
            }
            object.values().for_each(|inner| collect_names(inner, names));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect_names(inner, names)),
        _ => {}
    }
}

/// `schema` without any field that has a default, at every depth.
fn bare(schema: &Value, names: &HashMap<String, Value>, spelled: &mut HashSet<String>) -> Value {
    match schema {
        Value::String(name) if !spelled.contains(name) => match names.get(name) {
            Some(definition) => bare(definition, names, spelled),
            None => schema.clone(),
        },
        Value::Object(object) => {
            if let (Some(name), Some(namespace)) = (schema["name"].as_str(), schema["namespace"].as_str()) {
                spelled.insert(format!("{namespace}.{name}"));
            }
            let kept = object.iter().map(|(key, value)| match key.as_str() {
                "fields" => {
                    let fields = value.as_array().into_iter().flatten();
                    let needed = fields.filter(|field| field.get("default").is_none());
                    (key.clone(), needed.map(|field| bare(field, names, spelled)).collect())
                }
                "type" | "items" | "values" => (key.clone(), bare(value, names, spelled)),
                _ => (key.clone(), value.clone()),
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.iter().map(|item| bare(item, names, spelled)).collect(),
        other => other.clone(),
    }
}

/// JSON as an Avro value, to be resolved against a schema.
fn avro(json: &Value) -> Avro {
    match json {
        Value::Null => Avro::Null,
        Value::Bool(value) => Avro::Boolean(*value),
        Value::Number(value) => {
            value.as_i64().map_or_else(|| Avro::Double(value.as_f64().unwrap_or_default()), Avro::Long)
        }
        Value::String(value) => Avro::String(value.clone()),
        Value::Array(items) => Avro::Array(items.iter().map(avro).collect()),
        Value::Object(fields) => Avro::Map(fields.iter().map(|(key, value)| (key.clone(), avro(value))).collect()),
    }
}

/// `event` as a writer with `schema` would have written it.
fn written_with(schema: &Value, event: &Value) -> Vec<u8> {
    let schema = apache_avro::Schema::parse(schema).expect("valid schema");
    let value = avro(event).resolve(&schema).expect("fits the schema");
    let writer = apache_avro::writer::datum::GenericDatumWriter::builder(&schema).build().expect("valid schema");
    writer.write_value_to_vec(value).expect("fits the schema")
}

/// `event` as the JSON form of its Avro record: as its own JSON, but the timestamp is a number.
fn avro_json(event: &Event) -> Value {
    let mut json = serde_json::to_value(event).expect("an event is JSON");
    json["timestamp"] = json!(event.timestamp.as_micros());
    json
}

#[test]
fn a_field_with_a_default_may_be_missing_from_the_writers_schema() {
    for event in minimal_events() {
        let current: Value = serde_json::from_str(schema_for(event.event_type()).unwrap().json).unwrap();
        let mut names = HashMap::new();
        collect_names(&current, &mut names);
        let old = bare(&current, &names, &mut HashSet::new());
        let writer = WriterSchema::parse(&old.to_string()).unwrap();
        let bytes = written_with(&old, &avro_json(&event));
        assert_eq!(decode(&writer, &bytes).unwrap(), event, "{}", event.event_type());
    }
}

/// The current schema of `task.started`, changed.
fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut schema: Value = serde_json::from_str(schema_for("task.started").expect("catalogued").json).expect("JSON");
    change(&mut schema);
    schema
}

fn later_datum(schema: &Value, event_type: &str) -> Vec<u8> {
    let event = sample_events().into_iter().find(|event| event.event_type() == "task.started").expect("catalogued");
    let mut json = avro_json(&event);
    json["type"] = json!(event_type);
    json["data"]["mood"] = json!("cheerful");
    written_with(schema, &json)
}

fn add_mood(schema: &mut Value) {
    let data = schema["fields"].as_array_mut().and_then(|fields| fields.last_mut()).expect("fields");
    let field = json!({"name": "mood", "type": "string", "default": ""});
    data["type"]["fields"].as_array_mut().expect("fields").insert(0, field);
}

#[test]
fn a_later_version_with_more_fields_is_read() {
    let schema = changed(add_mood);
    let bytes = later_datum(&schema, "task.started");
    let event = decode(&WriterSchema::parse(&schema.to_string()).unwrap(), &bytes).unwrap();
    assert!(matches!(event.data, EventData::TaskStarted(_)));
}

#[test]
fn an_unknown_type_keeps_its_data() {
    let schema = changed(|schema| {
        add_mood(schema);
        schema["event_type"] = json!("task.teleported");
        schema["name"] = json!("TaskTeleported");
    });
    let bytes = later_datum(&schema, "task.teleported");
    let event = decode(&WriterSchema::parse(&schema.to_string()).unwrap(), &bytes).unwrap();
    assert_eq!(event.event_type(), "task.teleported");
    let EventData::Unknown(unknown) = &event.data else { panic!("known?") };
    assert_eq!(unknown.data["mood"], "cheerful");
    assert!(encode(&event).is_err(), "an unknown type has no schema to be written with");
}

#[test]
fn bytes_that_are_no_event_are_refused() {
    let event = sample_events().remove(0);
    let writer = current(&event);
    let bytes = encode(&event).unwrap();
    assert!(decode(&writer, &bytes[..bytes.len() - 1]).is_err(), "cut short");
    assert!(decode(&writer, &[&bytes[..], &[0]].concat()).is_err(), "too long");
    assert!(decode(&writer, b"not avro at all").is_err());
    let other = sample_events().into_iter().find(|event| event.event_type() == "task.started").unwrap();
    assert!(decode(&current(&other), &bytes).is_err(), "another type's schema");
}
