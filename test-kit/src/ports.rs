//! Free ports on the loopback address. Knows nothing of who will listen on them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// A port nobody listens on at this moment. All of `N` are different.
///
/// Somebody else may take one before it is used: whoever starts a server on it tries again with another.
pub fn free<const N: usize>() -> io::Result<[u16; N]> {
    let mut ports = [0; N];
    ports.copy_from_slice(&many(N)?);
    Ok(ports)
}

/// As [`free`], for a number known at run time.
pub fn many(count: usize) -> io::Result<Vec<u16>> {
    // All are held until the last is known.
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = (0..count).map(bind).collect::<io::Result<Vec<_>>>()?;
    held.iter().map(|listener| listener.local_addr().map(|address| address.port())).collect()
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
