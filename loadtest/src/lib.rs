//! Figures, each beside the limit that the same machine reached in the same run.
//!
//! A scenario does the product's work and the bare work of the server under it by turns, so that whatever else the
//! machine does hits both. It must never assert a time: it measures, and people judge.

pub mod campaign;
pub mod checks;

mod mix;

mod measure;
mod report;
mod servers;

mod dev;
mod service;

pub mod scenario;

pub use dev::Log;
pub use measure::{Bounds, Side};
pub use mix::Mix;
pub use report::{Figure, Machine, Report};
pub use servers::{Database, Kafka, Postgres};
pub use service::Programs;
