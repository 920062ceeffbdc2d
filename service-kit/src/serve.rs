//! Listening and serving until the stop. It must never choose another port than the one asked for.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::config::HttpConfig;
use crate::shutdown::Shutdown;
use crate::tls::{self, Handshakes};

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
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// Where a service listens: TCP without Nagle's delay, which would hold back small events, and TLS where configured.
#[derive(Debug)]
pub struct HttpListener {
    tcp: TcpListener,
    handshakes: Option<Handshakes>,
}

/// Listens as the configuration says. Port 0 takes a free one: ask [`HttpListener::local_addr`] which.
pub async fn listen(config: &HttpConfig) -> Result<HttpListener, Error> {
    let handshakes = Handshakes::from_config(&config.tls)?;
    let listener = bind(&config.host, config.port).await?;
    Ok(HttpListener { handshakes, ..listener })
}

/// Listens on TCP without TLS. Port 0 takes a free one.
pub async fn bind(host: &str, port: u16) -> Result<HttpListener, Error> {
    let tcp = TcpListener::bind((host, port)).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { host: host.to_owned(), port },
        _ => Error::Bind { host: host.to_owned(), port, source },
    })?;
    Ok(HttpListener { tcp, handshakes: None })
}

impl HttpListener {
    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// The address as a URL, as in `http://127.0.0.1:4400`.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.handshakes.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.local_addr()?))
    }
}

impl Listener for HttpListener {
    type Io = Either<TcpStream, TlsStream<TcpStream>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Some(handshakes) = &mut self.handshakes else {
                let (stream, peer) = accept_without_delay(&mut self.tcp).await;
                return (Either::Left(stream), peer);
            };
            tokio::select! {
                (stream, peer) = accept_without_delay(&mut self.tcp) => handshakes.begin(stream, peer),
                (stream, peer) = handshakes.next() => return (Either::Right(stream), peer),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Accepts for as long as it takes: errors of a single connection are passed over by axum's implementation.
async fn accept_without_delay(tcp: &mut TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, peer) = Listener::accept(tcp).await;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection keeps Nagle's delay");
    }
    (stream, peer)
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
