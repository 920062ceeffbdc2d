//! The read store against a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod analytics;
mod audit;
mod dead_letters;
mod events;
mod fold;
mod foreign_ids;
mod notify;
mod offsets;
mod output;
mod rebuild;
mod support;
mod tale;
