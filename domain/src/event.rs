//! Events: what happened, with the envelope every event carries.
//!
//! Knows nothing of Avro, Kafka or SQL; see the `schemas` crate for the wire.

pub mod agent;
pub mod git;
pub mod project;
pub mod run;
pub mod subtask;
pub mod task;
pub mod user;
pub mod work;

mod catalogue;
mod envelope;

pub use catalogue::*;
pub use envelope::Event;
pub use {agent::*, git::*, project::*, run::*, subtask::*, task::*, user::*, work::*};
