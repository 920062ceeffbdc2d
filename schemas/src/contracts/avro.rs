//! Schemas taken apart for the pages: fields with their types in words, and the named types they use.

use std::collections::BTreeMap;

use serde_json::Value;

/// One field of a record.
pub(super) struct Field {
    pub name: String,
    pub type_in_words: String,
    pub doc: String,
}

/// A record or enum that fields refer to.
pub(super) enum NamedType {
    Record { doc: String, fields: Vec<Field> },
    Enum { doc: String, symbols: Vec<String> },
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The fields of a record schema.
pub(super) fn fields(record: &Value) -> Vec<Field> {
    let field = |field: &Value| Field {
        name: text(field, "name"),
        type_in_words: in_words(&field["type"]),
        doc: text(field, "doc"),
    };
    list(record, "fields").iter().map(field).collect()
}

/// The record inside an event's `data` field.
pub(super) fn data(event: &Value) -> &Value {
    list(event, "fields").iter().find(|field| field["name"] == "data").map_or(&Value::Null, |field| &field["type"])
}

/// A type in words, with a link to a named one.
fn in_words(schema: &Value) -> String {
    match schema {
        Value::String(name) => match name.rsplit_once('.') {
            Some((_, name)) => link(name),
            None => name.clone(),
        },
        Value::Array(branches) => {
            let words: Vec<_> = branches.iter().filter(|branch| *branch != "null").map(in_words).collect();
            let optional = if words.len() < branches.len() { "optional " } else { "" };
            format!("{optional}{}", words.join(" or "))
        }
        _ => match (schema["type"].as_str().unwrap_or_default(), schema["logicalType"].as_str()) {
            (_, Some(logical)) => logical.to_owned(),
            ("array", _) => format!("list of {}", in_words(&schema["items"])),
            ("map", _) => format!("map of {}", in_words(&schema["values"])),
            ("record" | "enum", _) => link(&text(schema, "name")),
            (other, _) => other.to_owned(),
        },
    }
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_lowercase())
}

/// Collects the named types below `schema`, at any depth, but for the records of the events themselves.
pub(super) fn named_types(schema: &Value, types: &mut BTreeMap<String, NamedType>) {
    match schema {
        Value::Object(object) => {
            if schema["namespace"].is_string() && schema["namespace"] != "muster.events" {
                let doc = text(schema, "doc");
                let symbols = list(schema, "symbols").iter().filter_map(Value::as_str).map(str::to_owned).collect();
                let named = match schema["type"].as_str() {
                    Some("enum") => NamedType::Enum { doc, symbols },
                    _ => NamedType::Record { doc, fields: fields(schema) },
                };
                types.insert(text(schema, "name"), named);
            }
            object.values().for_each(|inner| named_types(inner, types));
        }
        Value::Array(items) => items.iter().for_each(|inner| named_types(inner, types)),
        _ => {}
    }
}
