//! A TCP proxy on the loopback address that can hold everything up, as a frozen process or a dead network does.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Kafka's name for a request: a member asks to be let into its group.
pub const JOIN_GROUP: i16 = 11;
/// A producer asks for a number of its own.
pub const INIT_PRODUCER_ID: i16 = 22;

/// What does not pass.
#[derive(Clone, Default)]
struct Holding {
    /// Connections with a number below this are held up.
    below: u64,
    /// From such a request of Kafka's on, a connection hangs for ever.
    requests: &'static [i16],
}

/// A running proxy; connections end with it.
pub struct Proxy {
    pub port: u16,
    holding: Arc<watch::Sender<Holding>>,
    accepted: Arc<AtomicU64>,
    upstream: Arc<watch::Sender<Option<u16>>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// To a port of the loopback address that may be told later: until then connections wait.
    pub async fn start(upstream: Option<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (holding, upstream) = (Arc::<watch::Sender<Holding>>::default(), Arc::new(watch::Sender::new(upstream)));
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
        self.hold_below(u64::MAX);
    }

    /// As [`Proxy::hold`], for the connections there are. New ones work.
    pub fn hold_those_there(&self) {
        self.hold_below(self.accepted.load(Ordering::SeqCst));
    }

    /// What was held up passes, and what comes after.
    pub fn release(&self) {
        self.hold_below(0);
    }

    fn hold_below(&self, below: u64) {
        self.holding.send_modify(|holding| holding.below = below);
    }

    /// From now on, and until it is told otherwise, a connection hangs for ever once its client makes such a request.
    pub fn hang_on(&self, requests: &'static [i16]) {
        self.holding.send_modify(|holding| holding.requests = requests);
    }
}

/// What a client of Kafka's asks for, from its bytes as they come: each request begins with its length and its kind.
#[derive(Default)]
struct Requests {
    beginning: Vec<u8>,
    left: usize,
}

impl Requests {
    /// The kinds of the requests that begin in `bytes`.
    fn kinds(&mut self, mut bytes: &[u8]) -> Vec<i16> {
        let mut kinds = Vec::new();
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.beginning.push(bytes[0]);
            bytes = &bytes[1..];
            if let [a, b, c, d, kind @ ..] = &self.beginning[..]
                && let Ok(kind) = <[u8; 2]>::try_from(kind)
            {
                kinds.push(i16::from_be_bytes(kind));
                self.left = (u32::from_be_bytes([*a, *b, *c, *d]) as usize).saturating_sub(kind.len());
                self.beginning.clear();
            }
        }
        kinds
    }
}

async fn accept(
    listener: TcpListener,
    holding: Arc<watch::Sender<Holding>>,
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

async fn connect(client: TcpStream, port: u16, holding: (u64, watch::Receiver<Holding>)) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        ended = pass(from_client, to_server, holding.clone(), Some(Requests::default())) => ended,
        ended = pass(from_server, to_client, holding, None) => ended,
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    (number, mut holding): (u64, watch::Receiver<Holding>),
    mut requests: Option<Requests>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if holding.wait_for(|holding| number >= holding.below).await.is_err() || read == 0 {
            return Ok(());
        }
        let kinds = requests.as_mut().map(|requests| requests.kinds(&buffer[..read])).unwrap_or_default();
        if kinds.iter().any(|kind| holding.borrow().requests.contains(kind)) {
            return std::future::pending().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
