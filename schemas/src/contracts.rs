//! The pages generated from the schemas: the event catalogue for people, AsyncAPI for tools.
//!
//! They must hold nothing that is not in the schemas or about the topics themselves.

mod asyncapi;
mod avro;
mod events_page;
mod yaml;

/// Every generated file: its path below the project's root, and its text.
pub fn files() -> Vec<(&'static str, String)> {
    vec![("docs/events.md", events_page::text()), ("docs/asyncapi.yaml", asyncapi::text())]
}
