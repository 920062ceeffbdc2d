//! What every resolver works with. It must never hold anything that belongs to one request.

use std::sync::Arc;

use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, ID};
use muster_read_store::ReadStore;
use muster_service_kit::{Caller, Problem, Shutdown, codes};
use uuid::Uuid;

use super::connection::PageSize;
use super::loaders::Loaders;
use crate::access::Access;
use crate::commands::Commands;
use crate::fault::{Fault, Result};
use crate::live::Live;

/// What the schema was built with.
pub(super) struct Services {
    pub(super) store: ReadStore,
    pub(super) live: Live,
    pub(super) access: Access,
    pub(super) commands: Arc<dyn Commands>,
    pub(super) page: PageSize,
    pub(super) shutdown: Shutdown,
}

/// The services, out of a resolver's context.
pub(super) fn services<'c>(ctx: &Context<'c>) -> Result<&'c Services> {
    ctx.data::<Services>().map_err(|_| Problem::internal("the schema was built without services").into())
}

/// Who asks.
pub(super) fn caller<'c>(ctx: &Context<'c>) -> Result<&'c Caller> {
    ctx.data::<Caller>().map_err(|_| Fault::new(codes::UNAUTHENTICATED, "This needs a token."))
}

/// The batching loaders.
pub(super) fn loaders<'c>(ctx: &Context<'c>) -> Result<&'c DataLoader<Loaders>> {
    ctx.data::<DataLoader<Loaders>>().map_err(|_| Problem::internal("the schema was built without loaders").into())
}

/// Reads an id argument.
pub(super) fn id<T: From<Uuid>>(argument: &str, id: &ID) -> Result<T> {
    Uuid::parse_str(id).map(T::from).map_err(|_| Fault::invalid(argument, "a UUID is expected"))
}

/// Reads an id argument that may be missing.
pub(super) fn maybe_id<T: From<Uuid>>(argument: &str, given: Option<&ID>) -> Result<Option<T>> {
    given.map(|given| id(argument, given)).transpose()
}
