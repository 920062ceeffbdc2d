//! A server of the real binary for a test, and the command line against it.

pub mod cli;
pub mod graphql;
pub mod repository;
pub mod rest;
pub mod server;

use std::time::Duration;

/// How long anything may take, on a slow machine with other work.
pub const WITHIN: Duration = Duration::from_mins(2);
