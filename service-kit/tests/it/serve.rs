//! Real sockets: ports in use, answers, stops.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use muster_service_kit::Shutdown;
use muster_service_kit::serve::{Error, bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_port_in_use_is_named() {
    let holder = bind("127.0.0.1", 0).await.unwrap();
    let port = holder.local_addr().unwrap().port();

    let error = bind("127.0.0.1", port).await.unwrap_err();

    assert!(matches!(error, Error::PortInUse { port: named, .. } if named == port), "{error}");
    assert!(error.to_string().contains(&port.to_string()));
}

#[tokio::test]
async fn an_address_of_another_machine_is_a_bind_error() {
    let error = bind("192.0.2.1", 0).await.unwrap_err();

    assert!(matches!(error, Error::Bind { .. }), "{error}");
}

#[tokio::test]
async fn serving_answers_and_ends_with_the_stop() {
    let shutdown = Shutdown::new();
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let stop = shutdown.clone();
    let server = tokio::spawn(async move { serve(router, listener, &stop, DEADLINE).await });

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");

    shutdown.trigger();
    tokio::time::timeout(DEADLINE, server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn a_stream_that_does_not_end_does_not_hold_up_the_stop() {
    let shutdown = Shutdown::new();
    let listener = bind("127.0.0.1", 0).await.unwrap();
    let address = listener.local_addr().unwrap();
    let endless = || async { Body::from_stream(futures::stream::pending::<Result<String, std::io::Error>>()) };
    let router = Router::new().route("/", get(endless));
    let stop = shutdown.clone();
    let server = tokio::spawn(async move { serve(router, listener, &stop, Duration::from_millis(50)).await });

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");

    shutdown.trigger();
    tokio::time::timeout(DEADLINE, server).await.unwrap().unwrap().unwrap();
}
