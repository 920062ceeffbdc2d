//! The commands a partition remembers, so that a command that is sent again gets its first answer. Made from events
//! alone, so it is the same after a restart and on another instance.
//!
//! It is kept small, some 200 bytes for a command, and shared with its clones: a snapshot is written from one. It must
//! never forget a command within its project's window.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use imbl::Vector;
use muster_domain::decide::{ClaimOutcome, Outcome};
use muster_domain::id::{CommandId, EventId, ProjectId, TaskId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A command id within its caller: one caller cannot meet, nor block, another's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CommandKey {
    pub actor: Arc<str>,
    pub command_id: CommandId,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    fingerprint: Fingerprint,
    pub outcome: Outcome,
}

impl Remembered {
    /// Whether a command of this digest is the one that is remembered.
    pub(crate) fn is_of(&self, digest: &str) -> bool {
        self.fingerprint == Fingerprint::of(digest)
    }
}

/// Commands by key; the oldest of a project are forgotten beyond its window.
#[derive(Debug)]
pub(crate) struct Memory {
    window: usize,
    recent: Recent,
    /// Where in `recent` a command is: number of its project, and its number there.
    spots: HashMap<(u32, CommandId), (u32, u32)>,
    actors: HashMap<Arc<str>, u32>,
    projects: HashMap<ProjectId, u32>,
}

/// What is remembered, without the ways to find it. A clone is cheap and shares everything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent {
    actors: Vector<Arc<str>>,
    projects: Vector<Ages>,
}

/// The commands of a project, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ages {
    project_id: ProjectId,
    /// Number of the oldest; numbers count up and wrap.
    first: u32,
    commands: Vector<Known>,
}

/// A command and its answer, small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    command_id: CommandId,
    fingerprint: Fingerprint,
    actor: u32,
    task_id: Option<TaskId>,
    sequence: Option<NonZeroU64>,
    position: u64,
    event_ids: Box<[EventId]>,
    claim: Option<Box<ClaimOutcome>>,
}

impl Memory {
    pub(crate) fn new(window: usize) -> Self {
        Self::restore(window, Recent::default())
    }

    /// The memory that `recent` was cloned from, but for a window that may have become smaller.
    pub(crate) fn restore(window: usize, recent: Recent) -> Self {
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let actors = recent.actors.iter().enumerate().map(|(index, name)| (Arc::clone(name), number(index))).collect();
        let ages = recent.projects.iter().enumerate();
        let projects = ages.map(|(index, ages)| (ages.project_id, number(index))).collect();
        let count = recent.projects.iter().map(|ages| ages.commands.len()).sum();
        let mut memory = Self { window, recent, spots: HashMap::with_capacity(count), actors, projects };
        for project in 0..memory.recent.projects.len() {
            while memory.recent.projects[project].commands.len() > window {
                memory.recent.projects[project].forget_oldest();
            }
            let ages = &memory.recent.projects[project];
            for (index, known) in ages.commands.iter().enumerate() {
                let spot = (number(project), ages.first.wrapping_add(number(index)));
                memory.spots.insert((known.actor, known.command_id), spot);
            }
        }
        memory
    }

    /// What a snapshot keeps.
    pub(crate) fn recent(&self) -> Recent {
        self.recent.clone()
    }

    pub(crate) fn contains(&self, key: &CommandKey) -> bool {
        self.actors.get(&key.actor).is_some_and(|actor| self.spots.contains_key(&(*actor, key.command_id)))
    }

    pub(crate) fn get(&self, key: &CommandKey) -> Option<Remembered> {
        let actor = *self.actors.get(&key.actor)?;
        let (project, number) = *self.spots.get(&(actor, key.command_id))?;
        let ages = self.recent.projects.get(project as usize)?;
        let known = ages.commands.get(number.wrapping_sub(ages.first) as usize)?;
        let outcome = Outcome {
            command_id: known.command_id,
            project_id: ages.project_id,
            task_id: known.task_id,
            sequence: known.sequence.map(NonZeroU64::get),
            position: known.position,
            event_ids: known.event_ids.to_vec(),
            claim: known.claim.as_deref().cloned(),
        };
        Some(Remembered { fingerprint: known.fingerprint, outcome })
    }

    /// Keeps the first answer to a key.
    pub(crate) fn add(&mut self, key: &CommandKey, digest: &str, outcome: Outcome) {
        if self.contains(key) {
            return;
        }
        let actor = self.actor_number(&key.actor);
        let project = self.project_number(outcome.project_id);
        let Some(ages) = self.recent.projects.get_mut(project as usize) else { return };
        let number = ages.first.wrapping_add(u32::try_from(ages.commands.len()).unwrap_or(u32::MAX));
        ages.commands.push_back(Known {
            command_id: key.command_id,
            fingerprint: Fingerprint::of(digest),
            actor,
            task_id: outcome.task_id,
            sequence: outcome.sequence.and_then(NonZeroU64::new),
            position: outcome.position,
            event_ids: outcome.event_ids.into_boxed_slice(),
            claim: outcome.claim.map(Box::new),
        });
        let forgotten = (ages.commands.len() > self.window).then(|| ages.forget_oldest()).flatten();
        self.spots.insert((actor, key.command_id), (project, number));
        if let Some(old) = forgotten {
            self.spots.remove(&(old.actor, old.command_id));
        }
    }

    fn actor_number(&mut self, name: &Arc<str>) -> u32 {
        if let Some(number) = self.actors.get(name) {
            return *number;
        }
        let number = u32::try_from(self.recent.actors.len()).unwrap_or(u32::MAX);
        self.recent.actors.push_back(Arc::clone(name));
        self.actors.insert(Arc::clone(name), number);
        number
    }

    fn project_number(&mut self, project_id: ProjectId) -> u32 {
        let next = u32::try_from(self.recent.projects.len()).unwrap_or(u32::MAX);
        let number = *self.projects.entry(project_id).or_insert(next);
        if number == next {
            self.recent.projects.push_back(Ages { project_id, first: 0, commands: Vector::new() });
        }
        number
    }
}

impl Recent {
    /// How many commands it holds.
    pub(crate) fn len(&self) -> usize {
        self.projects.iter().map(|ages| ages.commands.len()).sum()
    }
}

impl Ages {
    fn forget_oldest(&mut self) -> Option<Known> {
        let oldest = self.commands.pop_front()?;
        self.first = self.first.wrapping_add(1);
        Some(oldest)
    }
}

/// The bytes of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A digest that is no SHA-256 in hexadecimal, as of events written elsewhere, is hashed.
    fn of(digest: &str) -> Self {
        let mut bytes = [0; 32];
        match hex::decode_to_slice(digest, &mut bytes) {
            Ok(()) => Self(bytes),
            Err(_) => Self(Sha256::digest(digest).into()),
        }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As two numbers: an array would be written byte by byte.
        let (high, low) = self.0.split_at(16);
        let half = |bytes: &[u8]| Uuid::from_slice(bytes).unwrap_or_default();
        (half(high), half(low)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (high, low) = <(Uuid, Uuid)>::deserialize(deserializer)?;
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(high.as_bytes());
        bytes[16..].copy_from_slice(low.as_bytes());
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u128) -> CommandKey {
        CommandKey { actor: "ada".into(), command_id: CommandId(Uuid::from_u128(n)) }
    }

    fn outcome(n: u128, position: u64) -> Outcome {
        Outcome {
            command_id: CommandId(Uuid::from_u128(n)),
            project_id: ProjectId(Uuid::from_u128(9)),
            task_id: None,
            sequence: None,
            position,
            event_ids: Vec::new(),
            claim: None,
        }
    }

    #[test]
    fn the_oldest_of_a_project_is_forgotten_and_the_first_answer_stays() {
        let mut memory = Memory::new(2);
        for (position, n) in [1, 2, 2, 3].into_iter().enumerate() {
            memory.add(&key(n), "", outcome(n, position as u64));
        }
        assert!(memory.get(&key(1)).is_none());
        assert_eq!(memory.get(&key(2)).unwrap().outcome.position, 1);
        assert!(memory.get(&CommandKey { actor: "bob".into(), ..key(2) }).is_none());
    }

    #[test]
    fn what_is_restored_answers_the_same_and_goes_on_forgetting() {
        let mut memory = Memory::new(3);
        for n in 1..=5 {
            memory.add(&key(n), &hex::encode([u8::try_from(n).unwrap(); 32]), outcome(n, 7));
        }
        let mut restored = Memory::restore(2, memory.recent());
        for n in [4, 5] {
            assert_eq!(restored.get(&key(n)), memory.get(&key(n)));
        }
        assert!(restored.get(&key(4)).unwrap().is_of(&hex::encode([4; 32])));
        assert!(!restored.get(&key(4)).unwrap().is_of("another"));
        restored.add(&key(6), "", outcome(6, 8));
        let known = (1..=6).filter(|n| restored.contains(&key(*n)));
        assert_eq!(known.collect::<Vec<_>>(), [5, 6]);
        assert_eq!(restored.get(&key(6)).unwrap().outcome, outcome(6, 8));
    }
}
