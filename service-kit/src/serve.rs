//! Listening and serving until the stop. It must never choose another port than the one asked for.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
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
pub async fn serve<L>(router: Router, listener: L, shutdown: &Shutdown, grace: Duration) -> Result<(), Error>
where
    L: Listener,
    L::Addr: Debug,
{
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.token().cancelled_owned());
    let past_grace = async {
        shutdown.triggered().await;
        tokio::time::sleep(grace).await;
    };
    tokio::select! {
        outcome = async { serving.await } => Ok(outcome?),
        () = past_grace => {
            let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(grace_ms, "connections are still open after the grace period; leaving them");
            Ok(())
        }
    }
}
