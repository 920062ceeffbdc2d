//! Where commands go. This service decides nothing: it passes them on, in the name of who asked.

use async_trait::async_trait;
use muster_client::Client;
use muster_client::api::CommandRequest;
use muster_client::domain::decide::Outcome;
use muster_client::domain::id::CommandId;
use muster_service_kit::Caller;

use crate::fault::Result;

/// Takes commands.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Has a command carried out for `caller`. The same `key` gives the same answer.
    async fn execute(&self, caller: &Caller, request: CommandRequest, key: Option<CommandId>) -> Result<Outcome>;
}

/// The command service, called with a service token that may act for others.
#[derive(Debug, Clone)]
pub struct Forwarded(Client);

impl Forwarded {
    /// Calls through this client, whose token must be an admin's.
    pub const fn new(client: Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl Commands for Forwarded {
    async fn execute(&self, caller: &Caller, request: CommandRequest, key: Option<CommandId>) -> Result<Outcome> {
        let client = self.0.on_behalf_of(caller.user())?.with_source(caller.source.as_deref().unwrap_or("web"));
        Ok(client.execute(&request, key).await?)
    }
}
