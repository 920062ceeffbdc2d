//! The GraphQL schema: queries and subscriptions over the read model, mutations that are passed on as commands.
//!
//! Names are the domain's in camel case; ids are UUIDs; times are RFC 3339; JSON fields keep the stored snake-case names.
//! It must never write a row.
//!
//! Every error has `extensions.code`, the problem's code in upper case (its page is `docs/errors/<code in lower case>.md`),
//! `extensions.status`, the status REST would answer with, and the problem's further members.

mod connection;
mod context;
mod document;
mod enums;
mod guard;
mod loaders;

mod event;
mod inputs;
mod project;
mod records;
mod run;
mod task;
mod time_travel;

mod mutation;
mod query;
mod subscription;

use std::sync::Arc;

use async_graphql::dataloader::DataLoader;
use async_graphql::extensions::apollo_persisted_queries::{ApolloPersistedQueries, LruCacheStorage};
use async_graphql::{Schema, SchemaBuilder};
use muster_read_store::ReadStore;
use muster_service_kit::Shutdown;
use muster_service_kit::config::QueryConfig;

use crate::access::Access;
use crate::commands::Commands;
use crate::live::Live;
use context::Services;
use guard::Guard;
pub use guard::refused;
use loaders::Loaders;
use mutation::Mutation;
use query::Query;
use subscription::Subscription;

/// Fields one inside the other a document may have, as it is parsed.
const PARSE_DEPTH_MAX: usize = 64;

/// Documents that are remembered by their SHA-256, so that clients need not send them again.
const PERSISTED_QUERIES: usize = 500;

/// The schema with everything it works on.
pub type MusterSchema = Schema<Query, Mutation, Subscription>;

/// Builds the schema.
pub fn schema(
    config: &QueryConfig,
    store: ReadStore,
    live: Live,
    access: Access,
    commands: Arc<dyn Commands>,
    shutdown: Shutdown,
) -> MusterSchema {
    let loaders = DataLoader::new(Loaders::new(store.clone()), tokio::spawn);
    let page = connection::PageSize { default: config.page_size_default, max: config.page_size_max };
    builder()
        .data(loaders)
        .data(Services { store, live, access, commands, page, shutdown })
        // The first one sees documents before anything parses them.
        .extension(Guard::new(config, PARSE_DEPTH_MAX))
        .extension(ApolloPersistedQueries::new(LruCacheStorage::new(PERSISTED_QUERIES)))
        .limit_complexity(config.max_complexity)
        .limit_depth(config.max_depth)
        .limit_recursive_depth(PARSE_DEPTH_MAX)
        .finish()
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    let mut text = builder().finish().sdl();
    let end = text.trim_end().len();
    text.truncate(end);
    text.push('\n');
    text
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription)
}
