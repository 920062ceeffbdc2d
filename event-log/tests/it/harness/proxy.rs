//! A TCP proxy on the loopback address that can hold everything up, as a frozen process or a dead network does.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A running proxy; connections end with it.
pub struct Proxy {
    pub port: u16,
    holding: Arc<watch::Sender<bool>>,
    upstream: Arc<watch::Sender<Option<u16>>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// To a port of the loopback address that may be told later: until then connections wait.
    pub async fn start(upstream: Option<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (holding, upstream) = (Arc::new(watch::Sender::new(false)), Arc::new(watch::Sender::new(upstream)));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&holding), Arc::clone(&upstream)));
        Self { port, holding, upstream, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub fn lead_to(&self, upstream: u16) {
        self.upstream.send_replace(Some(upstream));
    }

    /// From now on nothing passes, and nothing is closed: no side can tell that the other is out of reach.
    pub fn hold(&self) {
        self.holding.send_replace(true);
    }

    /// What was held up passes, and what comes after.
    pub fn release(&self) {
        self.holding.send_replace(false);
    }
}

async fn accept(listener: TcpListener, holding: Arc<watch::Sender<bool>>, upstream: Arc<watch::Sender<Option<u16>>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (holding, mut upstream) = (holding.subscribe(), upstream.subscribe());
        connections.spawn(async move {
            let Some(port) = upstream.wait_for(Option::is_some).await.ok().and_then(|port| *port) else { return };
            // A server that is gone, or a side that hangs up, ends the connection.
            drop(connect(client, port, holding).await);
        });
    }
}

async fn connect(client: TcpStream, port: u16, holding: watch::Receiver<bool>) -> io::Result<()> {
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
    mut holding: watch::Receiver<bool>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if holding.wait_for(|holding| !holding).await.is_err() || read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
