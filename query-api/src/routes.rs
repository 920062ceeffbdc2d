//! The routes. Everything but pages needs a bearer token. It must never decide who may see what.

mod connections;
mod driven;
mod logs;
mod sse;
mod token;

mod assets;
mod bridge;
mod graphql;
mod project_events;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use muster_read_store::ReadStore;
use muster_service_kit::config::QueryConfig;
use muster_service_kit::{Authenticator, Shutdown};

use crate::access::Access;
use crate::commands::Commands;
use crate::graphql::MusterSchema;
use crate::live::Live;

pub use connections::Connections;

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
    pub connections: Connections,
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

impl Service {
    /// The rows to give when `asked` for.
    fn limit(&self, asked: Option<u32>) -> u32 {
        asked.unwrap_or(self.config.page_size_max).min(self.config.page_size_max)
    }

    /// How streams are paced.
    fn pace(&self) -> sse::Pace {
        sse::Pace {
            heartbeat: Duration::from_secs(self.config.sse_heartbeat_s.max(1)),
            timeout: Duration::from_secs(self.config.sse_connection_timeout_m * 60),
            shutdown: self.shutdown.clone(),
        }
    }
}

/// Every route.
pub fn router(service: Service) -> Router {
    Router::new()
        .merge(assets::routes())
        .merge(graphql::routes())
        .merge(bridge::routes())
        .merge(project_events::routes())
        .merge(sockets::routes())
        .with_state(service)
}
