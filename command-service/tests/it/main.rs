//! The write side as callers meet it: through HTTP, on the log in memory and in Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod attacks;
mod batches;
mod campaign;
mod claim_keys;
mod claims;
mod commands;
mod faults;
mod fields;
mod finished;
mod foreign;
mod heartbeats;
mod idempotency;
mod instances;
mod kafka;
mod leaving;
mod mutated;
mod postgres;
mod repository;
mod snapshots;
mod sockets;
mod startup;
mod strangers;
mod work;
