//! The write side: HTTP in, decide, append, answer.
//!
//! Each partition of the log has one writer task that holds the state of its projects in memory. What is decided while an
//! append is in flight goes out in the next, and nothing is answered before it is durable. This crate must never write a
//! read model, and never answer from one.

pub mod http;
pub mod repository;
mod room;
pub mod settings;

mod connect;
mod digest;
#[cfg(feature = "mutants")]
mod mutants;
mod ownership;
mod partition;
mod problem;
mod service;

pub use connect::{connect_log, may_pass};
#[cfg(feature = "mutants")]
pub use mutants::leave_a_process;
pub use problem::CODES;
pub use repository::{GitProbe, RepositoryProbe, TrustEverything};
pub use service::{CommandService, Elsewhere, Error, Options, Submitted, Who};
pub use settings::Settings;
