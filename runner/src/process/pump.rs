//! Reading a process's output to its end: lines to the run's output, the last of them kept for whoever must judge.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::watch::Activity;
use crate::output::{LineSplitter, OutputStream, RunOutput};

type Look = Box<dyn FnMut(&str) + Send>;

/// The last lines of an output, and whoever wants to look at each line.
#[derive(Default)]
pub struct Digest {
    tail: String,
    look: Option<Look>,
}

/// Bytes of a tail.
const TAIL_MAX_BYTES: usize = 8 * 1024;

impl Digest {
    /// A digest that shows each line to `look`.
    pub fn looking(look: impl FnMut(&str) + Send + 'static) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { tail: String::new(), look: Some(Box::new(look)) }))
    }

    /// The last lines.
    pub fn tail(&self) -> &str {
        &self.tail
    }

    /// Takes a line.
    pub fn take(&mut self, line: &str) {
        self.tail.push_str(line);
        self.tail.push('\n');
        if self.tail.len() > 2 * TAIL_MAX_BYTES {
            self.tail = crate::text::tail(&self.tail, TAIL_MAX_BYTES);
        }
        if let Some(look) = &mut self.look {
            look(line);
        }
    }
}

/// Where the lines of one stream go.
#[derive(Clone)]
pub struct Sink {
    /// The run's output.
    pub output: RunOutput,
    /// Which stream it is.
    pub stream: OutputStream,
    /// What is kept.
    pub digest: Arc<Mutex<Digest>>,
    /// Told of every byte.
    pub activity: Activity,
}

impl Sink {
    /// Takes one line.
    pub async fn line(&self, line: String) {
        self.digest.lock().take(&line);
        self.output.line(self.stream, line).await;
    }
}

/// Reads to the end.
pub async fn pump(mut reader: impl AsyncRead + Unpin, sink: Sink) {
    let mut splitter = LineSplitter::new(sink.output.line_max_bytes());
    let mut buffer = vec![0; 16 * 1024];
    // A read error ends the stream as its end does.
    while let Ok(read @ 1..) = reader.read(&mut buffer).await {
        sink.activity.seen();
        for line in splitter.push(&buffer[..read]) {
            sink.line(line).await;
        }
    }
    if let Some(line) = splitter.finish() {
        sink.line(line).await;
    }
}
