//! Tests of the service kit from the outside; each file mirrors the module it tests.

mod auth;
mod config;
mod docs;
mod health;
mod limits;
mod problem;
mod serve;
mod shutdown;
mod support;
mod telemetry;
