//! Holds the schemas against the types: an example made from each schema must be read by its type, come back the same,
//! and bear the loss of exactly those fields that are said to be optional.

use muster_domain::command::{Command, Report, WorkOrder};
use muster_domain::decide::Outcome;
use muster_schemas::api;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::routes::COMMANDS;
use super::schemas::all;

const ID: &str = "0199d6a0-0000-7000-8000-000000000001";

/// A value with every field the schema names.
fn example(schemas: &Map<String, Value>, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return example(schemas, &schemas[name]);
    }
    if let Some(options) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        return example(schemas, &options[0]);
    }
    if let Some(value) = schema.get("const").or(schema["enum"].get(0)) {
        return value.clone();
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), Some("uuid")) => json!(ID),
        (Some("string"), Some("date-time")) => json!("2026-01-01T00:00:00.000000Z"),
        (Some("string"), _) => json!("text"),
        (Some("boolean"), _) => json!(true),
        (Some("integer"), _) => json!(1),
        (Some("number"), _) => json!(1.5),
        (Some("array"), _) => {
            let item = example(schemas, &schema["items"]);
            // Pairs are lists too.
            let count = if schema["items"]["type"] == "string" { 2 } else { 1 };
            json!(vec![item; count])
        }
        (Some("object"), _) => match schema["properties"].as_object() {
            Some(fields) => fields.iter().map(|(name, field)| (name.clone(), example(schemas, field))).collect(),
            None => json!({ "coder": example(schemas, &schema["additionalProperties"]) }),
        },
        other => panic!("no example of {other:?}: {schema}"),
    }
}

fn hold<T: DeserializeOwned + Serialize>(schemas: &Map<String, Value>, name: &str, compare: bool) {
    let schema = &schemas[name];
    let whole = example(schemas, schema);
    let read = |value: &Value| serde_json::from_value::<T>(value.clone());
    let value = read(&whole).unwrap_or_else(|error| panic!("{name}: {error}\n{whole:#}"));
    if compare {
        assert_eq!(serde_json::to_value(&value).unwrap(), whole, "{name} has other fields");
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for field in schema["properties"].as_object().unwrap().keys() {
        let mut without = whole.clone();
        without.as_object_mut().unwrap().remove(field);
        // A field an answer always has, with null where it has no value, may still be missing for a reader.
        let nullable = schema["properties"][field]["anyOf"].is_array();
        let is_required = required.contains(&json!(field));
        if !(is_required && nullable) {
            assert_eq!(read(&without).is_err(), is_required, "{name}.{field}");
        }
        let mut null = whole.clone();
        null[field] = Value::Null;
        assert_eq!(read(&null).is_ok(), nullable, "{name}.{field} as null");
    }
}

/// The names serde knows for a tagged enum, as its error tells them.
fn variants<T: DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_value::<T>(json!({ "type": "no such" })).err().expect("there is no such variant");
    error.to_string().split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_command_and_report_is_described_as_it_is() {
    let schemas = all();
    let described = |name: &str| {
        let mapping = schemas[name]["discriminator"]["mapping"].as_object().unwrap();
        let mut kinds: Vec<_> = mapping.keys().cloned().collect();
        kinds.sort();
        kinds
    };
    let known = |mut kinds: Vec<String>| {
        kinds.sort();
        kinds
    };
    assert_eq!(described("Command"), known(variants::<Command>()));
    assert_eq!(described("Report"), known(variants::<Report>()));
    assert_eq!(COMMANDS.len(), variants::<Command>().len());
    for name in COMMANDS {
        hold::<Command>(&schemas, name, true);
    }
    for variant in schemas["Report"]["oneOf"].as_array().unwrap() {
        let name = variant["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        hold::<Report>(&schemas, name, true);
    }
}

/// Every place in a value, as a JSON pointer and as the path a fault has.
fn places(value: &Value, pointer: &str, path: &str, found: &mut Vec<(String, String)>) {
    let mut go = |name: &str, path: String, value: &Value| {
        let pointer = format!("{pointer}/{name}");
        found.push((pointer.clone(), path.clone()));
        places(value, &pointer, &path, found);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            go(name, if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value);
        }),
        Value::Array(items) => (0..).zip(items).for_each(|(index, item): (usize, _)| {
            go(&index.to_string(), format!("{path}[{index}]"), item);
        }),
        _ => {}
    }
}

#[test]
fn a_wrong_value_anywhere_in_a_command_is_named_with_its_path() {
    let schemas = all();
    let wrong = [
        json!(null),
        json!("no such"),
        json!("\0"),
        json!(-1),
        json!(1.5),
        json!(true),
        json!([]),
        json!({}),
        json!([7]),
    ];
    let mut refused = 0;
    let commands = COMMANDS.iter().filter(|name| **name != "ReportRun");
    let commands = commands.map(|name| ((*name).to_owned(), example(&schemas, &schemas[*name])));
    let reports = schemas["Report"]["oneOf"].as_array().unwrap().iter().map(|variant| {
        let mut command = example(&schemas, &schemas["ReportRun"]);
        command["reports"][0] = example(&schemas, variant);
        (variant["$ref"].to_string(), command)
    });
    for (name, command) in commands.chain(reports) {
        let whole = json!({ "project_id": ID, "command": command, "expected_sequence": 1, "causation_id": ID });
        let mut found = Vec::new();
        places(&whole, "", "", &mut found);
        for (pointer, path) in found {
            for wrong in &wrong {
                let mut body = whole.clone();
                *body.pointer_mut(&pointer).unwrap() = wrong.clone();
                let parse =
                    super::shapes().one("CommandRequest").parse::<api::CommandRequest>(body.to_string().as_bytes());
                let Err(problem) = parse else { continue };
                let told = problem.extension("path").and_then(Value::as_str).unwrap_or_default();
                // What a value lacks or has inside is named by that.
                let inside = told
                    .strip_prefix(path.as_str())
                    .is_some_and(|rest| rest.is_empty() || ['.', '['].contains(&rest.chars().next().unwrap()));
                assert!(inside, "{name}: {wrong} at {path}: {problem}, told as {told}");
                refused += 1;
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn every_request_and_answer_is_described_as_it_is() {
    let schemas = all();
    hold::<api::CommandRequest>(&schemas, "CommandRequest", true);
    hold::<api::BatchItem>(&schemas, "BatchItem", true);
    hold::<api::BatchResult>(&schemas, "BatchResult", true);
    hold::<api::ClaimRequest>(&schemas, "ClaimRequest", true);
    hold::<api::ReportsRequest>(&schemas, "ReportsRequest", true);
    hold::<api::HeartbeatRequest>(&schemas, "HeartbeatRequest", true);
    hold::<api::HeartbeatResponse>(&schemas, "HeartbeatResponse", true);
    hold::<api::OutputRequest>(&schemas, "OutputRequest", true);
    hold::<api::OutputResponse>(&schemas, "OutputResponse", true);
    hold::<api::PartitionStatus>(&schemas, "PartitionStatus", true);
    hold::<Outcome>(&schemas, "Outcome", true);
    let mut order = example(&schemas, &schemas["WorkOrder"]);
    order["plan"]["verdict"] = json!({ "verdict": "rejected", "by": "text", "reason": "text" });
    order["answers"] = json!([["question", "answer"]]);
    let read: WorkOrder = serde_json::from_value(order.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), order);
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap();
    assert!(committed == super::text(), "run `cargo run -p muster-command-service --bin openapi`");
}
