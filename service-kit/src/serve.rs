//! Listening and serving until the stop. It must never choose another port than the one asked for.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::FutureExt;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::HttpConfig;
use crate::drain::Drain;
use crate::open_files;
use crate::placed::Placed;
use crate::shutdown::Shutdown;
use crate::tcp::Tcp;
use crate::tls::{self, Handshakes};

/// Most bytes a connection holds of what it received and nobody has read, and so of the head of a request. What comes in
/// faster than it is read would otherwise fill six times as much for each connection.
const BUFFER_MAX_BYTES: usize = 64 * 1024;

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

/// Where a service listens: TCP, and TLS where configured.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    tcp: Tcp,
    handshakes: Option<Handshakes>,
    header_timeout: Duration,
    places: Arc<Semaphore>,
    drain: Drain,
}

/// Listens as the configuration says. Port 0 takes a free one: ask [`HttpListener::local_addr`] which.
pub async fn listen(config: &HttpConfig) -> Result<HttpListener, Error> {
    let handshakes = Handshakes::from_config(&config.tls)?;
    let listener = bind_tcp(&config.host, config.port).await?;
    let tcp = Tcp::new(config.tcp_user_timeout_ms);
    let header_timeout = Duration::from_millis(config.header_timeout_ms);
    let places = open_files::room_for(config.max_connections).clamp(1, Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(places));
    let drain = Drain::new(Duration::from_millis(config.drain_ms));
    Ok(HttpListener { listener, tcp, handshakes, header_timeout, places, drain })
}

/// Listens on TCP without TLS, ends without a drain, and is otherwise as by default. Port 0 takes a free one.
pub async fn bind(host: &str, port: u16) -> Result<HttpListener, Error> {
    listen(&HttpConfig { host: host.to_owned(), port, drain_ms: 0, ..HttpConfig::default() }).await
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
        self.listener.local_addr()
    }

    /// The address as a URL, as in `http://127.0.0.1:4400`.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.handshakes.is_some() { "https" } else { "http" };
        Ok(format!("{scheme}://{}", self.local_addr()?))
    }

    /// The time between the stop and the end: for who has to hand something over before it passes.
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    async fn accept(&mut self) -> (Either<TcpStream, TlsStream<TcpStream>>, SocketAddr) {
        loop {
            let Some(handshakes) = &mut self.handshakes else {
                let (stream, peer) = accept_tcp(&mut self.listener, self.tcp).await;
                return (Either::Left(stream), peer);
            };
            tokio::select! {
                (stream, peer) = accept_tcp(&mut self.listener, self.tcp) => handshakes.begin(stream, peer),
                (stream, peer) = handshakes.next() => return (Either::Right(stream), peer),
            }
        }
    }
}

/// Accepts for as long as it takes: errors of a single connection are passed over by axum's implementation.
async fn accept_tcp(listener: &mut TcpListener, tcp: Tcp) -> (TcpStream, SocketAddr) {
    let (stream, peer) = axum::serve::Listener::accept(listener).await;
    tcp.prepare(&stream, peer);
    (stream, peer)
}

/// Serves until the stop starts and the drain that follows it is over; then takes no new connection, closes idle ones and
/// lets the others finish for at most `grace`, upgraded ones too: who serves those ends them when the stop starts.
pub async fn serve(
    router: Router,
    mut listener: HttpListener,
    shutdown: &Shutdown,
    grace: Duration,
) -> Result<(), Error> {
    let connections = TaskTracker::new();
    let (closing, drain) = (CancellationToken::new(), listener.drain());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(listener.header_timeout).max_buf_size(BUFFER_MAX_BYTES);
    let answer = |place: Option<OwnedSemaphorePermit>, (stream, peer)| {
        let stream = Placed::new(stream, place, connections.token());
        tokio::spawn(connection(http.clone(), stream, peer, router.clone(), drain.clone(), closing.clone()));
    };
    let mut end = pin!(async {
        shutdown.triggered().await;
        drain.run().await;
    });
    loop {
        tokio::select! {
            (place, accepted) = async { (place(&listener.places).await, listener.accept().await) } => answer(place, accepted),
            () = &mut end => break,
        }
    }
    // The system has accepted these already; without an answer they would be reset.
    while let Ok(place) = Arc::clone(&listener.places).try_acquire_owned()
        && let Some(accepted) = listener.accept().now_or_never()
    {
        answer(Some(place), accepted);
    }
    drop(listener);
    closing.cancel();
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

/// Answers the requests of one connection, from `closing` on only those that have begun.
async fn connection<I>(
    http: http1::Builder,
    stream: I,
    peer: SocketAddr,
    router: Router,
    drain: Drain,
    closing: CancellationToken,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        let (answering, drain) = (router.call(request), drain.clone());
        async move {
            let mut answer = answering.await?;
            drain.mark(&mut answer);
            Ok::<_, Infallible>(answer)
        }
    });
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let outcome = tokio::select! {
        outcome = serving.as_mut() => outcome,
        () = closing.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}
