//! One direction of one connection. It must never pass a byte on that the mode holds back.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};

use super::frames::{Frame, Frames};
use super::{Gate, Mode, Protocol, State};

const CHUNK_BYTES: usize = 16 * 1024;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// One of its sides closed it.
    Closed,
    /// The link did.
    Reset,
}

/// Which direction.
#[derive(Debug)]
pub enum Way {
    /// From the client.
    Requests,
    /// To the client, and what the link itself answers.
    Answers(mpsc::UnboundedReceiver<Vec<u8>>),
}

impl Way {
    /// What the link itself answers next.
    async fn said(&mut self) -> Vec<u8> {
        if let Self::Answers(said) = self
            && let Some(bytes) = said.recv().await
        {
            return bytes;
        }
        std::future::pending().await
    }
}

/// What both directions of a connection know.
pub struct Shared<'a> {
    resets: u64,
    touched: &'a AtomicU64,
    protocol: Protocol,
    /// Answers of the link itself.
    says: mpsc::UnboundedSender<Vec<u8>>,
    /// Answers are swallowed from now on.
    swallows: AtomicBool,
    /// An answer was swallowed.
    has_hole: AtomicBool,
    /// What requests go through.
    gate: &'a Arc<Gate>,
}

impl<'a> Shared<'a> {
    pub fn new(
        resets: u64,
        touched: &'a AtomicU64,
        protocol: Protocol,
        gate: &'a Arc<Gate>,
    ) -> (Self, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (says, said) = mpsc::unbounded_channel();
        let (swallows, has_hole) = (AtomicBool::new(false), AtomicBool::new(false));
        (Self { resets, touched, protocol, says, swallows, has_hole, gate }, said)
    }

    fn touch(&self) {
        self.touched.fetch_add(1, Relaxed);
    }
}

/// Passes bytes on until one side or the link ends the connection.
pub async fn run(
    mut from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    seen: watch::Receiver<State>,
    way: Way,
    shared: &Shared<'_>,
) -> Ended {
    let mut pump = Pump { to, seen, way, shared, frames: Frames::default() };
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let Some(mode) = pump.mode() else { return Ended::Reset };
        if mode == Mode::Freeze {
            if let Err(ended) = pump.hold_until_changed(&from).await {
                return ended;
            }
            continue;
        }
        tokio::select! {
            biased;
            changed = pump.seen.changed() => if changed.is_err() { return Ended::Reset },
            answer = pump.way.said() => if let Err(ended) = pump.hold_and_write(&answer).await { return ended },
            read = from.read(&mut chunk) => match read {
                Ok(0) | Err(_) => return Ended::Closed,
                Ok(bytes) => if let Err(ended) = pump.pass(&chunk[..bytes]).await { return ended },
            },
        }
    }
}

struct Pump<'a, 'b> {
    to: WriteHalf<'a>,
    seen: watch::Receiver<State>,
    way: Way,
    shared: &'a Shared<'b>,
    frames: Frames,
}

impl Pump<'_, '_> {
    /// The mode now; none when the connection must end.
    fn mode(&mut self) -> Option<Mode> {
        let State { mode, resets } = *self.seen.borrow_and_update();
        let swallowing = mode == Mode::LoseAnswers || mode == Mode::LoseEndTxnAnswer;
        let ends =
            mode == Mode::Cut || resets != self.shared.resets || (self.shared.has_hole.load(Relaxed) && !swallowing);
        if !swallowing {
            self.shared.swallows.store(false, Relaxed);
        }
        (!ends).then_some(mode)
    }

    /// Leaves everything where it is until the link does something else. What comes meanwhile counts as disturbed.
    async fn hold_until_changed(&mut self, from: &ReadHalf<'_>) -> Result<(), Ended> {
        tokio::select! {
            biased;
            changed = self.seen.changed() => return changed.map_err(|_| Ended::Reset),
            _ = from.readable() => self.shared.touch(),
        }
        self.seen.changed().await.map_err(|_| Ended::Reset)
    }

    async fn pass(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        if matches!(self.way, Way::Requests) {
            self.shared.gate.pass().await;
        }
        if self.shared.protocol != Protocol::Kafka {
            return self.hold_and_write(bytes).await;
        }
        // Answers too are passed on whole, so that one of the link's own fits in between.
        self.frames.push(bytes);
        while let Some(frame) = self.frames.next() {
            match self.way {
                Way::Requests => self.pass_request(&frame).await?,
                Way::Answers(_) => self.hold_and_write(&frame.0).await?,
            }
        }
        Ok(())
    }

    async fn pass_request(&mut self, frame: &Frame) -> Result<(), Ended> {
        if let Some(answer) = frame.heartbeat_answer()
            && self.mode().ok_or(Ended::Reset)? == Mode::AnswerHeartbeats
        {
            self.shared.touch();
            return self.shared.says.send(answer).map_err(|_| Ended::Closed);
        }
        if frame.ends_transaction() {
            match self.mode().ok_or(Ended::Reset)? {
                Mode::HoldEndTxn(wait) => {
                    self.shared.touch();
                    self.hold(wait).await?;
                }
                Mode::LoseEndTxnAnswer => {
                    self.shared.touch();
                    self.shared.swallows.store(true, Relaxed);
                }
                _ => {}
            }
        }
        self.hold_and_write(&frame.0).await
    }

    async fn hold_and_write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        loop {
            match self.mode().ok_or(Ended::Reset)? {
                Mode::Freeze => {
                    self.shared.touch();
                    self.seen.changed().await.map_err(|_| Ended::Reset)?;
                }
                Mode::Delay(wait) => {
                    self.shared.touch();
                    self.hold(wait).await?;
                    break;
                }
                mode => {
                    let lost = mode == Mode::LoseAnswers || self.shared.swallows.load(Relaxed);
                    if matches!(self.way, Way::Answers(_)) && lost {
                        if !self.shared.has_hole.swap(true, Relaxed) && mode == Mode::LoseAnswers {
                            self.shared.touch();
                        }
                        return Ok(());
                    }
                    break;
                }
            }
        }
        self.to.write_all(bytes).await.map_err(|_| Ended::Closed)
    }

    /// Waits, unless the connection ends meanwhile.
    async fn hold(&mut self, wait: std::time::Duration) -> Result<(), Ended> {
        let shared = self.shared;
        let ends = |state: &State| state.mode == Mode::Cut || state.resets != shared.resets;
        match tokio::time::timeout(wait, self.seen.wait_for(ends)).await {
            Err(_elapsed) => Ok(()),
            Ok(_) => Err(Ended::Reset),
        }
    }
}
