//! What every Muster service shares: configuration, telemetry, authentication, problem documents, health, shutdown,
//! limits and serving. It must never know the domain: no task, no event, no topic has a type here.

pub mod auth;
pub mod config;
pub mod drain;
pub mod health;
pub mod json;
pub mod limits;
pub mod mutant;
mod open_files;
mod placed;
pub mod problem;
pub mod serve;
pub mod shutdown;
pub mod startup;
mod tcp;
pub mod telemetry;
pub mod tls;

/// A request is many small allocations, made on one thread and given back on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub use auth::{Authenticator, Caller, Principal};
pub use config::Config;
pub use drain::Drain;
pub use health::Readiness;
pub use problem::{Code, Problem, ProblemBytes, ProblemJson, ProblemPath, ProblemQuery, codes};
pub use shutdown::Shutdown;
pub use startup::{Deferred, Startup};
