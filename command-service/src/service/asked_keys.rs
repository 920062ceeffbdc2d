//! The last question of another instance about each claim's key. A claim that another instance passes on is carried out
//! only if it follows that question: one that was delayed on its way, or comes of an instance that was frozen, would
//! claim again what its key has claimed elsewhere meanwhile. It must never take a ticket for good that it forgot.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use crate::partition::CommandKey;

/// Keys that are remembered. Whoever is forgotten has to ask again.
const KEPT: usize = 50_000;

/// Tickets by key, and who asked last about the keys of each partition.
#[derive(Default)]
pub(super) struct AskedKeys {
    tickets: Mutex<HashMap<CommandKey, Uuid>>,
    askers: Mutex<HashMap<u32, Arc<str>>>,
}

impl AskedKeys {
    /// A ticket for a claim of this key. Every earlier one is worth nothing from now on.
    pub(super) fn ticket(&self, key: &CommandKey) -> Uuid {
        let mut tickets = self.tickets.lock();
        if tickets.len() >= KEPT {
            tickets.clear();
        }
        let ticket = Uuid::now_v7();
        tickets.insert(key.clone(), ticket);
        ticket
    }

    /// Whether it is the last ticket of this key.
    pub(super) fn is_last(&self, key: &CommandKey, ticket: Uuid) -> bool {
        self.tickets.lock().get(key) == Some(&ticket)
    }

    /// Whether `url` was the last that was found to own `partition`.
    pub(super) fn was_asker(&self, partition: u32, url: &str) -> bool {
        self.askers.lock().get(&partition).is_some_and(|asker| **asker == *url)
    }

    /// `url` was found to own `partition`.
    pub(super) fn set_asker(&self, partition: u32, url: &str) {
        self.askers.lock().insert(partition, url.into());
    }
}

#[cfg(test)]
mod tests {
    use muster_domain::id::CommandId;

    use super::*;

    #[test]
    fn only_the_last_ticket_of_a_key_counts() {
        let asked = AskedKeys::default();
        let [one, two] = [1, 2].map(|n| CommandKey { actor: "ada".into(), command_id: CommandId(Uuid::from_u128(n)) });
        let (early, other) = (asked.ticket(&one), asked.ticket(&two));
        assert!(asked.is_last(&one, early));
        let late = asked.ticket(&one);
        assert!(!asked.is_last(&one, early) && asked.is_last(&one, late) && asked.is_last(&two, other));
        assert!(!asked.is_last(&two, late));
    }
}
