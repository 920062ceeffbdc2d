//! The read model in Postgres: its tables, the projection's writes, the queries, and how far each project is applied.
//!
//! Knows SQL and the domain's events. It must never know of the log, of HTTP, or of who may see what.

mod error;
mod mutant;
mod store;
mod table;
mod text;

mod apply;
mod audit;
mod batch;
mod dead_letter;
mod history;
mod notify;
mod offset;
mod output;
mod rebuild;
mod rows;

pub mod query;

#[cfg(feature = "limits")]
pub mod dump;
#[cfg(feature = "limits")]
pub mod limits;

pub use audit::{AuditFault, AuditReport};
pub use batch::{Applied, Gaps};
pub use dead_letter::{DeadLetter, DeadLetterState, ParkOutcome, Parked, Poisoned, Release};
pub use error::Error;
pub use notify::{Listener, Wakeup};
pub use offset::{Claim, PROJECTION, VERSION};
pub use output::OutputLine;
pub use rebuild::{Held, Rebuild};
pub use store::{LIVE_SCHEMA, ReadStore};
