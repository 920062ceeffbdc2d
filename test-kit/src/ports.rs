//! Free ports on the loopback address. Knows nothing of who will listen on them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// A port nobody listens on at this moment. All of `N` are different.
///
/// Somebody else may take one before it is used: whoever starts a server on it tries again with another.
pub fn free<const N: usize>() -> io::Result<[u16; N]> {
    let mut listeners = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        listeners.push(listener);
    }
    Ok(ports)
}

/// `wanted`, or a free port when it is `None`.
pub fn given_or_free(wanted: Option<u16>) -> io::Result<u16> {
    match wanted {
        Some(port) => Ok(port),
        None => free::<1>().map(|[port]| port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_taken_together_differ() {
        let mut ports = free::<8>().unwrap();
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
