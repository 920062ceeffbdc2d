//! A TCP proxy on the loopback address that can hold everything up, as a frozen process or a dead network does.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A running proxy; connections end with it.
pub struct Proxy {
    pub port: u16,
    /// Connections with a number below this are held up.
    holding: Arc<watch::Sender<u64>>,
    accepted: Arc<AtomicU64>,
    upstream: Arc<watch::Sender<Option<u16>>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// To a port of the loopback address that may be told later: until then connections wait.
    pub async fn start(upstream: Option<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (holding, upstream) = (Arc::new(watch::Sender::new(0)), Arc::new(watch::Sender::new(upstream)));
        let accepted = Arc::new(AtomicU64::new(0));
        let accepting =
            tokio::spawn(accept(listener, Arc::clone(&holding), Arc::clone(&accepted), Arc::clone(&upstream)));
        Self { port, holding, accepted, upstream, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub fn lead_to(&self, upstream: u16) {
        self.upstream.send_replace(Some(upstream));
    }

    /// From now on nothing passes, and nothing is closed: no side can tell that the other is out of reach.
    pub fn hold(&self) {
        self.holding.send_replace(u64::MAX);
    }

    /// As [`Proxy::hold`], for the connections there are. New ones work.
    pub fn hold_those_there(&self) {
        self.holding.send_replace(self.accepted.load(Ordering::SeqCst));
    }

    /// What was held up passes, and what comes after.
    pub fn release(&self) {
        self.holding.send_replace(0);
    }
}

async fn accept(
    listener: TcpListener,
    holding: Arc<watch::Sender<u64>>,
    accepted: Arc<AtomicU64>,
    upstream: Arc<watch::Sender<Option<u16>>>,
) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let number = accepted.fetch_add(1, Ordering::SeqCst);
        let (holding, mut upstream) = (holding.subscribe(), upstream.subscribe());
        connections.spawn(async move {
            let Some(port) = upstream.wait_for(Option::is_some).await.ok().and_then(|port| *port) else { return };
            // A server that is gone, or a side that hangs up, ends the connection.
            drop(connect(client, port, (number, holding)).await);
        });
    }
}

async fn connect(client: TcpStream, port: u16, holding: (u64, watch::Receiver<u64>)) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        ended = pass(from_client, to_server, holding.clone()) => ended,
        ended = pass(from_server, to_client, holding) => ended,
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    (number, mut holding): (u64, watch::Receiver<u64>),
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if holding.wait_for(|below| number >= *below).await.is_err() || read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
