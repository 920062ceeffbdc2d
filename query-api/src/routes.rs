//! The routes. Everything but pages needs a bearer token. It must never decide who may see what.

mod graphql;
mod token;

use std::sync::Arc;

use axum::Router;
use muster_read_store::ReadStore;
use muster_service_kit::config::QueryConfig;
use muster_service_kit::{Authenticator, Shutdown};

use crate::access::Access;
use crate::commands::Commands;
use crate::graphql::MusterSchema;
use crate::live::Live;

/// What every route works with. Clones share it.
#[derive(Clone)]
pub struct Service(Arc<Parts>);

/// What the service is made of.
pub struct Parts {
    pub authenticator: Authenticator,
    pub schema: MusterSchema,
    pub store: ReadStore,
    pub live: Live,
    pub access: Access,
    pub commands: Arc<dyn Commands>,
    pub config: QueryConfig,
    pub shutdown: Shutdown,
}

impl From<Parts> for Service {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Service {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Every route.
pub fn router(service: Service) -> Router {
    Router::new().merge(graphql::routes()).with_state(service)
}
