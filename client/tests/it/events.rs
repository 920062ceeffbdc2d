//! The events of a project across connections that break, repeat themselves and skip.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use futures::StreamExt;
use muster_client::domain::id::ProjectId;
use muster_client::new_key;
use serde_json::{Value, json};

use crate::stub::{client_of, serve};

/// The positions each connection tells before it breaks, and the `after` each was asked for.
#[derive(Clone)]
struct Connections {
    told: Arc<Mutex<Vec<Vec<u64>>>>,
    asked: Arc<Mutex<Vec<u64>>>,
}

async fn connect(State(state): State<Connections>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["graphql-transport-ws"]).on_upgrade(move |socket| tell(socket, state))
}

async fn tell(mut socket: WebSocket, state: Connections) {
    let init = receive(&mut socket).await;
    assert_eq!(init["payload"]["authorization"], "Bearer token");
    send(&mut socket, &json!({ "type": "connection_ack" })).await;
    send(&mut socket, &json!({ "type": "ping" })).await;
    let subscribe = receive_until(&mut socket, "subscribe").await;
    state.asked.lock().unwrap().push(subscribe["payload"]["variables"]["after"].as_u64().unwrap());
    let positions = {
        let mut told = state.told.lock().unwrap();
        if told.is_empty() { Vec::new() } else { told.remove(0) }
    };
    if positions.is_empty() {
        let errors = json!([{ "message": "no", "extensions": { "code": "FORBIDDEN" } }]);
        send(&mut socket, &json!({ "id": "1", "type": "error", "payload": errors })).await;
        return;
    }
    for position in positions {
        let payload = json!({ "data": { "events": event(position) } });
        send(&mut socket, &json!({ "id": "1", "type": "next", "payload": payload })).await;
    }
}

async fn send(socket: &mut WebSocket, message: &Value) {
    // A client that has gone away is what some of these tests are about.
    let _ = socket.send(Message::text(message.to_string())).await;
}

async fn receive(socket: &mut WebSocket) -> Value {
    let message = socket.recv().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

async fn receive_until(socket: &mut WebSocket, kind: &str) -> Value {
    loop {
        let message = receive(socket).await;
        if message["type"] == kind {
            return message;
        }
    }
}

fn event(position: u64) -> Value {
    let id = new_key();
    json!({
        "id": id, "type": "task.dispatched", "timestamp": "2026-01-01T00:00:00Z", "projectId": id, "taskId": id,
        "sequence": 1, "position": position, "source": "cli", "actor": "ada", "commandId": id, "causationId": null,
        "correlationId": id, "data": {},
    })
}

#[tokio::test]
async fn each_position_comes_once_and_in_order_until_it_is_refused() {
    let told = vec![vec![5, 6], vec![6, 7, 8], vec![10], vec![9, 10]];
    let state = Connections { told: Arc::new(Mutex::new(told)), asked: Arc::default() };
    let app = Router::new().route("/graphql", get(connect)).with_state(state.clone());
    let client = client_of(&serve(app).await);
    let events: Vec<_> = client.events(ProjectId(new_key().0), 4).collect().await;
    let (events, errors): (Vec<_>, Vec<_>) = events.into_iter().partition(Result::is_ok);
    let positions: Vec<u64> = events.into_iter().map(|event| event.unwrap().position).collect();
    assert_eq!(positions, [5, 6, 7, 8, 9, 10]);
    assert_eq!(*state.asked.lock().unwrap(), [4, 6, 8, 8, 10]);
    assert!(errors[0].as_ref().is_err_and(|error| error.is("forbidden")));
}
