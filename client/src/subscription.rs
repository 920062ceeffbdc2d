//! One GraphQL subscription over `graphql-transport-ws`: one connection, one operation, until either side ends it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{SinkExt, Stream, StreamExt};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::graphql::{PATH, Response, shape, to_value};
use crate::{Client, Error, GraphqlError};

const PROTOCOL: &str = "graphql-transport-ws";
const OPEN_WITHIN: Duration = Duration::from_secs(10);
/// After this silence the service is asked whether it is still there, and after it again given up.
const SILENCE: Duration = Duration::from_secs(20);
const OPERATION: &str = "1";

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The results of a subscription, in order. Ends when the service completes it; after an error it ends as well.
pub struct Subscription<T> {
    results: BoxStream<'static, Result<T, Error>>,
}

impl<T> Stream for Subscription<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.results.poll_next_unpin(context)
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerMessage {
    ConnectionAck,
    Ping,
    Pong,
    Next { payload: Response },
    Error { payload: Vec<GraphqlError> },
    Complete,
}

impl Client {
    /// Opens a subscription; `T` is the shape of each `data`. It does not reconnect: [`Client::events`] does.
    pub async fn subscribe<T: DeserializeOwned + Send + 'static>(
        &self,
        document: &str,
        variables: impl Serialize + Send,
    ) -> Result<Subscription<T>, Error> {
        let payload = json!({ "query": document, "variables": to_value(variables)? });
        let url = format!("{}{PATH}", self.query_url().replacen("http", "ws", 1));
        let opening = open(&url, self.authorization(), &payload);
        let socket = tokio::time::timeout(OPEN_WITHIN, opening)
            .await
            .map_err(|_| Error::unreachable(&url, "the subscription was not acknowledged in time"))??;
        let results = futures::stream::unfold(Some((socket, url)), |state| async move {
            let (mut socket, url) = state?;
            match next(&mut socket, &url).await {
                Ok(Some(data)) => match shape(data) {
                    Ok(value) => Some((Ok(value), Some((socket, url)))),
                    Err(error) => Some((Err(error), None)),
                },
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Subscription { results: results.boxed() })
    }
}

async fn open(url: &str, authorization: &str, payload: &Value) -> Result<Socket, Error> {
    let unreachable = |error: tungstenite::Error| Error::unreachable(url, error);
    let mut request = url.into_client_request().map_err(|error| Error::Invalid(error.to_string()))?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", HeaderValue::from_static(PROTOCOL));
    if let Ok(value) = HeaderValue::from_str(authorization) {
        headers.insert("authorization", value);
    }
    let (mut socket, _) = connect_async_with_config(request, None, true).await.map_err(|error| refused(url, error))?;
    let init = json!({ "type": "connection_init", "payload": { "authorization": authorization } });
    socket.send(Message::text(init.to_string())).await.map_err(unreachable)?;
    loop {
        match receive(&mut socket, url).await? {
            Some(ServerMessage::ConnectionAck) => break,
            Some(ServerMessage::Ping) => pong(&mut socket, url).await?,
            Some(_) => {}
            None => return Err(Error::unreachable(url, "the connection was closed before it was acknowledged")),
        }
    }
    let subscribe = json!({ "id": OPERATION, "type": "subscribe", "payload": payload });
    socket.send(Message::text(subscribe.to_string())).await.map_err(unreachable)?;
    Ok(socket)
}

/// The next result; none when the operation is complete.
async fn next(socket: &mut Socket, url: &str) -> Result<Option<Value>, Error> {
    loop {
        match receive(socket, url).await? {
            Some(ServerMessage::Next { payload }) => return payload.into_data().map(Some),
            Some(ServerMessage::Error { payload }) => return Err(Error::Graphql(payload)),
            Some(ServerMessage::Complete) => return Ok(None),
            Some(ServerMessage::Ping) => pong(socket, url).await?,
            Some(ServerMessage::Pong | ServerMessage::ConnectionAck) => {}
            None => return Err(Error::unreachable(url, "the connection was closed")),
        }
    }
}

async fn pong(socket: &mut Socket, url: &str) -> Result<(), Error> {
    let pong = json!({ "type": "pong" }).to_string();
    socket.send(Message::text(pong)).await.map_err(|error| Error::unreachable(url, error))
}

/// The next message; none when the connection was closed in order.
async fn receive(socket: &mut Socket, url: &str) -> Result<Option<ServerMessage>, Error> {
    let mut asked = false;
    loop {
        let Ok(message) = tokio::time::timeout(SILENCE, socket.next()).await else {
            if asked {
                return Err(Error::unreachable(url, "the service has fallen silent"));
            }
            asked = true;
            let ping = json!({ "type": "ping" }).to_string();
            socket.send(Message::text(ping)).await.map_err(|error| Error::unreachable(url, error))?;
            continue;
        };
        let message = match message {
            None => return Ok(None),
            Some(message) => message.map_err(|error| Error::unreachable(url, error))?,
        };
        match message {
            Message::Text(text) => {
                return serde_json::from_str(&text).map(Some).map_err(|error| Error::Unexpected {
                    url: url.to_owned(),
                    status: 101,
                    reason: error.to_string(),
                });
            }
            // 4400 and up are the protocol's refusals: bad request, unauthorized, forbidden.
            Message::Close(Some(frame)) if (4400..4500).contains(&u16::from(frame.code)) => {
                return Err(Error::Unexpected {
                    url: url.to_owned(),
                    status: u16::from(frame.code) - 4000,
                    reason: frame.reason.to_string(),
                });
            }
            Message::Close(_) => return Ok(None),
            _ => {}
        }
    }
}

/// A handshake answered with a status is a refusal, not an absence.
fn refused(url: &str, error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            match serde_json::from_slice(body) {
                Ok(problem) => Error::Problem(Box::new(problem)),
                Err(_) => Error::Unexpected {
                    url: url.to_owned(),
                    status: response.status().as_u16(),
                    reason: String::from_utf8_lossy(body).chars().take(300).collect(),
                },
            }
        }
        error => Error::unreachable(url, error),
    }
}
