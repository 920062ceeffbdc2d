//! What every Muster service shares: configuration, telemetry, authentication, problem documents, health, shutdown,
//! limits and serving. It must never know the domain: no task, no event, no topic has a type here.

pub mod config;
pub mod telemetry;
pub mod problem;
pub mod auth;
pub mod limits;
pub mod health;
pub mod shutdown;
pub mod serve;

pub use auth::{Authenticator, Caller, Principal};
pub use config::Config;
pub use health::Readiness;
pub use problem::{Code, Problem, ProblemJson, ProblemPath, ProblemQuery, codes};
pub use shutdown::Shutdown;
