//! The gate for schema changes: what is committed passes it, and what would break a reader does not.

use std::path::{Path, PathBuf};

use muster_schemas::compatibility::{Error, check};
use muster_schemas::{contracts, event_schemas, history, schema_for};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("history")
}

#[test]
fn every_schema_is_recorded_and_compatible_with_all_its_versions() {
    history::verify(&folder()).unwrap();
}

#[test]
fn the_generated_pages_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (path, text) in contracts::files() {
        let committed = std::fs::read_to_string(root.join(path)).unwrap();
        assert!(committed == text, "{path} is out of date: run `cargo run -p muster-schemas --bin generate-contracts`");
    }
}

#[test]
fn no_history_is_without_a_schema() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let subject = entry.unwrap().file_name().into_string().unwrap();
        assert!(history::current().any(|(known, _)| known == subject), "{subject} lost its schema");
    }
}

/// The fields of `run.failed`'s data, which has a required record, an enum inside it, and optional fields.
fn fields(schema: &mut Value) -> &mut Vec<Value> {
    let data = schema["fields"].as_array_mut().and_then(|fields| fields.last_mut()).expect("data");
    data["type"]["fields"].as_array_mut().expect("fields")
}

fn error_fields(schema: &mut Value) -> &mut Vec<Value> {
    let error = fields(schema).iter_mut().find(|field| field["name"] == "error").expect("an error");
    error["type"]["fields"].as_array_mut().expect("fields")
}

/// Whether `run.failed` may be followed by itself, edited.
fn follow(edit: impl FnOnce(&mut Value)) -> Result<(), Error> {
    let old = schema_for("run.failed").expect("catalogued").json;
    let mut new: Value = serde_json::from_str(old).expect("JSON");
    edit(&mut new);
    check(old, &new.to_string())
}

#[test]
fn edits_that_every_reader_survives_pass() {
    follow(|_| ()).unwrap();
    follow(|schema| schema["doc"] = json!("other words")).unwrap();
    follow(|schema| fields(schema).push(json!({"name": "extra", "type": ["null", "string"], "default": null})))
        .unwrap();
    follow(|schema| error_fields(schema).retain(|field| field["name"] != "exit_code")).unwrap();
}

#[test]
fn edits_that_break_a_reader_are_refused() {
    let refused: Vec<(&str, Result<(), Error>)> = vec![
        ("a required field is removed", follow(|schema| fields(schema).retain(|field| field["name"] != "will_retry"))),
        (
            "a field is added without a default",
            follow(|schema| fields(schema).push(json!({"name": "extra", "type": "long"}))),
        ),
        ("a type is changed", follow(|schema| fields(schema).last_mut().expect("a field")["type"] = json!("string"))),
        (
            "an integer is widened, which old readers cannot follow",
            follow(|schema| {
                let field = error_fields(schema).iter_mut().find(|field| field["name"] == "exit_code").expect("it");
                field["type"] = json!(["null", "long"]);
            }),
        ),
        ("an enum gets a symbol", follow(|schema| symbols(schema).push(json!("new_kind")))),
        ("an enum loses a symbol", follow(|schema| drop(symbols(schema).pop()))),
        (
            "an optional field becomes required",
            follow(|schema| {
                let field = error_fields(schema).iter_mut().find(|field| field["name"] == "log_excerpt").expect("it");
                field["type"] = json!("string");
                field.as_object_mut().expect("a field").remove("default");
            }),
        ),
        ("a field is renamed", follow(|schema| fields(schema)[0]["name"] = json!("run"))),
        ("the record is renamed", follow(|schema| schema["name"] = json!("RunBroke"))),
        ("the namespace is changed", follow(|schema| schema["namespace"] = json!("elsewhere"))),
    ];
    for (edit, result) in refused {
        assert!(result.is_err(), "{edit}, and the gate lets it pass");
    }
    assert!(check("{", schema_for("run.failed").unwrap().json).is_err());
}

fn symbols(schema: &mut Value) -> &mut Vec<Value> {
    let kind = error_fields(schema).iter_mut().find(|field| field["name"] == "kind").expect("a kind");
    kind["type"]["symbols"].as_array_mut().expect("symbols")
}

/// A copy of the history in a folder of its own, which is removed with it.
fn copy_of_history() -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for (subject, _) in history::current() {
        std::fs::create_dir(copy.path().join(subject)).expect("a folder");
        for (number, text) in (1..).zip(history::versions(&folder(), subject).expect("readable")) {
            std::fs::write(copy.path().join(subject).join(format!("{number}.avsc")), text).expect("written");
        }
    }
    copy
}

#[test]
fn the_gate_looks_at_every_version_not_only_at_the_newest() {
    let copy = copy_of_history();
    history::verify(copy.path()).unwrap();
    // A first version whose `will_retry` was text; the newest is the current one.
    let versions = history::versions(copy.path(), "run.failed").unwrap();
    let mut old: Value = serde_json::from_str(&versions[0]).unwrap();
    fields(&mut old).last_mut().unwrap()["type"] = json!("string");
    let subject = copy.path().join("run.failed");
    std::fs::write(subject.join("1.avsc"), old.to_string()).unwrap();
    std::fs::write(subject.join(format!("{}.avsc", versions.len() + 1)), schema_for("run.failed").unwrap().json)
        .unwrap();

    let error = history::verify(copy.path()).unwrap_err();
    assert!(
        matches!(&error, history::Error::Incompatible { subject, version: 1, .. } if subject == "run.failed"),
        "{error}"
    );
    assert!(history::record(copy.path()).is_err());
}

#[test]
fn a_change_must_be_recorded_and_is_then_known() {
    let copy = copy_of_history();
    let subject = copy.path().join("run.failed");
    let mut old: Value = serde_json::from_str(schema_for("run.failed").unwrap().json).unwrap();
    old["doc"] = json!("earlier words");
    for entry in std::fs::read_dir(&subject).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    std::fs::write(subject.join("1.avsc"), old.to_string()).unwrap();

    assert!(matches!(history::verify(copy.path()), Err(history::Error::NotRecorded { .. })));
    assert_eq!(history::record(copy.path()).unwrap(), ["run.failed"]);
    history::verify(copy.path()).unwrap();
    assert_eq!(history::versions(copy.path(), "run.failed").unwrap().len(), 2);
    assert!(history::record(copy.path()).unwrap().is_empty());
}

#[test]
fn a_named_type_is_the_same_in_every_schema() {
    let mut seen: std::collections::HashMap<String, (Value, &str)> = std::collections::HashMap::new();
    for schema in event_schemas() {
        let avsc: Value = serde_json::from_str(schema.json).unwrap();
        let mut stack = vec![&avsc];
        while let Some(node) = stack.pop() {
            match node {
                Value::Object(object) => {
                    if node["namespace"] == "muster.types" {
                        // Where a type is spelled out, its own parts may be named or spelled out: compare the surface.
                        let surface = json!([node["type"], node["doc"], node["symbols"], names(&node["fields"])]);
                        let name = node["name"].as_str().unwrap().to_owned();
                        let (first, place) = seen.entry(name.clone()).or_insert((surface.clone(), schema.event_type));
                        assert_eq!(*first, surface, "{name} in {} and {place}", schema.event_type);
                    }
                    stack.extend(object.values());
                }
                Value::Array(items) => stack.extend(items),
                _ => {}
            }
        }
    }
}

fn names(fields: &Value) -> Vec<&Value> {
    fields.as_array().into_iter().flatten().map(|field| &field["name"]).collect()
}
