//! Fault campaigns: load under faults, and what everyone saw of it.
//!
//! Real servers and services run as processes of their own, with a link that can be broken between each pair that talks.
//! Faults and load follow from a seed. Afterwards everything is healed, every command whose answer was lost is asked for
//! again, and the checkers read what clients saw, the log and the tables.

pub mod history;

mod options;
mod report;

mod chance;
mod plan;

mod backing;
mod machine;
mod process;
mod proxy;
mod stage;

mod recorder;
mod subscriber;
mod workload;

mod evidence;
mod faults;

mod logs;
mod verdict;

mod run;

pub mod mutants;

pub use options::{Kind, LogKind, Options, Patience};
pub use report::{Found, Report};
pub use run::{Interrupted, programs_beside_this, run};
