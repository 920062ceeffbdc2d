//! Commands that go out in one append, and who waits for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use muster_domain::decide::Outcome;
use muster_domain::event::Event;
use muster_domain::id::ProjectId;
use muster_domain::state::{ProjectState, Task};
use tokio::sync::oneshot;

use super::handle::{Accepted, Refusal, Reply};
use super::memory::CommandKey;
use super::speculation::Speculation;

/// A command whose events are in the batch.
pub(super) struct Decided {
    pub key: CommandKey,
    pub digest: String,
    pub accepted: Accepted,
    /// Everyone who sent it: more than one when it was sent again before it was answered.
    pub replies: Vec<Reply>,
}

/// One append in the making, or under way.
#[derive(Default)]
pub(super) struct Batch {
    pub events: Vec<Arc<Event>>,
    commands: Vec<Decided>,
    by_key: HashMap<CommandKey, usize>,
    projects: HashSet<ProjectId>,
    /// What its projects have come to with it, once it is closed.
    states: HashMap<ProjectId, ProjectState>,
    /// Answers without events, decided on the state before or within this batch: true only once it is durable.
    held: Vec<(Reply, Result<Accepted, Refusal>)>,
    /// Whoever waits until the log was looked at. Dropped, where it was not.
    looks: Vec<oneshot::Sender<()>>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// Events, and answers that wait.
    pub(super) fn size(&self) -> usize {
        self.events.len() + self.held.len() + self.looks.len()
    }

    pub(super) fn projects(&self) -> impl Iterator<Item = ProjectId> {
        self.projects.iter().copied()
    }

    pub(super) fn command_count(&self) -> usize {
        self.commands.len()
    }

    pub(super) fn add(&mut self, decided: Decided, events: impl IntoIterator<Item = Arc<Event>>) {
        self.projects.insert(decided.accepted.outcome.project_id);
        self.by_key.insert(decided.key.clone(), self.commands.len());
        self.commands.push(decided);
        self.events.extend(events);
    }

    /// Nothing more is added. Keeps what its projects have come to, which the ledger takes once it is durable.
    pub(super) fn close(&mut self, speculation: &Speculation) {
        let state = |id: &ProjectId| Some((*id, speculation.project(*id)?.clone()));
        self.states = self.projects.iter().filter_map(state).collect();
    }

    /// What its projects have come to. Empty before it is closed, and once taken.
    pub(super) fn take_states(&mut self) -> HashMap<ProjectId, ProjectState> {
        std::mem::take(&mut self.states)
    }

    /// Takes a task back that had left memory when it was closed.
    pub(super) fn put_back(&mut self, task: &Arc<Task>) {
        if let Some(state) = self.states.get_mut(&task.project_id) {
            // It is there already, when it returned before the batch was closed.
            let _ = state.put_back(Arc::clone(task));
        }
    }

    pub(super) fn find(&mut self, key: &CommandKey) -> Option<&mut Decided> {
        self.by_key.get(key).and_then(|index| self.commands.get_mut(*index))
    }

    pub(super) fn wait(&mut self, done: oneshot::Sender<()>) {
        self.looks.push(done);
    }

    /// The log was looked at: what is committed there is known.
    pub(super) fn looked(&mut self) {
        for done in self.looks.drain(..) {
            // Whoever went away asks again, if at all.
            let _ = done.send(());
        }
    }

    pub(super) fn hold(&mut self, reply: Reply, answer: Result<Accepted, Refusal>) {
        self.held.push((reply, answer));
    }

    /// Answers everyone: whose command it held by `command`, whose answer waited for it by `held`.
    pub(super) fn answer(
        self,
        command: impl Fn(&Decided) -> Result<Accepted, Refusal>,
        held: impl Fn(Result<Accepted, Refusal>) -> Result<Accepted, Refusal>,
    ) {
        for decided in self.commands {
            let answer = command(&decided);
            decided.answer(&answer);
        }
        for (reply, answer) in self.held {
            reply.send(held(answer));
        }
    }

    /// Tells those who wait for its commands that they are durable, which they are not.
    #[cfg(feature = "mutants")]
    pub(super) fn acknowledge_early(&mut self) {
        if muster_service_kit::mutant::is("acknowledge_before_commit") {
            for decided in &mut self.commands {
                for reply in decided.replies.drain(..) {
                    reply.send(Ok(decided.accepted.clone()));
                }
            }
        }
    }

    /// What its commands come to, with their keys and digests.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (&CommandKey, &str, Outcome)> {
        let commands = self.commands.iter();
        commands.map(|decided| (&decided.key, decided.digest.as_str(), decided.accepted.outcome.clone()))
    }
}

impl Decided {
    /// Answers everyone who sent it. All but the first learn that it had been sent before.
    fn answer(self, answer: &Result<Accepted, Refusal>) {
        for (index, reply) in self.replies.into_iter().enumerate() {
            let mut answer = answer.clone();
            if let Ok(accepted) = &mut answer {
                accepted.repeated |= index > 0;
            }
            reply.send(answer);
        }
    }
}
