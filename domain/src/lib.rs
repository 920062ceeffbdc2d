//! What Muster is about: ids, commands, events, state, `decide` and `fold`, rejections and invariants.
//!
//! Pure. It must never know of time, randomness, threads, files, networks or any encoding but serde's.

pub mod id;
pub mod time;

pub mod event;
pub mod model;

pub mod command;
pub mod decide;
pub mod rejection;
pub mod state;

pub mod invariants;

#[cfg(test)]
mod testing;

#[cfg(test)]
mod properties;
