//! Golden bytes: what was written yesterday is what would be written today, and still reads.

use std::path::{Path, PathBuf};

use muster_schemas::golden::Golden;
use muster_schemas::samples::{minimal_events, sample_events};
use muster_schemas::{WriterSchema, decode, event_schemas, history};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn golden(event_type: &str, version: usize) -> Golden {
    let path = folder("golden").join(event_type).join(format!("{version}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Golden::from_text(&text).expect("a golden file")
}

#[test]
fn the_newest_versions_bytes_are_those_that_are_written() {
    for schema in event_schemas() {
        let newest = history::versions(&folder("history"), schema.event_type).unwrap().len();
        let now = Golden::now(schema.event_type).unwrap().unwrap();
        assert_eq!(now, golden(schema.event_type, newest), "{}", schema.event_type);
    }
}

#[test]
fn the_newest_versions_bytes_read_as_the_samples() {
    for (full, minimal) in sample_events().into_iter().zip(minimal_events()) {
        let versions = history::versions(&folder("history"), full.event_type()).unwrap();
        let writer = WriterSchema::parse(versions.last().unwrap()).unwrap();
        let golden = golden(full.event_type(), versions.len());
        assert_eq!(decode(&writer, &golden.full).unwrap(), full);
        assert_eq!(decode(&writer, &golden.minimal).unwrap(), minimal);
    }
}

#[test]
fn every_earlier_versions_bytes_still_read() {
    for schema in event_schemas() {
        for (number, version) in (1..).zip(history::versions(&folder("history"), schema.event_type).unwrap()) {
            let writer = WriterSchema::parse(&version).unwrap();
            let golden = golden(schema.event_type, number);
            for bytes in [golden.full, golden.minimal] {
                let event = decode(&writer, &bytes).unwrap();
                assert_eq!(event.event_type(), schema.event_type);
            }
        }
    }
}

#[test]
fn a_golden_file_returns_from_its_text() {
    let golden = Golden { full: vec![0, 255], minimal: vec![] };
    assert_eq!(Golden::from_text(&golden.to_text()), Some(golden));
    assert_eq!(Golden::from_text("full zz\nminimal 00"), None);
}
