//! Bodies that are too large or too slow, over real connections: refused by name, and the next request goes on.

use std::sync::Arc;
use std::time::Duration;

use muster_command_service::{CommandService, Options, TrustEverything, http as rest};
use muster_event_log::EventLog;
use muster_event_log::memory::MemoryLog;
use muster_service_kit::{Authenticator, Config, Principal, Shutdown, limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::PATIENCE;

const MAX_BYTES: usize = 2_000;
/// What every request begins with.
const HEAD: &str = "host: x\r\nauthorization: Bearer secret\r\ncontent-type: application/json\r\n";
/// Every way in that reads a body.
const PATHS: [&str; 4] = ["/api/commands", "/api/commands/batch", "/api/projects", "/api/claims"];

/// A service behind a port of its own. Ada's token is `secret`.
pub struct Server {
    pub address: std::net::SocketAddr,
    pub log: Arc<dyn EventLog>,
    pub shutdown: Shutdown,
}

impl Server {
    /// With bodies of at most so many bytes, which may be slow.
    pub async fn taking(max_body_bytes: usize) -> Self {
        Self::with(max_body_bytes, PATIENCE).await
    }

    async fn with(max_body_bytes: usize, body_timeout: Duration) -> Self {
        let shutdown = Shutdown::new();
        let options = Options { probe: Arc::new(TrustEverything), ..Options::default() };
        let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(3));
        let service = CommandService::start(Arc::clone(&log), options, &shutdown);
        let ada = Principal { user: "ada".to_owned(), admin: false };
        let authenticator = Authenticator::new([("secret".to_owned(), ada)]).unwrap();
        let mut config = Config::default();
        config.http.port = 0;
        config.http.max_body_bytes = max_body_bytes;
        config.http.body_timeout_ms = u64::try_from(body_timeout.as_millis()).unwrap();
        let router = limits::standard_layers(rest::router(service, authenticator), &config);
        let listener = serve::listen(&config.http).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = shutdown.clone();
        tokio::spawn(async move { serve::serve(router, listener, &stop, PATIENCE).await });
        Self { address, log, shutdown }
    }

    /// Sends `begin`, then `more` again and again until the server hangs up. What it had said by then.
    async fn talk(&self, begin: &str, more: &str) -> String {
        let (mut from, mut to) = TcpStream::connect(self.address).await.unwrap().into_split();
        to.write_all(begin.as_bytes()).await.unwrap();
        let more = more.to_owned();
        let talking = tokio::spawn(async move {
            while to.write_all(more.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut answer = Vec::new();
        // A reset after the answer is an end as well.
        let _ = tokio::time::timeout(PATIENCE, from.read_to_end(&mut answer)).await.expect("the server hangs up");
        talking.abort();
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_declared_or_not() {
    let server = Server::taking(MAX_BYTES).await;
    let limit = format!("\"limit_bytes\":{MAX_BYTES}");
    for path in PATHS {
        let declared = format!("POST {path} HTTP/1.1\r\n{HEAD}content-length: {}\r\n\r\n", MAX_BYTES + 1);
        let chunked = format!("POST {path} HTTP/1.1\r\n{HEAD}transfer-encoding: chunked\r\n\r\n");
        let chunk = format!("100\r\n{}\r\n", " ".repeat(0x100));
        for (begin, more) in [(declared, "[".to_owned()), (chunked, chunk)] {
            let answer = server.talk(&begin, &more).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
            assert!(answer.contains("\"body_too_large\"") && answer.contains(&limit), "{path}: {answer}");
        }
    }
    server.shutdown.trigger();
}

#[tokio::test]
async fn a_body_that_drips_is_cut_off() {
    let server = Server::with(MAX_BYTES, Duration::from_millis(200)).await;
    for path in PATHS {
        let declared = format!("POST {path} HTTP/1.1\r\n{HEAD}content-length: 1500\r\n\r\n[");
        let chunked = format!("POST {path} HTTP/1.1\r\n{HEAD}transfer-encoding: chunked\r\n\r\n");
        for (begin, more) in [(declared, " "), (chunked, "1\r\n \r\n")] {
            let answer = server.talk(&begin, more).await;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{path}: {answer}");
            assert!(answer.contains("\"body_timeout\"") && answer.contains("\"timeout_ms\":200"), "{path}: {answer}");
        }
    }
    server.shutdown.trigger();
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_read() {
    let server = Server::with(MAX_BYTES, Duration::from_millis(200)).await;
    let begin =
        "POST /api/commands HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1500\r\n\r\n[";
    let answer = server.talk(begin, " ").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    server.shutdown.trigger();
}
