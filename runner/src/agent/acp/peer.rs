//! One end of the line: sends requests, and answers the agent's own while it waits.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};

use super::Error;
use super::host::Host;
use super::wire::Message;
use crate::process::Activity;

/// Bytes of one message.
const MESSAGE_MAX_BYTES: usize = 16 * 1024 * 1024;

/// The agent at the other end.
pub(super) struct Peer {
    stdin: ChildStdin,
    stdout: ChildStdout,
    activity: Activity,
    waiting: Vec<u8>,
    next_id: u64,
}

impl Peer {
    pub(super) fn new(stdin: ChildStdin, stdout: ChildStdout, activity: Activity) -> Self {
        Self { stdin, stdout, activity, waiting: Vec::new(), next_id: 1 }
    }

    /// Sends a request and gives its result. Until it comes, `host` answers what the agent asks and hears what it tells.
    pub(super) async fn call(&mut self, method: &str, params: Value, host: &mut Host) -> Result<Value, Error> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&Message::request(id, method, params)).await?;
        loop {
            let line = self.line().await?;
            let Ok(message) = serde_json::from_slice::<Message>(&line) else {
                // Agents print this and that among their messages.
                host.stray(&String::from_utf8_lossy(&line)).await;
                continue;
            };
            match (message.method, message.id) {
                (Some(asked), Some(asked_id)) => {
                    let answer = host.answer(&asked, message.params.unwrap_or_default()).await;
                    self.send(&Message::answer(asked_id, answer)).await?;
                }
                (Some(told), None) => host.hear(&told, message.params.unwrap_or_default()).await,
                (None, Some(answered)) if answered == id => {
                    return match (message.result, message.error) {
                        (_, Some(error)) => Err(Error::Refused { method: method.to_owned(), message: error.message }),
                        (result, None) => Ok(result.unwrap_or_default()),
                    };
                }
                (None, _) => tracing::debug!("an agent answered what was not asked"),
            }
        }
    }

    async fn send(&mut self, message: &Message) -> Result<(), Error> {
        let sent = self.stdin.write_all(message.to_line().as_bytes()).await;
        sent.map_err(|_| Error::Closed)
    }

    /// The next line that is not empty.
    async fn line(&mut self) -> Result<Vec<u8>, Error> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.waiting[searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.waiting.split_off(searched + at + 1);
                let mut line = std::mem::replace(&mut self.waiting, rest);
                searched = 0;
                while line.last().is_some_and(u8::is_ascii_whitespace) {
                    line.pop();
                }
                if line.is_empty() {
                    continue;
                }
                return Ok(line);
            }
            searched = self.waiting.len();
            if searched > MESSAGE_MAX_BYTES {
                return Err(Error::Broken(format!("a message is longer than {MESSAGE_MAX_BYTES} bytes")));
            }
            let read = self.stdout.read_buf(&mut self.waiting).await.map_err(|_| Error::Closed)?;
            if read == 0 {
                return Err(Error::Closed);
            }
            self.activity.seen();
        }
    }
}
