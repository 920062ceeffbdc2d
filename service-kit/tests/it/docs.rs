//! The pages keep up with the code: every configuration key, every error code.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use muster_service_kit::codes::CODES;
use muster_service_kit::config;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

#[test]
fn the_configuration_page_is_the_generated_one() {
    let page = fs::read_to_string(docs().join("configuration.md")).unwrap();

    assert!(page == config::page(), "run `cargo run -p muster-service-kit --bin configuration-page`");
}

#[test]
fn the_example_of_the_configuration_page_loads() {
    let page = config::page();
    let (_, example) = page.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, example).unwrap();

    let config = config::Loader::empty().file(&path).load().unwrap();

    assert_eq!(config.log.kafka.librdkafka_properties()["security.protocol"], "SSL");
    assert_eq!(config.auth.tokens[0].user, "alice");
}

#[test]
fn every_code_has_a_page_with_cause_and_cure() {
    let index = fs::read_to_string(docs().join("errors/README.md")).unwrap();
    for known in CODES {
        let path = docs().join(format!("errors/{}.md", known.code));
        let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let opening = format!("# {}\n\n{}: {}.\n", known.code, known.status, known.title);

        assert!(page.starts_with(&opening), "{} must open with:\n{opening}", path.display());
        for heading in ["\n## Cause\n", "\n## Cure\n"] {
            let (_, text) = page.split_once(heading).unwrap_or_else(|| panic!("{}: no {heading}", path.display()));
            assert!(text.trim_start().len() > 40, "{}: nothing under {heading}", path.display());
        }
        let row = format!("| [`{0}`]({0}.md) | {1} | {2} |", known.code, known.status, known.title);
        assert!(index.contains(&row), "docs/errors/README.md lacks {row}");
    }
}

#[test]
fn codes_are_distinct_and_their_status_is_an_error() {
    let distinct: HashSet<_> = CODES.iter().map(|known| known.code).collect();

    assert_eq!(distinct.len(), CODES.len());
    for known in CODES {
        assert!((400..600).contains(&known.status), "{}", known.code);
        assert!(known.code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{}", known.code);
    }
}
