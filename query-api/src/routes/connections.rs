//! How many streams each user holds open.

use std::collections::HashMap;
use std::sync::Arc;

use muster_service_kit::{Problem, codes};
use parking_lot::Mutex;

/// Counts open streams by user. Clones count together.
#[derive(Debug, Clone)]
pub struct Connections {
    open: Arc<Mutex<HashMap<String, usize>>>,
    max_per_user: usize,
}

/// One open stream; dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    connections: Connections,
    user: String,
}

impl Connections {
    /// At most `max_per_user` at once.
    pub fn new(max_per_user: usize) -> Self {
        Self { open: Arc::default(), max_per_user }
    }

    /// Counts one more, or `too_many_connections`.
    pub fn open(&self, user: &str) -> Result<Connection, Problem> {
        let mut open = self.open.lock();
        let count = open.entry(user.to_owned()).or_default();
        if *count >= self.max_per_user {
            return Err(Problem::new(codes::TOO_MANY_CONNECTIONS)
                .detail(format!("{user} holds {count} streams open; close one first."))
                .with("max_connections", self.max_per_user));
        }
        *count += 1;
        Ok(Connection { connections: self.clone(), user: user.to_owned() })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        if let Some(count) = open.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_user_and_forgets_what_is_closed() {
        let connections = Connections::new(1);
        let held = connections.open("ada").unwrap();
        assert!(connections.open("ada").is_err());
        let _other = connections.open("bob").unwrap();
        drop(held);
        assert!(connections.open("ada").is_ok());
    }
}
