//! HTTP over TLS with a certificate made for tests (valid for localhost, trusted by nobody else).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use muster_service_kit::config::{HttpConfig, TlsConfig};
use muster_service_kit::serve::{self, HttpListener, listen, serve};
use muster_service_kit::{Shutdown, tls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const DEADLINE: Duration = Duration::from_secs(10);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures").join(name)
}

async fn listen_with(cert: &str, key: &str) -> Result<HttpListener, serve::Error> {
    let tls = TlsConfig { cert_file: Some(fixture(cert)), key_file: Some(fixture(key)) };
    listen(&HttpConfig { port: 0, tls, ..HttpConfig::default() }).await
}

fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("localhost.cert.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn requests_are_answered_over_tls_while_another_client_never_shakes_hands() {
    let listener = listen_with("localhost.cert.pem", "localhost.key.pem").await.unwrap();
    assert!(listener.url().unwrap().starts_with("https://127.0.0.1:"));
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let server = tokio::spawn(async move { serve(router, listener, &stop, DEADLINE).await });

    let silent = TcpStream::connect(address).await.unwrap();
    let exchange = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = connector().connect(name, stream).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(DEADLINE, exchange).await.unwrap();

    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    shutdown.trigger();
    tokio::time::timeout(DEADLINE, server).await.unwrap().unwrap().unwrap();
    drop(silent);
}

#[tokio::test]
async fn plain_text_gets_no_answer_from_a_tls_port() {
    let listener = listen_with("localhost.cert.pem", "localhost.key.pem").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let router = Router::new().route("/", get(|| async { "hello" }));
    let server = tokio::spawn(async move { serve(router, listener, &stop, DEADLINE).await });

    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The server closes, with a TLS alert or without; a reset is as good.
    let _closed = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();

    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    shutdown.trigger();
    tokio::time::timeout(DEADLINE, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let absent = listen_with("absent.pem", "localhost.key.pem").await.unwrap_err();
    let swapped = listen_with("localhost.key.pem", "localhost.key.pem").await.unwrap_err();
    let no_key = listen_with("localhost.cert.pem", "localhost.cert.pem").await.unwrap_err();

    assert!(absent.to_string().contains("absent.pem"), "{absent}");
    assert!(matches!(swapped, serve::Error::Tls(tls::Error::NoCertificate { .. })), "{swapped}");
    assert!(matches!(no_key, serve::Error::Tls(tls::Error::Pem { what: "the private key", .. })), "{no_key}");
}
