//! Real Postgres, Kafka and schema registry servers, started from what is installed, for development and for tests.
//!
//! Two halves:
//! - [`postgres`], [`kafka`] and [`registry`] each start one server in a directory of its own. `muster dev` keeps
//!   those directories and starts again from them; tests throw them away.
//! - [`shared`] gives tests one server of each kind per test run, and [`wait`] lets them wait for a condition.
//!
//! Nothing here knows what Muster stores in these servers: no topic, table or schema is named in this crate.

pub mod wait;

pub mod postgres;

pub mod kafka;
pub mod registry;

pub mod shared;

pub mod directory;
pub mod jars;
pub mod ports;
pub mod process;
mod sys;

pub use shared::{Kafka, SharedPostgres, fresh_database, shared_kafka, shared_postgres};
pub use wait::{eventually, eventually_some};
