//! The service on a port of its own, and a client for it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use futures::{SinkExt, StreamExt};
use muster_query_api::QueryApi;
use muster_service_kit::config::{Config, Secret, TokenConfig};
use muster_service_kit::{Readiness, Shutdown, limits, serve};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tower::ServiceExt;

use super::World;

/// The user whose token may see everything.
pub const ADMIN: &str = "root";

/// Nothing a test waits for takes this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// What a narrow client has room for, and what of it is known to fill.
const NARROW_BYTES: u32 = 16 * 1024;
const UNREAD_BYTES: usize = 8 * 1024;

pub struct Server {
    pub url: String,
    pub http: reqwest::Client,
    pub shutdown: Shutdown,
    serving: JoinHandle<()>,
    router: Router,
}

impl Server {
    pub async fn start(world: &Arc<World>) -> Self {
        Self::start_with(world, |_| {}).await
    }

    /// Users `ada`, `bob` and `eve` have their name as token.
    pub async fn start_with(world: &Arc<World>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.query.min_position_timeout_ms = 300;
        for user in ["ada", "bob", "eve", ADMIN] {
            config.auth.tokens.push(TokenConfig {
                token: Some(Secret::new(user)),
                token_file: None,
                user: user.to_owned(),
                admin: user == ADMIN,
            });
        }
        change(&mut config);
        let shutdown = Shutdown::new();
        let api = QueryApi::new(config.clone(), world.store.clone(), Arc::clone(world) as _);
        let router = api.router(&Readiness::new(), &shutdown).await.unwrap();
        let router = limits::standard_layers(router, &config);
        let listener = serve::bind("127.0.0.1", 0).await.unwrap();
        let url = listener.url().unwrap();
        let (stop, served) = (shutdown.clone(), router.clone());
        let grace = Duration::from_hours(1);
        let serving = tokio::spawn(async move { serve::serve(served, listener, &stop, grace).await.unwrap() });
        Self { url, http: reqwest::Client::new(), shutdown, serving, router }
    }

    /// Stops it, and waits until every connection is closed: by the server, as the grace is longer than this waits.
    pub async fn stop(self) {
        self.shutdown.trigger();
        tokio::time::timeout(DEADLINE, self.serving).await.expect("connections are left open").unwrap();
    }

    /// The whole answer, errors included.
    pub async fn answer(&self, user: &str, document: &str, variables: Value) -> Value {
        let request = self.http.post(format!("{}/graphql", self.url)).bearer_auth(user);
        let body = json!({ "query": document, "variables": variables });
        request.json(&body).send().await.unwrap().json().await.unwrap()
    }

    /// The data; fails the test when there are errors.
    pub async fn data(&self, user: &str, document: &str, variables: Value) -> Value {
        let mut answer = self.answer(user, document, variables).await;
        assert!(answer.get("errors").is_none(), "{answer:#}");
        answer["data"].take()
    }

    /// The code of the first error; fails the test when there is none.
    pub async fn refusal(&self, user: &str, document: &str, variables: Value) -> String {
        let answer = self.answer(user, document, variables).await;
        let code = &answer["errors"][0]["extensions"]["code"];
        code.as_str().unwrap_or_else(|| panic!("no error: {answer:#}")).to_owned()
    }

    pub async fn get(&self, user: &str, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(user).send().await.unwrap()
    }

    /// An answer's body with nothing between it and the service that would read ahead: what is not asked for stays there.
    pub async fn body(&self, user: &str, path: &str) -> BodyDataStream {
        let request = http::Request::get(path).header("authorization", format!("Bearer {user}"));
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().into_data_stream()
    }

    /// Subscribes over a WebSocket.
    pub async fn subscribe(&self, user: &str, document: &str, variables: Value) -> Socket {
        let mut socket = self.connect(json!({ "authorization": format!("Bearer {user}") })).await;
        assert_eq!(socket.receive().await["type"], "connection_ack");
        let payload = json!({ "query": document, "variables": variables });
        socket.send(&json!({ "id": "1", "type": "subscribe", "payload": payload })).await;
        socket
    }

    /// A socket without a protocol; the status when it is refused.
    pub async fn plain_socket(&self, user: &str, path: &str) -> Result<Socket, u16> {
        match tokio_tungstenite::connect_async(self.upgrade(user, path)).await {
            Ok((stream, _)) => Ok(Socket { stream }),
            Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A socket like that, of a client that has room for little.
    pub async fn narrow_socket(&self, user: &str, path: &str) -> Socket {
        let tcp = TcpSocket::new_v4().unwrap();
        tcp.set_recv_buffer_size(NARROW_BYTES).unwrap();
        let stream = tcp.connect(self.url.strip_prefix("http://").unwrap().parse().unwrap()).await.unwrap();
        let request = self.upgrade(user, path);
        let (stream, _) = tokio_tungstenite::client_async(request, MaybeTlsStream::Plain(stream)).await.unwrap();
        Socket { stream }
    }

    fn upgrade(&self, user: &str, path: &str) -> tungstenite::handshake::client::Request {
        let mut request = format!("{}{path}", self.url.replace("http", "ws")).into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {user}").parse().unwrap());
        request
    }

    /// A socket whose `connection_init` was sent.
    pub async fn connect(&self, payload: Value) -> Socket {
        let (stream, _) = tokio_tungstenite::connect_async(self.graphql_upgrade()).await.unwrap();
        Self::begin(stream, payload).await
    }

    /// The same, over [`Server::narrow`].
    pub async fn connect_narrow(&self, payload: Value) -> Socket<DuplexStream> {
        Self::begin(self.narrow(self.graphql_upgrade()).await, payload).await
    }

    /// A socket without a protocol, over [`Server::narrow`].
    pub async fn plain_narrow(&self, user: &str, path: &str) -> Socket<DuplexStream> {
        Socket { stream: self.narrow(self.upgrade(user, path)).await }
    }

    /// A connection on which hardly anything is on its way: the service notices at once when nobody reads.
    async fn narrow(&self, upgrade: http::Request<()>) -> WebSocketStream<DuplexStream> {
        let (near, far) = tokio::io::duplex(4096);
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(Only(Some(far)), router).await });
        tokio_tungstenite::client_async(upgrade, near).await.unwrap().0
    }

    fn graphql_upgrade(&self) -> http::Request<()> {
        let address = format!("{}/graphql", self.url.replace("http", "ws"));
        let mut request = address.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        request
    }

    async fn begin<S: AsyncRead + AsyncWrite + Unpin>(stream: WebSocketStream<S>, payload: Value) -> Socket<S> {
        let mut socket = Socket { stream };
        socket.send(&json!({ "type": "connection_init", "payload": payload })).await;
        socket
    }
}

/// Listens for one connection, which is there.
struct Only(Option<DuplexStream>);

impl axum::serve::Listener for Only {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.take() {
            Some(connection) => (connection, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

pub struct Socket<S = MaybeTlsStream<TcpStream>> {
    stream: WebSocketStream<S>,
}

impl Socket {
    /// Waits until what nobody reads has filled what there is for it on this side.
    pub async fn fills(&self) {
        let MaybeTlsStream::Plain(stream) = self.stream.get_ref() else { panic!("no TLS here") };
        let mut seen = vec![0; UNREAD_BYTES];
        let full = async {
            while stream.peek(&mut seen).await.unwrap() < UNREAD_BYTES {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, full).await.expect("the server sends no more");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub async fn send(&mut self, message: &Value) {
        self.stream.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message; a closed connection is `{"closed": code}`.
    pub async fn receive(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.stream.next()).await.expect("no message in time");
            match message {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(frame))) => {
                    return json!({ "closed": frame.map(|frame| u16::from(frame.code)) });
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return json!({ "closed": null }),
            }
        }
    }

    /// The data of the next result; fails the test on anything else.
    pub async fn next(&mut self) -> Value {
        let mut message = self.receive().await;
        assert_eq!(message["type"], "next", "{message:#}");
        assert!(message["payload"].get("errors").is_none(), "{message:#}");
        message["payload"]["data"].take()
    }
}
