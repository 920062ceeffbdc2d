//! The projector against a log in memory and a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod dead_letters;
mod faults;
mod logs;
mod output;
mod projection;
mod rebuild;
mod support;
