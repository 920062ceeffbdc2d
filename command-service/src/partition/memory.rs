//! The commands a partition remembers, so that a command that is sent again gets its first answer. Made from events
//! alone, so it is the same after a restart and on another instance.
//!
//! It is kept small, some 220 bytes for a command, and shared with its clones: a snapshot is written from one. It must
//! never forget a command within its project's window and the partition's.

use std::collections::{BTreeSet, HashMap};
use std::num::{NonZeroI64, NonZeroU64};
use std::sync::Arc;

use imbl::Vector;
use muster_domain::decide::{ClaimOutcome, Outcome};
use muster_domain::id::{CommandId, EventId, ProjectId, TaskId};
use muster_domain::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::settings::Settings;

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

/// How many commands are remembered at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Of each project, the latest.
    pub project: usize,
    /// Of all projects of the partition together, the latest of those.
    pub partition: usize,
}

impl Window {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self { project: settings.idempotency_window, partition: settings.idempotency_partition_window }
    }

    /// Whether what is remembered within this window is all that `other` wants.
    pub(crate) fn covers(self, other: Self) -> bool {
        self.project >= other.project && self.partition >= other.partition
    }
}

/// Commands by key; the oldest of a project, and of the partition, are forgotten beyond the window.
#[derive(Debug)]
pub(crate) struct Memory {
    window: Window,
    recent: Recent,
    /// Age of the oldest command of each project that has some, with the project's number.
    oldest: BTreeSet<(u64, u32)>,
    /// Age of the next command: they count up, over all projects.
    next_age: u64,
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
    age: u64,
    command_id: CommandId,
    fingerprint: Fingerprint,
    actor: u32,
    task_id: Option<TaskId>,
    sequence: Option<NonZeroU64>,
    position: u64,
    event_ids: Box<[EventId]>,
    claim: Option<Box<ClaimOutcome>>,
    /// In microseconds; no lease ends at the epoch.
    lease_expires_at: Option<NonZeroI64>,
}

impl Memory {
    pub(crate) fn new(window: Window) -> Self {
        Self::restore(window, Recent::default())
    }

    /// The memory that `recent` was cloned from, but for a window that may have become smaller.
    pub(crate) fn restore(window: Window, recent: Recent) -> Self {
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let actors = recent.actors.iter().enumerate().map(|(index, name)| (Arc::clone(name), number(index))).collect();
        let (mut projects, mut oldest, mut next_age) = (HashMap::new(), BTreeSet::new(), 0);
        let mut spots = HashMap::with_capacity(recent.len());
        for (project, ages) in (0..).zip(&recent.projects) {
            projects.insert(ages.project_id, project);
            oldest.extend(ages.commands.front().map(|known| (known.age, project)));
            next_age = ages.commands.back().map_or(next_age, |known| next_age.max(known.age + 1));
            for (index, known) in ages.commands.iter().enumerate() {
                let spot = (project, ages.first.wrapping_add(number(index)));
                spots.insert((known.actor, known.command_id), spot);
            }
        }
        let mut memory = Self { window, recent, oldest, next_age, spots, actors, projects };
        for project in 0..number(memory.recent.projects.len()) {
            memory.forget_beyond(project);
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
            lease_expires_at: known.lease_expires_at.map(|micros| Timestamp::from_micros(micros.get())),
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
        let age = self.next_age;
        self.next_age += 1;
        if ages.commands.is_empty() {
            self.oldest.insert((age, project));
        }
        ages.commands.push_back(Known {
            age,
            command_id: key.command_id,
            fingerprint: Fingerprint::of(digest),
            actor,
            task_id: outcome.task_id,
            sequence: outcome.sequence.and_then(NonZeroU64::new),
            position: outcome.position,
            event_ids: outcome.event_ids.into_boxed_slice(),
            claim: outcome.claim.map(Box::new),
            lease_expires_at: outcome.lease_expires_at.and_then(|end| NonZeroI64::new(end.as_micros())),
        });
        self.spots.insert((actor, key.command_id), (project, number));
        self.forget_beyond(project);
    }

    /// Forgets what is beyond the window of a project, then what is beyond the partition's.
    fn forget_beyond(&mut self, project: u32) {
        while self.recent.projects.get(project as usize).is_some_and(|ages| ages.commands.len() > self.window.project) {
            self.forget_oldest_of(project);
        }
        while self.spots.len() > self.window.partition {
            let Some((_, project)) = self.oldest.first().copied() else { return };
            self.forget_oldest_of(project);
        }
    }

    fn forget_oldest_of(&mut self, project: u32) {
        let Some(ages) = self.recent.projects.get_mut(project as usize) else { return };
        let Some(known) = ages.forget_oldest() else { return };
        self.oldest.remove(&(known.age, project));
        self.oldest.extend(ages.commands.front().map(|next| (next.age, project)));
        self.spots.remove(&(known.actor, known.command_id));
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
            lease_expires_at: None,
        }
    }

    fn window(project: usize) -> Window {
        Window { project, partition: usize::MAX }
    }

    /// The keys that are remembered, of these.
    fn known(memory: &Memory, keys: std::ops::RangeInclusive<u128>) -> Vec<u128> {
        keys.filter(|n| memory.get(&key(*n)).is_some()).collect()
    }

    #[test]
    fn the_oldest_of_all_projects_is_forgotten_when_there_are_too_many_in_all() {
        let of = |project: u128, n: u128| Outcome { project_id: ProjectId(Uuid::from_u128(project)), ..outcome(n, 1) };
        let all = Window { project: 3, partition: 4 };
        let (mut memory, mut unbounded) = (Memory::new(all), Memory::new(Window { project: 9, partition: 99 }));
        // A project that was quiet for long, and two that take turns.
        for (n, project) in (1..).zip([7, 8, 8, 9, 8, 9, 8, 8]) {
            memory.add(&key(n), "", of(project, n));
            unbounded.add(&key(n), "", of(project, n));
            let expected: &[u128] = match n {
                ..=4 => &[1, 2, 3, 4][..usize::try_from(n).unwrap()],
                5 => &[2, 3, 4, 5],
                6 => &[3, 4, 5, 6],
                7 => &[4, 5, 6, 7],
                _ => &[5, 6, 7, 8],
            };
            assert_eq!(known(&memory, 1..=9), expected);
            // As if it had always been so.
            let restored = Memory::restore(all, unbounded.recent());
            assert_eq!(known(&restored, 1..=9), expected);
        }
        let mut restored = Memory::restore(all, memory.recent());
        assert_eq!(restored.recent(), memory.recent());
        for n in 9..=20 {
            restored.add(&key(n), "", of(10 + n, n));
            memory.add(&key(n), "", of(10 + n, n));
        }
        assert_eq!(restored.recent(), memory.recent());
        assert_eq!(known(&restored, 1..=20), [17, 18, 19, 20]);
    }

    #[test]
    fn the_oldest_of_a_project_is_forgotten_and_the_first_answer_stays() {
        let mut memory = Memory::new(window(2));
        for (position, n) in [1, 2, 2, 3].into_iter().enumerate() {
            memory.add(&key(n), "", outcome(n, position as u64));
        }
        assert!(memory.get(&key(1)).is_none());
        assert_eq!(memory.get(&key(2)).unwrap().outcome.position, 1);
        assert!(memory.get(&CommandKey { actor: "bob".into(), ..key(2) }).is_none());
    }

    #[test]
    fn what_is_restored_answers_the_same_and_goes_on_forgetting() {
        let mut memory = Memory::new(window(3));
        for n in 1..=4 {
            memory.add(&key(n), &hex::encode([u8::try_from(n).unwrap(); 32]), outcome(n, 7));
        }
        let renewed =
            Outcome { lease_expires_at: Some(Timestamp::from_micros(1_700_000_000_123_456)), ..outcome(5, 7) };
        memory.add(&key(5), &hex::encode([5; 32]), renewed.clone());
        let mut restored = Memory::restore(window(2), memory.recent());
        for n in [4, 5] {
            assert_eq!(restored.get(&key(n)), memory.get(&key(n)));
        }
        assert_eq!(restored.get(&key(5)).unwrap().outcome, renewed);
        assert!(restored.get(&key(4)).unwrap().is_of(&hex::encode([4; 32])));
        assert!(!restored.get(&key(4)).unwrap().is_of("another"));
        restored.add(&key(6), "", outcome(6, 8));
        let known = (1..=6).filter(|n| restored.contains(&key(*n)));
        assert_eq!(known.collect::<Vec<_>>(), [5, 6]);
        assert_eq!(restored.get(&key(6)).unwrap().outcome, outcome(6, 8));
    }
}
