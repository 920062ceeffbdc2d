//! The commands a partition remembers, so that a command that is sent again gets its first answer. Made from events
//! alone, so it is the same after a restart and on another instance.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use muster_domain::decide::Outcome;
use muster_domain::id::{CommandId, ProjectId};

/// A command id within its caller: one caller cannot meet, nor block, another's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CommandKey {
    pub actor: Arc<str>,
    pub command_id: CommandId,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub digest: String,
    pub outcome: Outcome,
}

/// Commands by key; the oldest of a project are forgotten beyond its window.
#[derive(Debug)]
pub(crate) struct Memory {
    window: usize,
    commands: HashMap<CommandKey, Remembered>,
    by_age: HashMap<ProjectId, VecDeque<CommandKey>>,
}

impl Memory {
    pub(crate) fn new(window: usize) -> Self {
        Self { window, commands: HashMap::new(), by_age: HashMap::new() }
    }

    pub(crate) fn get(&self, key: &CommandKey) -> Option<&Remembered> {
        self.commands.get(key)
    }

    /// Keeps the first answer to a key.
    pub(crate) fn add(&mut self, key: CommandKey, digest: String, outcome: Outcome) {
        if self.commands.contains_key(&key) {
            return;
        }
        let ages = self.by_age.entry(outcome.project_id).or_default();
        ages.push_back(key.clone());
        if ages.len() > self.window
            && let Some(oldest) = ages.pop_front()
        {
            self.commands.remove(&oldest);
        }
        self.commands.insert(key, Remembered { digest, outcome });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_oldest_of_a_project_is_forgotten_and_the_first_answer_stays() {
        let mut memory = Memory::new(2);
        let key = |n| CommandKey { actor: "ada".into(), command_id: CommandId(Uuid::from_u128(n)) };
        let outcome = |n, position| Outcome {
            command_id: CommandId(Uuid::from_u128(n)),
            project_id: ProjectId(Uuid::from_u128(9)),
            task_id: None,
            sequence: None,
            position,
            event_ids: Vec::new(),
            claim: None,
        };
        for n in [1, 2, 2, 3] {
            let position = memory.commands.len() as u64;
            memory.add(key(n), String::new(), outcome(n, position));
        }
        assert!(memory.get(&key(1)).is_none());
        assert_eq!(memory.get(&key(2)).unwrap().outcome.position, 1);
        assert!(memory.get(&CommandKey { actor: "bob".into(), ..key(2) }).is_none());
    }
}
