//! Commands about finished tasks that have left memory: they wait until the task is back, and nobody waits for them but
//! later commands about the same tasks. A command must never be decided before an earlier one about the same task.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use muster_domain::decide::Request;
use muster_domain::id::{ProjectId, TaskId};
use muster_domain::state::Task;
use muster_event_log::Error;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::archive::{Absent, Archive};
use super::handle::{Refusal, Submission};
use super::writer::Writer;

const NOT_READ: Refusal =
    Refusal::Unavailable { reason: "the log does not give back a finished task", in_doubt: false };

/// Commands that wait, oldest first, and the tasks they wait for.
#[derive(Default)]
pub(super) struct Waiting {
    commands: VecDeque<(Submission, Instant)>,
    /// How many of them are about a task.
    about: HashMap<(ProjectId, TaskId), usize>,
    fetching: HashSet<(ProjectId, TaskId)>,
    /// Tasks of their own: nobody asks for what they bring while the partition is taken over again, and a read that stood
    /// still meanwhile would keep its connection to the log from the takeover.
    fetches: JoinSet<Fetched>,
}

/// What a look into the log came to.
pub(super) struct Fetched {
    absent: Absent,
    result: Result<Arc<Task>, Error>,
}

/// Something that those who wait have to be told of.
pub(super) enum Change {
    Fetched(Box<Fetched>),
    /// The oldest has waited long enough.
    OutOfPatience,
}

/// The tasks a command is about, as far as it needs them in memory.
fn tasks_of(request: &Request) -> impl Iterator<Item = (ProjectId, TaskId)> + use<> {
    let project_id = request.project_id;
    request.command.touches().map(move |task_id| (project_id, task_id))
}

impl Waiting {
    fn is_about(&self, request: &Request) -> bool {
        !self.commands.is_empty() && tasks_of(request).any(|task| self.about.contains_key(&task))
    }

    fn add(&mut self, submission: Submission, patience: Duration) {
        for task in tasks_of(&submission.request) {
            *self.about.entry(task).or_default() += 1;
        }
        self.commands.push_back((submission, Instant::now() + patience));
    }

    fn fetch(&mut self, archive: &Archive, partition: u32, absent: Absent) {
        if self.fetching.insert((absent.project_id, absent.task_id)) {
            let archive = archive.clone();
            self.fetches.spawn(async move { Fetched { absent, result: archive.fetch(partition, absent).await } });
        }
    }

    /// Takes those out that `are` says so, in order. One stays as long as an earlier one about its tasks does.
    fn take(&mut self, are: impl Fn(&Submission, Instant) -> bool) -> Vec<Submission> {
        let (mut taken, mut held) = (Vec::new(), HashSet::new());
        for (submission, deadline) in std::mem::take(&mut self.commands) {
            let tasks: Vec<_> = tasks_of(&submission.request).collect();
            if tasks.iter().any(|task| held.contains(task)) || !are(&submission, deadline) {
                held.extend(tasks);
                self.commands.push_back((submission, deadline));
                continue;
            }
            for task in tasks {
                if let Some(count) = self.about.get_mut(&task) {
                    *count -= 1;
                    if *count == 0 {
                        self.about.remove(&task);
                    }
                }
            }
            taken.push(submission);
        }
        taken
    }

    /// The next change; never, while nobody waits.
    pub(super) async fn changed(&mut self) -> Change {
        let patience = self.commands.front().map(|(_, deadline)| *deadline);
        let out_of_patience = async {
            match patience {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // One that panicked has said so; whoever waits for it runs out of patience.
            Some(Ok(fetched)) = self.fetches.join_next() => Change::Fetched(Box::new(fetched)),
            () = out_of_patience => Change::OutOfPatience,
        }
    }
}

impl Writer {
    /// Lets a command wait that is about a task that is not in memory, or about which an earlier one waits. The command,
    /// when it need not.
    pub(super) fn let_wait(&mut self, submission: Submission) -> Option<Submission> {
        let absent = self.absent(&submission.request);
        if absent.is_empty() && !self.waiting.is_about(&submission.request) {
            return Some(submission);
        }
        if self.waiting.commands.len() >= self.settings.mailbox_capacity {
            submission.reply.send(Err(Refusal::Overloaded));
            return None;
        }
        self.waiting.add(submission, self.settings.recovery_patience);
        for absent in absent {
            self.waiting.fetch(&self.archive, self.partition, absent);
        }
        None
    }

    /// Takes a task back that was read, and decides on the commands that waited for it.
    pub(super) fn waiting_changed(&mut self, change: Change) {
        let mut project = None;
        match change {
            Change::Fetched(fetched) => {
                let Fetched { absent: Absent { project_id, task_id, .. }, result } = *fetched;
                project = Some(project_id);
                self.waiting.fetching.remove(&(project_id, task_id));
                match result {
                    Ok(task) => self.put_back(&task),
                    Err(error) => self.not_read(project_id, task_id, &error),
                }
            }
            Change::OutOfPatience => {
                let now = Instant::now();
                // What is being read is still put back: whoever asks again finds it.
                for submission in self.waiting.take(|_, deadline| deadline <= now) {
                    submission.reply.send(Err(NOT_READ));
                }
            }
        }
        let speculation = &self.speculation;
        let is_ready =
            |submission: &Submission, _| !tasks_of(&submission.request).any(|task| speculation.is_aside(task));
        for submission in self.waiting.take(is_ready) {
            self.process_now(submission);
        }
        // A task may have left again, or have gone on elsewhere, while another was waited for.
        let absent: Vec<_> =
            self.waiting.commands.iter().flat_map(|(submission, _)| self.absent(&submission.request)).collect();
        for absent in absent {
            self.waiting.fetch(&self.archive, self.partition, absent);
        }
        self.set_aside(project);
    }

    /// Everyone who waits, who then waits no more.
    pub(super) fn take_waiting_aside(&mut self) -> Vec<Submission> {
        self.waiting.take(|_, _| true)
    }

    fn absent(&self, request: &Request) -> Vec<Absent> {
        let aside = tasks_of(request).filter(|task| self.speculation.is_aside(*task));
        let ledger = self.ledger.read();
        let found =
            |(project_id, task_id)| Some(Absent { project_id, task_id, place: ledger.place(project_id, task_id)? });
        aside.filter_map(found).collect()
    }

    /// Into everything that knows the task: what is committed, what is under way, and what is decided on top of it.
    fn put_back(&mut self, task: &Arc<Task>) {
        self.ledger.write().put_back(task);
        if let Some(batch) = self.batch_in_flight() {
            batch.put_back(task);
        }
        self.speculation.put_back(task);
    }

    fn not_read(&mut self, project_id: ProjectId, task_id: TaskId, error: &Error) {
        tracing::warn!(partition = self.partition, %task_id, %error, "a finished task cannot be read from the log");
        let refusal = match error {
            Error::Truncated { .. } => Refusal::Unreadable(format!("the events of task {task_id} are gone")),
            _ => NOT_READ,
        };
        let is_about =
            |submission: &Submission, _| tasks_of(&submission.request).any(|task| task == (project_id, task_id));
        for submission in self.waiting.take(is_about) {
            submission.reply.send(Err(refusal.clone()));
        }
    }
}
