//! The rows of the read model, table by table, as the migrations declare them.
//! Every key names the project: an id alone may stand in two projects.
//! They must never carry behaviour: what an event does to them is in `apply`.

mod project;
#[expect(clippy::struct_field_names, reason = "the columns of a key are ids")]
mod run;
#[expect(clippy::struct_field_names, reason = "the columns of a key are ids")]
mod task;

pub(crate) use project::*;
pub(crate) use run::*;
pub(crate) use task::*;
