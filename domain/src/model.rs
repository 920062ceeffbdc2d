//! The values and records that events, commands and state are made of.

mod defaults;
mod records;
mod source;
mod values;

pub use records::*;
pub use source::Source;
pub use values::*;
