//! The read side's face: GraphQL, server-sent events, WebSocket and REST reads over the read model, and the dashboard.
//!
//! It reads rows and tells who follows when there are new ones; mutations are passed on to the command service. It must
//! never write a row, nor decide on a command.

mod access;
mod commands;
mod fault;
mod follow;
mod live;

pub mod graphql;

mod routes;
mod service;

pub use commands::{Commands, Forwarded};
pub use fault::Fault;
pub use service::{Error, QueryApi};
