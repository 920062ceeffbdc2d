//! Listening and serving until the stop. It must never choose another port than the one asked for.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::task::TaskTracker;

use crate::config::HttpConfig;
use crate::open_files;
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
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// Where a service listens: TCP without Nagle's delay, which would hold back small events, and TLS where configured.
#[derive(Debug)]
pub struct HttpListener {
    tcp: TcpListener,
    handshakes: Option<Handshakes>,
    header_timeout: Duration,
    places: Arc<Semaphore>,
}

/// Listens as the configuration says. Port 0 takes a free one: ask [`HttpListener::local_addr`] which.
pub async fn listen(config: &HttpConfig) -> Result<HttpListener, Error> {
    let handshakes = Handshakes::from_config(&config.tls)?;
    let tcp = bind_tcp(&config.host, config.port).await?;
    let header_timeout = Duration::from_millis(config.header_timeout_ms);
    let places = open_files::room_for(config.max_connections).clamp(1, Semaphore::MAX_PERMITS);
    Ok(HttpListener { tcp, handshakes, header_timeout, places: Arc::new(Semaphore::new(places)) })
}

/// Listens on TCP without TLS, and as by default. Port 0 takes a free one.
pub async fn bind(host: &str, port: u16) -> Result<HttpListener, Error> {
    listen(&HttpConfig { host: host.to_owned(), port, ..HttpConfig::default() }).await
}

async fn bind_tcp(host: &str, port: u16) -> Result<TcpListener, Error> {
    TcpListener::bind((host, port)).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { host: host.to_owned(), port },
        _ => Error::Bind { host: host.to_owned(), port, source },
    })
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

    async fn accept(&mut self) -> (Either<TcpStream, TlsStream<TcpStream>>, SocketAddr) {
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
}

/// Accepts for as long as it takes: errors of a single connection are passed over by axum's implementation.
async fn accept_without_delay(tcp: &mut TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, peer) = axum::serve::Listener::accept(tcp).await;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "a connection keeps Nagle's delay");
    }
    (stream, peer)
}

/// Serves until the stop starts, then takes no new connection and lets open ones finish for at most `grace`.
pub async fn serve(
    router: Router,
    mut listener: HttpListener,
    shutdown: &Shutdown,
    grace: Duration,
) -> Result<(), Error> {
    let connections = TaskTracker::new();
    let http = http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(listener.header_timeout).clone();
    loop {
        let (place, (stream, peer)) = tokio::select! {
            accepted = async { (place(&listener.places).await, listener.accept().await) } => accepted,
            () = shutdown.triggered() => break,
        };
        let answered = connection(http.clone(), stream, peer, router.clone(), shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            answered.await;
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(grace_ms, "connections are still open after the grace period; leaving them");
    }
    Ok(())
}

/// Waits for a place for one more connection. Without a bound, whoever opens many would leave this process no file to reach
/// its own servers with.
async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    tracing::warn!("as many connections are open as may be (`http.max_connections`); others wait");
    Arc::clone(places).acquire_owned().await.ok()
}

/// Answers the requests of one connection, at the stop those that have begun.
async fn connection<I>(http: http1::Builder, stream: I, peer: SocketAddr, router: Router, shutdown: Shutdown)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(router);
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = shutdown.triggered() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}
