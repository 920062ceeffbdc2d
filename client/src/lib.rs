//! Typed calls to Muster's services, for command line, runner, load generator and the query service.
//!
//! ```no_run
//! # async fn example() -> Result<(), muster_client::Error> {
//! use muster_client::{Client, domain::command::DispatchTask};
//!
//! let client = Client::new("http://127.0.0.1:4400", "token")?.with_source("cli");
//! # let project_id = muster_client::domain::id::ProjectId(uuid::Uuid::nil());
//! let outcome = client.send(project_id, DispatchTask { task_id: None }, None).await?;
//! assert!(outcome.position > 0);
//! # Ok(()) }
//! ```
//!
//! A command is sent again with the *same* idempotency key when the answer is lost or the service is busy, so it happens
//! once or not at all. This crate must never decide anything, and never keep state beyond a connection.

mod error;
mod retry;
mod transport;

mod commands;
mod work;

mod events;
mod graphql;
mod subscription;

pub use error::{Error, GraphqlError};
pub use retry::RetryPolicy;
pub use transport::Client;

pub use events::EventStream;
pub use subscription::Subscription;

pub use muster_schemas as schemas;
pub use muster_schemas::api;
pub use muster_schemas::domain;

use muster_schemas::domain::id::CommandId;

/// A fresh idempotency key. Keep it for as long as the same command may have to be sent again.
pub fn new_key() -> CommandId {
    CommandId(uuid::Uuid::now_v7())
}
