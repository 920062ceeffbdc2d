//! Several instances over one log, each with its HTTP server, and a board that says who owns what.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use muster_command_service::{Options, Settings, TrustEverything};
use muster_domain::id::ProjectId;
use muster_event_log::{EventLog, partition_of};
use muster_service_kit::auth::InstanceToken;
use muster_service_kit::config::HttpConfig;
use muster_service_kit::serve::HttpListener;
use muster_service_kit::{Drain, Shutdown, serve};
use serde_json::json;
use uuid::Uuid;

use super::{ADA, App, Board, INSTANCE_TOKEN, SharedLog};

/// An instance that others can reach.
pub struct Instance {
    pub app: App,
    pub url: String,
    pub drain: Drain,
}

impl std::ops::Deref for Instance {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

/// Two instances over one log of as many partitions as `log` has. Nobody owns any yet.
pub struct Pair {
    pub one: Instance,
    pub two: Instance,
    pub board: Arc<Board>,
}

impl Instance {
    pub async fn start(log: Arc<dyn EventLog>, settings: Settings) -> Self {
        Self::start_with_secret(log, settings, INSTANCE_TOKEN).await
    }

    /// An instance that others know by that secret.
    pub async fn start_with_secret(log: Arc<dyn EventLog>, settings: Settings, secret: &str) -> Self {
        Self::at(serve::bind("127.0.0.1", 0).await.unwrap(), log, settings, secret)
    }

    /// One whose drain only [`Drain::end`] ends.
    pub async fn start_draining(log: Arc<dyn EventLog>) -> Self {
        let config = HttpConfig { port: 0, drain_ms: 3_600_000, ..HttpConfig::default() };
        Self::at(serve::listen(&config).await.unwrap(), log, Settings::default(), INSTANCE_TOKEN)
    }

    fn at(listener: HttpListener, log: Arc<dyn EventLog>, settings: Settings, secret: &str) -> Self {
        let drain = listener.drain();
        let url = listener.url().unwrap();
        let shutdown = Shutdown::new();
        let options = Options {
            settings,
            url: url.clone(),
            probe: Arc::new(TrustEverything),
            instance_token: InstanceToken::new(secret),
            ..Options::default()
        };
        let app = App::with_options(log, options, shutdown.clone());
        let router = app.router.clone();
        tokio::spawn(async move { serve::serve(router, listener, &shutdown, Duration::from_secs(5)).await });
        Self { app, url, drain }
    }
}

impl Pair {
    pub async fn start(log: Arc<dyn EventLog>) -> Self {
        let settings = Settings { lease_check_interval: Duration::from_millis(10), ..Settings::default() };
        Self::with(log, settings).await
    }

    pub async fn with(log: Arc<dyn EventLog>, settings: Settings) -> Self {
        let log = SharedLog::over(log);
        let one = Instance::start(Arc::new(log.clone()), settings.clone()).await;
        let two = Instance::start(Arc::new(log.clone()), settings).await;
        let board = log.board;
        for instance in [&one, &two] {
            board.wait_for(&instance.url).await;
        }
        Self { one, two, board }
    }

    /// The first instance owns partition 0, the second every other.
    pub async fn divided(log: Arc<dyn EventLog>) -> Self {
        let pair = Self::start(log).await;
        pair.board.give(0, &pair.one.url).await;
        for partition in 1..pair.one.log.partition_count() {
            pair.board.give(partition, &pair.two.url).await;
        }
        pair
    }

    pub fn each(&self) -> [&Instance; 2] {
        [&self.one, &self.two]
    }
}

impl App {
    /// A project of Ada's in that partition.
    pub async fn project_in(&self, partition: u32) -> ProjectId {
        let count = self.log.partition_count();
        let ids = std::iter::repeat_with(|| ProjectId(Uuid::now_v7()));
        let id = ids.into_iter().find(|id| partition_of(&id.to_string(), count) == partition).unwrap();
        let settings = json!({ "max_concurrent_runs": 1000, "max_iterations": 3 });
        let body = json!({ "project_id": id, "name": "Demo", "repository_path": "/repo", "settings": settings });
        self.send(ADA, Method::POST, "/api/projects", None, Some(&body.to_string())).await.ok();
        id
    }
}
