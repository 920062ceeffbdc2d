//! Bodies that are too large or too slow, over real connections: refused by name, and the next request goes on.

use std::sync::Arc;
use std::time::Duration;

use muster_command_service::{CommandService, Options, Settings, TrustEverything, http as rest};
use muster_event_log::EventLog;
use muster_event_log::memory::MemoryLog;
use muster_service_kit::{Authenticator, Config, Principal, Shutdown, limits, serve};
use muster_test_kit::eventually;
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
        Self::with(max_body_bytes, PATIENCE, Settings::default()).await
    }

    async fn with(max_body_bytes: usize, body_timeout: Duration, settings: Settings) -> Self {
        let shutdown = Shutdown::new();
        let options = Options { settings, probe: Arc::new(TrustEverything), ..Options::default() };
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

    /// A connection whose body of `declared` bytes is being read, and of which nothing has come.
    async fn declare(&self, declared: usize) -> TcpStream {
        const READING: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let head =
            format!("POST /api/projects HTTP/1.1\r\n{HEAD}expect: 100-continue\r\ncontent-length: {declared}\r\n\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut said = [0; READING.len()];
        tokio::time::timeout(PATIENCE, connection.read_exact(&mut said)).await.unwrap().unwrap();
        assert_eq!(said, READING);
        connection
    }

    /// Sends a whole request that is none of a project, of so many bytes. The status.
    async fn ask(&self, body_bytes: usize) -> String {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let body = " ".repeat(body_bytes);
        let head = format!("POST /api/projects HTTP/1.1\r\n{HEAD}content-length: {body_bytes}\r\n\r\n{body}");
        // It may be refused, and hung up on, before all of it is sent.
        let _ = connection.write_all(head.as_bytes()).await;
        let mut status = [0; "HTTP/1.1 000".len()];
        let _ = tokio::time::timeout(PATIENCE, connection.read_exact(&mut status)).await.expect("an answer or an end");
        String::from_utf8(status.to_vec()).unwrap()
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
    let server = Server::with(MAX_BYTES, Duration::from_millis(200), Settings::default()).await;
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
    let server = Server::with(MAX_BYTES, Duration::from_millis(200), Settings::default()).await;
    let begin =
        "POST /api/commands HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1500\r\n\r\n[";
    let answer = server.talk(begin, " ").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    server.shutdown.trigger();
}

/// What the requests of a service together may hold, where it matters.
const ROOM_BYTES: usize = 1_000_000;

#[tokio::test]
async fn what_has_arrived_of_unfinished_bodies_is_bounded() {
    const EACH_BYTES: usize = 400_000;
    let settings = Settings { requests_max_bytes: ROOM_BYTES, ..Settings::default() };
    let server = Server::with(ROOM_BYTES, PATIENCE, settings).await;
    let (answered, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let unfinished: Vec<_> = (0..8)
        .map(|_| {
            let (address, answered) = (server.address, answered.clone());
            tokio::spawn(async move {
                let mut connection = TcpStream::connect(address).await.unwrap();
                let begin = format!("POST /api/projects HTTP/1.1\r\n{HEAD}content-length: {EACH_BYTES}\r\n\r\n");
                let (mut from, mut to) = connection.split();
                let send = async {
                    to.write_all(begin.as_bytes()).await?;
                    to.write_all(" ".repeat(EACH_BYTES - 1).as_bytes()).await
                };
                let mut answer = Vec::new();
                // Whoever is refused is hung up on, perhaps while sending.
                let _ = tokio::join!(send, from.read_to_end(&mut answer));
                let _ = answered.send(String::from_utf8(answer).unwrap());
            })
        })
        .collect();
    // There is room for two that are all but whole, at most.
    for _ in 0..unfinished.len() - 2 {
        let answer = tokio::time::timeout(PATIENCE, answers.recv()).await.expect("it is refused").unwrap();
        assert!(answer.starts_with("HTTP/1.1 429 ") && answer.contains("\"overloaded\""), "{answer}");
        assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    }
    // Whoever goes away holds nothing.
    for connection in unfinished {
        connection.abort();
    }
    eventually(PATIENCE, || async { server.ask(ROOM_BYTES).await == "HTTP/1.1 400" }).await;
    server.shutdown.trigger();
}

#[tokio::test]
async fn what_is_only_declared_takes_no_room_from_others() {
    let settings = Settings { requests_max_bytes: ROOM_BYTES, ..Settings::default() };
    let server = Server::with(ROOM_BYTES, PATIENCE, settings).await;
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting.push(server.declare(ROOM_BYTES).await);
    }
    assert_eq!(server.ask(ROOM_BYTES).await, "HTTP/1.1 400");
    server.shutdown.trigger();
}
