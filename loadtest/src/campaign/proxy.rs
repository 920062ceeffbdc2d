//! A link between two processes that can be cut, frozen, slowed, reset, or robbed of its answers, and whose requests can be
//! overtaken by those of other links ([`Gate`]).
//!
//! Bytes are passed on as they are. It must never know what they mean, with one exception: on a link to Kafka it can tell
//! ends of transactions and heartbeats from other requests ([`frames`]).

mod frames;
mod gate;
mod pump;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use gate::Gate;
use pump::{Ended, Way};

/// What a link does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes them on.
    Pass,
    /// Ends every connection, and each new one at once.
    Cut,
    /// Lets nothing through and ends nothing, as a network without routes.
    Freeze,
    /// Passes them on later.
    Delay(Duration),
    /// Passes requests on and swallows what comes back: the work is done, the answer is lost.
    LoseAnswers,
    /// Kafka: holds each request that ends a transaction for this long.
    HoldEndTxn(Duration),
    /// Kafka: passes the request that ends a transaction on, and swallows everything that comes back after it.
    LoseEndTxnAnswer,
    /// Kafka: answers heartbeats of group members itself, with good news, and passes everything else on.
    AnswerHeartbeats,
}

/// What a link should do, and how often its connections were reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    mode: Mode,
    resets: u64,
}

/// What clients of the link speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Anything.
    Bytes,
    /// Kafka's: requests with a length and an API key.
    Kafka,
}

/// One link. Dropping it ends its connections.
pub struct Link {
    port: u16,
    state: watch::Sender<State>,
    upstream: watch::Sender<u16>,
    touched: Arc<AtomicU64>,
    listening: AbortHandle,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.listening.abort();
        self.state.send_modify(|state| state.resets += 1);
    }
}

impl Link {
    /// Listens on a port of its own; `upstream` can follow later.
    pub async fn listen(protocol: Protocol) -> std::io::Result<Arc<Self>> {
        Self::listen_behind(protocol, Arc::default()).await
    }

    /// The same, with requests that go through `gate`.
    pub async fn listen_behind(protocol: Protocol, gate: Arc<Gate>) -> std::io::Result<Arc<Self>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (state, seen) = watch::channel(State { mode: Mode::Pass, resets: 0 });
        let (upstream, target) = watch::channel(0);
        let touched = Arc::<AtomicU64>::default();
        let each = Each { seen, target, touched: Arc::clone(&touched), protocol, gate };
        let listening = tokio::spawn(async move {
            loop {
                if let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(each.clone().serve(client));
                }
            }
        });
        let listening = listening.abort_handle();
        Ok(Arc::new(Self { port, state, upstream, touched, listening }))
    }

    /// Where clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where new connections lead from now on.
    pub fn lead_to(&self, port: u16) {
        self.upstream.send_replace(port);
    }

    /// Leads nowhere until told otherwise: another process may get the port of one that ended.
    pub fn lead_nowhere(&self) {
        self.upstream.send_replace(0);
    }

    /// Does this from now on.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }

    /// Resets the connections there are; new ones are as the mode says.
    pub fn reset(&self) {
        self.state.send_modify(|state| state.resets += 1);
    }

    /// Connections and requests that were disturbed so far.
    pub fn touched(&self) -> u64 {
        self.touched.load(Ordering::Relaxed)
    }
}

/// What each connection is given.
#[derive(Clone)]
struct Each {
    seen: watch::Receiver<State>,
    target: watch::Receiver<u16>,
    touched: Arc<AtomicU64>,
    protocol: Protocol,
    gate: Arc<Gate>,
}

impl Each {
    async fn serve(mut self, mut client: TcpStream) {
        let ended = self.connect_and_pass(&mut client).await;
        if ended == Ended::Reset {
            self.touched.fetch_add(1, Ordering::Relaxed);
            // The other side learns of it at once, and loses what was under way.
            drop(client.set_zero_linger());
        }
    }

    async fn connect_and_pass(&mut self, client: &mut TcpStream) -> Ended {
        let begun = *self.seen.borrow_and_update();
        if begun.mode == Mode::Cut {
            return Ended::Reset;
        }
        if begun.mode == Mode::Freeze {
            self.touched.fetch_add(1, Ordering::Relaxed);
        }
        let frozen = self.seen.wait_for(|state| state.mode != Mode::Freeze || state.resets != begun.resets);
        if !matches!(frozen.await.map(|state| *state), Ok(state) if state.mode != Mode::Cut && state.resets == begun.resets)
        {
            return Ended::Reset;
        }
        let target = *self.target.borrow();
        let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return Ended::Reset };
        drop(client.set_nodelay(true));
        drop(server.set_nodelay(true));
        let ended = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let (shared, said) = pump::Shared::new(begun.resets, &self.touched, self.protocol, &self.gate);
            let requests = pump::run(from_client, to_server, self.seen.clone(), Way::Requests, &shared);
            let answers = pump::run(from_server, to_client, self.seen.clone(), Way::Answers(said), &shared);
            tokio::select! {
                ended = requests => ended,
                ended = answers => ended,
            }
        };
        if ended == Ended::Reset {
            drop(server.set_zero_linger());
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A server that sends back what it is sent.
    async fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        port
    }

    async fn link(protocol: Protocol) -> (Arc<Link>, TcpStream) {
        let link = Link::listen(protocol).await.unwrap();
        link.lead_to(echo().await);
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).await.unwrap();
        (link, stream)
    }

    async fn there_and_back(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
        stream.write_all(bytes).await?;
        let mut back = vec![0; bytes.len()];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut back)).await??;
        assert_eq!(back, bytes);
        Ok(())
    }

    async fn nothing_comes(stream: &mut TcpStream) {
        let mut one = [0];
        let came = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut one)).await;
        assert!(came.is_err(), "{came:?}");
    }

    #[tokio::test]
    async fn a_cut_ends_connections_until_it_is_mended() {
        let (link, mut stream) = link(Protocol::Bytes).await;
        there_and_back(&mut stream, b"one").await.unwrap();
        link.set(Mode::Cut);
        assert!(there_and_back(&mut stream, b"two").await.is_err());
        let mut again = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).await.unwrap();
        assert!(there_and_back(&mut again, b"three").await.is_err());
        link.set(Mode::Pass);
        let mut again = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).await.unwrap();
        there_and_back(&mut again, b"four").await.unwrap();
        assert!(link.touched() >= 2);
    }

    #[tokio::test]
    async fn a_frozen_link_delivers_later() {
        let (link, mut stream) = link(Protocol::Bytes).await;
        there_and_back(&mut stream, b"one").await.unwrap();
        link.set(Mode::Freeze);
        stream.write_all(b"two").await.unwrap();
        nothing_comes(&mut stream).await;
        assert_eq!(link.touched(), 1);
        let mut late = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).await.unwrap();
        nothing_comes(&mut late).await;
        assert_eq!(link.touched(), 2);
        link.set(Mode::Pass);
        there_and_back(&mut late, b"late").await.unwrap();
        let mut back = [0; 3];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"two");
        link.reset();
        assert!(there_and_back(&mut stream, b"three").await.is_err());
    }

    #[tokio::test]
    async fn lost_answers_never_come() {
        let (link, mut stream) = link(Protocol::Bytes).await;
        there_and_back(&mut stream, b"one").await.unwrap();
        link.set(Mode::LoseAnswers);
        stream.write_all(b"two").await.unwrap();
        nothing_comes(&mut stream).await;
        link.set(Mode::Pass);
        // What follows a hole would be taken for something else: the connection ends.
        assert!(there_and_back(&mut stream, b"three").await.is_err());
    }

    #[tokio::test]
    async fn requests_of_two_links_overtake_each_other() {
        let gate = Arc::<Gate>::default();
        let (seen, mut order) = tokio::sync::mpsc::unbounded_channel();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        seen.send(byte).unwrap();
                        stream.write_u8(byte).await.unwrap();
                    }
                });
            }
        });
        let mut streams = Vec::new();
        let mut links = Vec::new();
        for byte in [1, 2] {
            let link = Link::listen_behind(Protocol::Bytes, Arc::clone(&gate)).await.unwrap();
            link.lead_to(port);
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).await.unwrap();
            there_and_back(&mut stream, &[byte]).await.unwrap();
            links.push(link);
            streams.push(stream);
        }
        assert_eq!([order.recv().await, order.recv().await], [Some(1), Some(2)]);
        gate.reverse(true);
        streams[0].write_u8(3).await.unwrap();
        let waits = muster_test_kit::wait::until(PATIENCE, || {
            let waits = (gate.waiting() == 1).then_some(());
            async move { waits }
        });
        assert!(waits.await.is_some());
        streams[1].write_u8(4).await.unwrap();
        assert_eq!([order.recv().await, order.recv().await], [Some(4), Some(3)]);
        assert_eq!(streams[0].read_u8().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn heartbeats_are_answered_on_their_way() {
        let (link, mut stream) = link(Protocol::Kafka).await;
        link.set(Mode::AnswerHeartbeats);
        // Version 3, correlation id 7.
        stream.write_all(&[0, 0, 0, 8, 0, 12, 0, 3, 0, 0, 0, 7]).await.unwrap();
        let mut answer = [0; 14];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer, [0, 0, 0, 10, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0]);
        there_and_back(&mut stream, &[0, 0, 0, 8, 0, 3, 0, 3, 0, 0, 0, 8]).await.unwrap();
        assert_eq!(link.touched(), 1);
        link.set(Mode::Pass);
        there_and_back(&mut stream, &[0, 0, 0, 8, 0, 12, 0, 3, 0, 0, 0, 9]).await.unwrap();
    }

    #[tokio::test]
    async fn only_the_answer_to_the_end_of_a_transaction_is_lost() {
        let frame = |key: i16| {
            let mut frame = 10_i32.to_be_bytes().to_vec();
            frame.extend(key.to_be_bytes());
            frame.extend([0; 8]);
            frame
        };
        let (link, mut stream) = link(Protocol::Kafka).await;
        link.set(Mode::LoseEndTxnAnswer);
        there_and_back(&mut stream, &frame(3)).await.unwrap();
        stream.write_all(&frame(26)).await.unwrap();
        nothing_comes(&mut stream).await;
        assert_eq!(link.touched(), 1);
        link.set(Mode::Pass);
        assert!(there_and_back(&mut stream, &frame(3)).await.is_err());
    }
}
