//! One partition: its writer task, the state it has committed, and the handle others speak to it through.
//!
//! Nothing outside may see an event before it is durable: [`Ledger`] holds what is committed, and only the writer task
//! knows what is decided beyond it.

mod archive;
mod finished;
mod handle;
mod index;
mod ledger;
mod memory;
mod standing;

mod batch;
mod speculation;

mod recall;
mod recovery;
mod replay;
mod snapshot;
mod tenure;
mod waiting;
mod writer;

#[cfg(test)]
mod testing;

pub(crate) use archive::Archive;
pub(crate) use handle::{Accepted, Handle, Refusal, Submitted, Unready};
pub(crate) use ledger::{Ledger, Offer};
pub(crate) use memory::CommandKey;
#[cfg(feature = "mutants")]
pub(crate) use snapshot::Image;
pub(crate) use standing::{Orders, Standing};
pub(crate) use writer::spawn;
