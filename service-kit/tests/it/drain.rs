//! The time before the end of a server, over real sockets: requests are answered, and callers told to go.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use muster_service_kit::config::HttpConfig;
use muster_service_kit::serve::{self, serve};
use muster_service_kit::{Drain, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

const DEADLINE: Duration = Duration::from_secs(30);
const CLIENTS: usize = 24;

struct Server {
    address: SocketAddr,
    drain: Drain,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

impl Server {
    /// One whose drain only [`Drain::end`] ends.
    async fn start() -> Self {
        let config = HttpConfig { port: 0, drain_ms: 3_600_000, ..HttpConfig::default() };
        let listener = serve::listen(&config).await.unwrap();
        let (address, drain, shutdown) = (listener.local_addr().unwrap(), listener.drain(), Shutdown::new());
        let router = Router::new().route("/", get(|| async { "hello" }));
        let stop = shutdown.clone();
        let serving = tokio::spawn(async move { serve(router, listener, &stop, DEADLINE).await.unwrap() });
        Self { address, drain, shutdown, serving }
    }

    async fn ends(self) {
        self.drain.end();
        tokio::time::timeout(DEADLINE, self.serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(self.address).await.is_err(), "nothing listens any more");
    }
}

/// Sends one request and reads the whole answer. Whether the connection stays.
async fn ask(stream: &mut TcpStream) -> std::io::Result<bool> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nhello") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(!answer.contains("connection: close"))
}

#[tokio::test]
async fn from_the_stop_on_connections_old_and_new_are_answered_and_closed() {
    let server = Server::start().await;
    let mut old = TcpStream::connect(server.address).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    assert!(ask(&mut old).await.unwrap() && ask(&mut idle).await.unwrap());
    server.shutdown.trigger();
    server.drain.begin();
    let mut new = TcpStream::connect(server.address).await.unwrap();
    for stream in [&mut old, &mut new] {
        assert!(!ask(stream).await.unwrap(), "it may stay");
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }
    server.ends().await;
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_whose_client_keeps_its_connection_and_leaves_when_told() {
    let server = Server::start().await;
    let (answered, mut seen) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (address, answered) = (server.address, answered.clone());
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            while ask(&mut stream).await? {
                answered.send(()).unwrap();
            }
            std::io::Result::Ok(())
        });
    }
    for _ in 0..10 * CLIENTS {
        tokio::time::timeout(DEADLINE, seen.recv()).await.unwrap().unwrap();
    }
    server.shutdown.trigger();
    while let Some(left) = tokio::time::timeout(DEADLINE, clients.join_next()).await.unwrap() {
        left.unwrap().expect("a request failed");
    }
    server.ends().await;
}
