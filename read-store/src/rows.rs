//! The rows of the read model, table by table, as the migrations declare them.
//! They must never carry behaviour: what an event does to them is in `apply`.

mod project;
mod run;
mod task;

pub(crate) use project::*;
pub(crate) use run::*;
pub(crate) use task::*;
