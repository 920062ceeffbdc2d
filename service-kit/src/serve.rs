//! Listening and serving until the stop. It must never choose another port than the one asked for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use crate::shutdown::Shutdown;

/// Why a service cannot listen or had to stop serving.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process listens there. Stop it, or set another `http.port`.
    #[error("port {port} on {host} is in use by another process; stop it or choose another port (MUSTER_HTTP__PORT)")]
    PortInUse { host: String, port: u16 },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {host}:{port}: {source}")]
    Bind { host: String, port: u16, source: io::Error },
    /// The listener failed while serving.
    #[error("serving HTTP failed: {0}")]
    Serve(#[from] io::Error),
}

/// Listens on TCP. Port 0 takes a free one: ask the listener which.
pub async fn bind(host: &str, port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((host, port)).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { host: host.to_owned(), port },
        _ => Error::Bind { host: host.to_owned(), port, source },
    })
}

/// Serves until the stop starts, then takes no new connection and lets open ones finish for at most `grace`.
/// Handlers see the peer's address as `ConnectInfo<SocketAddr>`.
pub async fn serve(router: Router, listener: TcpListener, shutdown: &Shutdown, grace: Duration) -> Result<(), Error> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(shutdown.token().cancelled_owned());
    let past_grace = async {
        shutdown.triggered().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        served = async { server.await } => Ok(served?),
        () = past_grace => {
            tracing::warn!(grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX), "connections still open were closed");
            Ok(())
        }
    }
}
