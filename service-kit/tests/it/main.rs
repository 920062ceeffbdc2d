//! Tests of the service kit from the outside; each file mirrors the module it tests.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test where it stands")]

mod auth;
mod config;
mod docs;
mod drain;
mod health;
mod json;
mod limits;
mod placed;
mod problem;
mod serve;
mod shutdown;
mod slow;
mod startup;
mod support;
mod telemetry;
mod tls;
