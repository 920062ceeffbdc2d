//! The agent's end of the line, with blocking streams: it does one thing at a time.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Stdin, Stdout, Write};

use serde_json::{Value, json};

use crate::agent::wire::Message;

/// The client at the other end.
pub(super) struct Client {
    input: BufReader<Stdin>,
    output: Stdout,
    next_id: u64,
    waiting: VecDeque<Message>,
    /// Whether it writes files when asked.
    pub writes_files: bool,
}

impl Client {
    pub(super) fn on_standard_streams() -> Self {
        Self {
            input: BufReader::new(io::stdin()),
            output: io::stdout(),
            next_id: 1,
            waiting: VecDeque::new(),
            writes_files: false,
        }
    }

    /// The next message; `None` when the client closed the line.
    pub(super) fn receive(&mut self) -> io::Result<Option<Message>> {
        match self.waiting.pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> io::Result<Option<Message>> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(serde_json::from_str(&line)?))
    }

    pub(super) fn send(&mut self, message: &Message) -> io::Result<()> {
        self.output.write_all(message.to_line().as_bytes())?;
        self.output.flush()
    }

    /// Tells what happens in the session.
    pub(super) fn update(&mut self, session: &str, update: &Value) -> io::Result<()> {
        self.send(&Message::notification("session/update", json!({"sessionId": session, "update": update})))
    }

    /// Asks and waits for the answer.
    pub(super) fn ask(&mut self, method: &str, params: Value) -> io::Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&Message::request(id, method, params))?;
        loop {
            let message = self.read()?.ok_or_else(|| io::Error::other("the client closed the line"))?;
            if message.method.is_some() || message.id != Some(json!(id)) {
                self.waiting.push_back(message);
                continue;
            }
            return match message.error {
                Some(error) => Err(io::Error::other(format!("{method}: {}", error.message))),
                None => Ok(message.result.unwrap_or_default()),
            };
        }
    }
}
