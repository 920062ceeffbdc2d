//! Clients: what they ask for, again and again with the same key until they know what became of it.
//!
//! Every attempt is taken down. A client must never conclude anything from an answer that did not come.

mod board;
mod call;
mod stranger;
mod worker;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chance::Chance;
use super::history::End;
use super::options::{Options, Patience};
use super::recorder::Recorder;
use super::stage::{STRANGER, SUBSCRIBER_LINK, Stage, client_link};

pub use call::{Caller, Operation};

/// How long making one project may take, however little patience there is later.
const MADE_WITHIN: Duration = Duration::from_mins(1);
/// Commands that are asked about at a time.
const ASKED_AT_ONCE: usize = 8;
/// Projects are so many for each partition.
const PROJECTS_PER_PARTITION: usize = 2;
/// Cards of a project that clients fight about.
const CARDS_AT_HAND: usize = 16;
/// Commands that are sent again later.
const REPEATS_MAX: usize = 200;
/// How long a client that may not go on waits before it looks again.
const HELD_BACK: Duration = Duration::from_millis(5);

/// A card as clients last saw it.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// Its id.
    pub task_id: Uuid,
    /// Its sequence.
    pub sequence: u64,
}

/// A project and what clients know of it.
pub struct Project {
    /// Its id.
    pub id: Uuid,
    /// The card at the end is the newest.
    cards: Mutex<VecDeque<Card>>,
}

impl Project {
    /// A card that several clients know at the same sequence.
    pub fn card(&self, chance: &mut Chance) -> Option<Card> {
        let cards = lock(&self.cards);
        // Few cards get most of the commands.
        let reach = if chance.percent(60) { cards.len().min(3) } else { cards.len() };
        cards.iter().rev().nth(chance.below(reach)).copied()
    }

    /// Notes what an acknowledgement said.
    pub fn saw(&self, task_id: Option<Uuid>, sequence: Option<u64>) {
        let (Some(task_id), Some(sequence)) = (task_id, sequence) else { return };
        let mut cards = lock(&self.cards);
        if let Some(card) = cards.iter_mut().find(|card| card.task_id == task_id) {
            card.sequence = card.sequence.max(sequence);
            return;
        }
        cards.push_back(Card { task_id, sequence });
        if cards.len() > CARDS_AT_HAND {
            cards.pop_front();
        }
    }
}

/// A command with whoever sent it.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The user.
    pub user: &'static str,
    /// What.
    pub operation: Operation,
}

/// What all clients share.
pub struct World {
    /// Where attempts are taken down.
    pub recorder: Recorder,
    /// Every project.
    pub projects: Vec<Project>,
    /// URL of each instance, by its link.
    pub instances: Vec<String>,
    /// URL of the query service, by its link.
    pub query: String,
    /// Commands whose fate nobody learned.
    unknown: Mutex<Vec<Sent>>,
    /// Commands that are to be sent again although they were answered.
    repeats: Mutex<Vec<Sent>>,
    /// Clients go on while fewer were acknowledged.
    budget: AtomicU64,
    /// How many want load now, whatever the budget says.
    urged: AtomicU64,
    /// Whether clients send pairs of commands about one card.
    pairs: AtomicBool,
    /// Pairs of which the later one came first.
    swapped: AtomicU64,
    /// How long clients wait.
    patience: Patience,
    /// Whether clients leave what is open for the end.
    hurries: AtomicBool,
}

impl World {
    /// The world of a seed. Every partition gets a project.
    pub fn new(options: &Options, stage: &Stage, recorder: Recorder) -> anyhow::Result<Self> {
        let mut chance = Chance::of(options.seed, "projects");
        let mut room = vec![PROJECTS_PER_PARTITION; options.partitions as usize];
        let mut projects = Vec::new();
        while room.iter().any(|room| *room > 0) {
            let id = chance.uuid();
            let partition = muster_event_log::partition_of(&id.to_string(), options.partitions) as usize;
            if room[partition] > 0 {
                room[partition] -= 1;
                projects.push(Project { id, cards: Mutex::default() });
            }
        }
        let instances =
            (0..options.instances).map(|index| stage.url(&client_link(index))).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            recorder,
            projects,
            instances,
            query: stage.url(SUBSCRIBER_LINK)?,
            unknown: Mutex::default(),
            repeats: Mutex::default(),
            budget: AtomicU64::new(u64::MAX),
            urged: AtomicU64::new(0),
            pairs: AtomicBool::new(false),
            swapped: AtomicU64::new(0),
            patience: options.patience,
            hurries: AtomicBool::new(false),
        })
    }

    /// Lets clients go on until so many commands were acknowledged.
    pub fn allow(&self, budget: u64) {
        self.budget.store(budget, Ordering::Relaxed);
    }

    /// Lets clients send pairs of commands about one card, or leaves it at single ones.
    pub fn pair(&self, pairs: bool) {
        self.pairs.store(pairs, Ordering::Relaxed);
    }

    /// Pairs so far of which the later one came first.
    pub fn swapped(&self) -> u64 {
        self.swapped.load(Ordering::Relaxed)
    }

    /// Lets clients go on whatever the budget says, for as long as this is held.
    pub fn urge(&self) -> Urged<'_> {
        self.urged.fetch_add(1, Ordering::Relaxed);
        Urged(&self.urged)
    }

    fn is_urged(&self) -> bool {
        self.urged.load(Ordering::Relaxed) > 0
    }

    /// Lets clients leave what is open for the end, or go after it again.
    pub fn hurry(&self, hurries: bool) {
        self.hurries.store(hurries, Ordering::Relaxed);
    }

    fn hurries(&self) -> bool {
        self.hurries.load(Ordering::Relaxed)
    }

    /// A project; a third of all commands go to the first few.
    fn project(&self, chance: &mut Chance) -> Option<&Project> {
        let reach = if chance.percent(33) { self.projects.len().min(3) } else { self.projects.len() };
        self.projects.get(chance.below(reach))
    }

    fn keep_for_later(&self, sent: Sent, chance: &mut Chance) {
        let mut repeats = lock(&self.repeats);
        if repeats.len() < REPEATS_MAX {
            repeats.push(sent);
        } else {
            let place = chance.below(REPEATS_MAX);
            repeats[place] = sent;
        }
    }

    fn one_for_later(&self, chance: &mut Chance) -> Option<Sent> {
        let mut repeats = lock(&self.repeats);
        let place = chance.below(repeats.len());
        (!repeats.is_empty()).then(|| repeats.swap_remove(place))
    }

    fn never_learned(&self, sent: Sent) {
        lock(&self.unknown).push(sent);
    }

    /// Takes the commands whose fate nobody learned.
    pub fn take_unknown(&self) -> Vec<Sent> {
        std::mem::take(&mut *lock(&self.unknown))
    }

    async fn hold_back(&self, stop: &CancellationToken) {
        let spent = || self.recorder.acknowledged() >= self.budget.load(Ordering::Relaxed) && !self.is_urged();
        while spent() && !stop.is_cancelled() {
            tokio::time::sleep(HELD_BACK).await;
        }
    }
}

/// Somebody needs load.
pub struct Urged<'a>(&'a AtomicU64);

impl Drop for Urged<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes every project, with its members. Nothing is broken yet.
pub async fn prepare(world: &Arc<World>, seed: u64) -> anyhow::Result<()> {
    let mut chance = Chance::of(seed, "prepare");
    let mut caller = Caller::new(0, "ada", Arc::clone(world))?;
    for (index, project) in world.projects.iter().enumerate() {
        for operation in board::beginnings(project, index, &mut chance) {
            let end = caller.settle_within(&operation, &mut chance, MADE_WITHIN).await;
            anyhow::ensure!(matches!(end, End::Ok(_)), "project {} cannot be made: {end:?}", project.id);
        }
    }
    Ok(())
}

/// Starts every client. They end when `stop` is given, each after the command it is at.
pub fn start(world: &Arc<World>, options: &Options, stop: &CancellationToken) -> anyhow::Result<JoinSet<()>> {
    let mut clients = JoinSet::new();
    // 0 made the projects.
    for number in 1..=options.clients {
        let number = u32::try_from(number)?;
        let user = match number {
            1 => STRANGER,
            number if number % 3 == 0 => "bob",
            _ => "ada",
        };
        let caller = Caller::new(number, user, Arc::clone(world))?;
        let chance = Chance::of(options.seed, &format!("client {number}"));
        let (world, stop) = (Arc::clone(world), stop.clone());
        clients.spawn(async move {
            match number {
                1 => stranger::run(caller, chance, &world, &stop).await,
                number if number % 4 == 2 => worker::run(caller, chance, &world, &stop).await,
                _ => board::run(caller, chance, &world, &stop).await,
            }
        });
    }
    Ok(clients)
}

/// Asks what became of each command nobody learned of, with its key. Those that still are not answered are left.
pub async fn ask_again(world: &Arc<World>, seed: u64) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + world.patience.asked;
    futures::stream::iter(world.take_unknown())
        .map(Ok)
        .try_for_each_concurrent(ASKED_AT_ONCE, |Sent { user, operation }| async move {
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                // Services that are healed and do not answer will not answer the next either; the checkers see what is
                // open.
                return Ok(());
            }
            let mut chance = Chance::of(seed, &format!("ask again {}", operation.key));
            let mut caller = Caller::new(u32::MAX, user, Arc::clone(world))?;
            // What cannot be settled now stands in the list again; nobody asks a third time.
            caller.settle_within(&operation, &mut chance, left).await;
            Ok(())
        })
        .await
}
