//! The service as a whole: what it needs, and the router it gives.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use muster_client::Client;
use muster_read_store::ReadStore;
use muster_service_kit::auth::Authenticator;
use muster_service_kit::config::Config;
use muster_service_kit::{Readiness, Shutdown};

use crate::access::Access;
use crate::commands::{Commands, Forwarded};
use crate::graphql;
use crate::live::Live;
use crate::routes;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The read store does not answer, or is not what it should be. Start it, then try again.
    #[error("read store: {0}")]
    ReadStore(#[from] muster_read_store::Error),
    /// Tokens cannot be loaded. Correct the configuration.
    #[error(transparent)]
    Auth(#[from] muster_service_kit::auth::Error),
    /// The command service's address or token cannot be used. Correct the configuration.
    #[error("query.command_url: {0}")]
    Commands(#[from] muster_client::Error),
    /// A key without which the service cannot work.
    #[error("configuration key `{0}` is not set")]
    Missing(&'static str),
}

impl Error {
    /// Whether the read store may be there later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::ReadStore(error) if error.may_pass())
    }
}

/// The query service, before it is served.
pub struct QueryApi {
    config: Config,
    store: ReadStore,
    commands: Arc<dyn Commands>,
}

impl QueryApi {
    /// Reads from `store` and passes mutations on to `commands`.
    pub fn new(config: Config, store: ReadStore, commands: Arc<dyn Commands>) -> Self {
        Self { config, store, commands }
    }

    /// Connects to what the configuration names.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        let url = config.read_store.url.as_ref().ok_or(Error::Missing("read_store.url"))?;
        let token = config.query.command_token.as_ref().ok_or(Error::Missing("query.command_token"))?;
        let client = Client::new(&config.query.command_url, token.expose())?;
        let store = ReadStore::connect(url.expose(), config.read_store.max_connections).await?;
        Ok(Self::new(config, store, Arc::new(Forwarded::new(client))))
    }

    /// Starts to listen for new rows, registers its readiness, and gives the routes: without health routes and standard
    /// layers, which whoever serves them adds once. Its work ends with `shutdown`.
    pub async fn router(self, readiness: &Readiness, shutdown: &Shutdown) -> Result<Router, Error> {
        let authenticator = Authenticator::from_config(&self.config.auth)?;
        let query = self.config.query.clone();
        let live = Live::start(self.store.clone(), query.subscriber_buffer, shutdown).await?;
        let position_timeout = Duration::from_millis(query.min_position_timeout_ms);
        let access = Access::new(self.store.clone(), live.clone(), position_timeout);
        let checked = self.store.clone();
        readiness.register("read store", move || {
            let store = checked.clone();
            async move { store.ping().await.map_err(|error| error.to_string()) }
        });
        let schema = graphql::schema(
            &query,
            self.store.clone(),
            live.clone(),
            access.clone(),
            Arc::clone(&self.commands),
            shutdown.clone(),
        );
        let parts = routes::Parts {
            authenticator,
            schema,
            store: self.store,
            live,
            access,
            commands: self.commands,
            connections: routes::Connections::new(query.sse_max_connections_per_user),
            config: query,
            shutdown: shutdown.clone(),
        };
        Ok(routes::router(parts.into()))
    }
}
