//! What is asked of the system for each TCP connection. It must never refuse one: what cannot be set is left as it is.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// The system counts the time between probes in whole seconds.
const PROBE_AFTER_MIN: Duration = Duration::from_secs(1);
/// Probes that a silent peer is sent before it is given up.
const PROBES: u32 = 3;

/// How connections are watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tcp {
    user_timeout: Option<Duration>,
}

impl Tcp {
    /// Gives up a peer that takes nothing for so long; 0 leaves that to the system.
    pub(crate) fn new(user_timeout_ms: u64) -> Self {
        Self { user_timeout: (user_timeout_ms > 0).then(|| Duration::from_millis(user_timeout_ms)) }
    }

    /// Sets it up: without Nagle's delay, which would hold back small events, and with an end for peers that are gone.
    pub(crate) fn prepare(self, stream: &TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "a connection keeps Nagle's delay");
        }
        if let Err(error) = self.watch(stream) {
            tracing::debug!(%peer, %error, "a connection ends only when the system gives its peer up");
        }
    }

    /// Bytes the peer does not take end the connection in time, and where there are none to be taken the system asks
    /// whether the peer is there.
    fn watch(self, stream: &TcpStream) -> io::Result<()> {
        let Some(user_timeout) = self.user_timeout else { return Ok(()) };
        let socket = SockRef::from(stream);
        socket.set_tcp_user_timeout(Some(user_timeout))?;
        let probe_after = (user_timeout / PROBES).max(PROBE_AFTER_MIN);
        let keepalive = TcpKeepalive::new().with_time(probe_after).with_interval(probe_after).with_retries(PROBES);
        socket.set_tcp_keepalive(&keepalive)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn prepared(user_timeout_ms: u64) -> TcpStream {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Tcp::new(user_timeout_ms).prepare(&stream, stream.peer_addr().unwrap());
        stream
    }

    #[tokio::test]
    async fn a_silent_peer_is_asked_whether_it_is_there() {
        let stream = prepared(30_000).await;
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_short_time_is_no_error_and_none_is_the_systems() {
        assert!(SockRef::from(&prepared(10).await).keepalive().unwrap());
        let stream = prepared(0).await;
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
        assert!(!socket.keepalive().unwrap() && stream.nodelay().unwrap());
    }
}
