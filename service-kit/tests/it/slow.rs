//! Clients that send one byte and then think: they are cut off, and nobody waits for them.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use muster_service_kit::config::HttpConfig;
use muster_service_kit::serve::{listen, serve};
use muster_service_kit::{Config, ProblemJson, Shutdown, limits};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(20);

/// A server with these limits, its stop, and a connection to it.
async fn connect(http: HttpConfig) -> (Shutdown, TcpStream) {
    let config = Config { http: HttpConfig { port: 0, ..http }, ..Config::default() };
    let listener = listen(&config.http).await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo = |ProblemJson(body): ProblemJson<Value>| async move { body.to_string() };
    let router = limits::standard_layers(Router::new().route("/", post(echo)), &config);
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    tokio::spawn(async move { serve(router, listener, &stop, Duration::from_secs(1)).await });
    (shutdown, TcpStream::connect(address).await.unwrap())
}

/// Asks once, and keeps the connection. The status.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /none HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

#[tokio::test]
async fn whoever_comes_when_all_connections_are_taken_waits_for_one_to_end() {
    let (shutdown, mut first) = connect(HttpConfig { max_connections: 2, ..HttpConfig::default() }).await;
    let address = first.peer_addr().unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    for stream in [&mut first, &mut second] {
        assert_eq!(ask(stream).await, "HTTP/1.1 404");
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    let mut asking = Box::pin(ask(&mut third));
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut asking).await.is_err(), "a third is answered");
    drop(second);
    assert_eq!(tokio::time::timeout(DEADLINE, asking).await.expect("it has a place now"), "HTTP/1.1 404");
    shutdown.trigger();
}

#[tokio::test]
async fn a_client_that_stops_reading_gives_its_place_back() {
    let config = HttpConfig { port: 0, max_connections: 1, tcp_user_timeout_ms: 500, ..HttpConfig::default() };
    let listener = listen(&config).await.unwrap();
    let address = listener.local_addr().unwrap();
    let piece = || Ok::<_, Infallible>(vec![b'x'; 64 * 1024]);
    let endless = move || async move { Body::from_stream(futures::stream::repeat_with(piece)) };
    let (router, shutdown) = (Router::new().route("/", get(endless)), Shutdown::new());
    let stop = shutdown.clone();
    tokio::spawn(async move { serve(router, listener, &stop, Duration::from_secs(1)).await });

    let mut reads_no_more = TcpStream::connect(address).await.unwrap();
    reads_no_more.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    reads_no_more.read_exact(&mut [0; 12]).await.unwrap();

    let mut waits = TcpStream::connect(address).await.unwrap();
    let asked = tokio::time::timeout(DEADLINE, ask(&mut waits)).await;
    assert_eq!(asked.expect("the place is taken for ever"), "HTTP/1.1 404");
    shutdown.trigger();
    drop(reads_no_more);
}

/// Sends `begin`, then `drip` again and again until the server hangs up. What it had said by then.
async fn drip(stream: TcpStream, begin: &str, drip: &'static str) -> String {
    let (mut from, mut to) = stream.into_split();
    to.write_all(begin.as_bytes()).await.unwrap();
    let dripping = tokio::spawn(async move {
        while to.write_all(drip.as_bytes()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    let _ = tokio::time::timeout(DEADLINE, from.read_to_end(&mut answer)).await.expect("the server hangs up");
    dripping.abort();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_body_that_drips_is_refused_and_the_connection_closed() {
    let http = HttpConfig { body_timeout_ms: 200, ..HttpConfig::default() };
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";

    let (declared, stream) = connect(http.clone()).await;
    let answer = drip(stream, &format!("{head}content-length: 100000\r\n\r\n["), " ").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"body_timeout\"") && answer.contains("\"timeout_ms\":200"), "{answer}");

    let (chunked, stream) = connect(http).await;
    let answer = drip(stream, &format!("{head}transfer-encoding: chunked\r\n\r\n"), "1\r\n \r\n").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    declared.trigger();
    chunked.trigger();
}

#[tokio::test]
async fn headers_that_drip_end_the_connection() {
    let (shutdown, stream) = connect(HttpConfig { header_timeout_ms: 200, ..HttpConfig::default() }).await;

    let answer = drip(stream, "POST / HTTP/1.1\r\nhost: x\r\nx: ", "y").await;

    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    shutdown.trigger();
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_though_it_never_ends() {
    let (shutdown, stream) = connect(HttpConfig { max_body_bytes: 100, ..HttpConfig::default() }).await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

    let answer = drip(stream, head, "20\r\n                                \r\n").await;

    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("\"limit_bytes\":100"), "{answer}");
    shutdown.trigger();
}
