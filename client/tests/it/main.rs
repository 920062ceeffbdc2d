//! The client against a server that behaves badly in known ways.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod stub;

mod calls;
mod events;
