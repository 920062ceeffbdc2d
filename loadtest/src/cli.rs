//! The program's subcommands: flags in, tables out. They must never measure or check anything themselves.

pub mod campaign;
pub mod mutants;
