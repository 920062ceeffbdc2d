//! Connections that were upgraded, over real sockets: they count like all others until they are closed.

use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderName, StatusCode};
use hyper_util::rt::TokioIo;
use muster_service_kit::Shutdown;
use muster_service_kit::config::HttpConfig;
use muster_service_kit::serve::{self, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

const DEADLINE: Duration = Duration::from_secs(30);
/// How long what must not happen is given to happen.
const SHORTLY: Duration = Duration::from_millis(300);

/// Upgrades to a protocol that sends back what it gets.
async fn upgrade(request: Request) -> (StatusCode, [(HeaderName, &'static str); 2]) {
    tokio::spawn(async move {
        let upgraded = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
        let (mut from, mut to) = tokio::io::split(upgraded);
        // However the client leaves, it is gone.
        let _gone = tokio::io::copy(&mut from, &mut to).await;
    });
    (StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, "echo")])
}

/// A server with one place, which waits for it at its end for as long as it takes, and a connection that was upgraded.
async fn upgraded() -> (Shutdown, JoinHandle<()>, TcpStream) {
    let config = HttpConfig { port: 0, max_connections: 1, drain_ms: 0, ..HttpConfig::default() };
    let listener = serve::listen(&config).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "hello" })).route("/echo", get(upgrade));
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let serving = tokio::spawn(async move { serve(router, listener, &stop, Duration::from_hours(1)).await.unwrap() });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let asked = "GET /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let answer = ask(&mut stream, asked, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    (shutdown, serving, stream)
}

/// Sends, and reads what comes back until it ends so.
async fn ask(stream: &mut TcpStream, asked: &str, end: &str) -> String {
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "hung up");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place_until_it_is_closed() {
    let (shutdown, serving, mut first) = upgraded().await;
    let mut second = TcpStream::connect(first.peer_addr().unwrap()).await.unwrap();
    let mut asking = Box::pin(ask(&mut second, "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "hello"));
    assert!(tokio::time::timeout(SHORTLY, &mut asking).await.is_err(), "a second is answered");
    assert_eq!(ask(&mut first, "ping", "ping").await, "ping");
    drop(first);
    tokio::time::timeout(DEADLINE, asking).await.expect("it has a place now");
    shutdown.trigger();
    tokio::time::timeout(DEADLINE, serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_waits_for_an_upgraded_connection() {
    let (shutdown, mut serving, mut stream) = upgraded().await;
    shutdown.trigger();
    assert!(tokio::time::timeout(SHORTLY, &mut serving).await.is_err(), "it ended before the connection");
    assert_eq!(ask(&mut stream, "ping", "ping").await, "ping");
    drop(stream);
    tokio::time::timeout(DEADLINE, serving).await.unwrap().unwrap();
}
