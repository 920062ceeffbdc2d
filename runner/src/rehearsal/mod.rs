//! The rehearsal agent: a real process that speaks the Agent Client Protocol and does what a script says. For demos,
//! tests and load, where an agent must be real but its work must not depend on a model.
//!
//! The script is `.muster/rehearsal.json` in the folder it works in; see [`script`] for its form. Without one, a planner
//! plans one chunk, a coder changes nothing, and a reviewer accepts what passed verification.
//!
//! It must never know the runner: all it has is the protocol and the variables every agent gets.

pub mod script;

mod player;
mod wire;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::agent::wire::{METHOD_NOT_FOUND, Message, PROTOCOL_VERSION, RpcError};
use crate::context::TaskContext;
use player::{Ended, Player};
use script::Script;
use wire::Client;

/// Answers a client on standard streams until it closes them. Blocks; gives the process's exit code.
pub fn rehearsal_agent_main() -> i32 {
    match serve(&mut Client::on_standard_streams()) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell but whoever reads the error stream.
            let _ = io::Write::write_fmt(&mut io::stderr(), format_args!("rehearsal agent: {error}\n"));
            1
        }
    }
}

fn serve(client: &mut Client) -> io::Result<i32> {
    let mut folder = std::env::current_dir()?;
    while let Some(message) = client.receive()? {
        let (Some(method), Some(id)) = (message.method, message.id) else { continue };
        let params = message.params.unwrap_or_default();
        let answer = match method.as_str() {
            "initialize" => {
                client.writes_files = params["clientCapabilities"]["fs"]["writeTextFile"] == json!(true);
                Ok(json!({
                    "protocolVersion": PROTOCOL_VERSION,
                    "agentCapabilities": {},
                    "agentInfo": {"name": "muster-rehearsal", "title": "Rehearsal", "version": env!("CARGO_PKG_VERSION")},
                    "authMethods": [],
                }))
            }
            "session/new" => {
                folder = params["cwd"].as_str().map_or(folder, PathBuf::from);
                Ok(json!({"sessionId": "rehearsal"}))
            }
            "session/prompt" => match prompt(client, &folder, &params)? {
                Ended::Turn(answer) => Ok(answer),
                Ended::Process(code) => return Ok(code),
            },
            other => Err(RpcError::new(METHOD_NOT_FOUND, format!("{other} is not supported"))),
        };
        client.send(&Message::answer(id, answer))?;
    }
    Ok(0)
}

/// One turn.
fn prompt(client: &mut Client, folder: &Path, params: &Value) -> io::Result<Ended> {
    let session = params["sessionId"].as_str().unwrap_or_default().to_owned();
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let missing = |name: &str| io::Error::other(format!("the variable {name} is not set"));
    let task_file = variable("MUSTER_TASK_FILE").ok_or_else(|| missing("MUSTER_TASK_FILE"))?;
    let out_dir = variable("MUSTER_OUT_DIR").ok_or_else(|| missing("MUSTER_OUT_DIR"))?;
    let context = TaskContext::read_beside(&task_file)?;
    let script = Script::read(folder)?;
    let steps = script.as_ref().and_then(|script| script.steps_for(&context));
    Player::new(client, &session, folder, &out_dir, &context).play(steps)
}
