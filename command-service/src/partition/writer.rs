//! The writer task of a partition: decides while an append is in flight, sends what was decided as the next one, answers
//! when it is durable.

use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use muster_domain::command::{Command, ExpireLeases, work_order};
use muster_domain::decide::{Actor, Outcome, Request};
use muster_domain::event::Event;
use muster_domain::id::{CommandId, ProjectId};
use muster_domain::model::Source;
use muster_event_log::{Appended, Error, EventLog, LogOffset, PartitionWriter};
use muster_service_kit::{Shutdown, mutant};
use parking_lot::RwLock;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use super::archive::Archive;
use super::batch::{Batch, Decided};
use super::handle::{Accepted, Handle, Mail, Refusal, Reply, Submission};
use super::ledger::Ledger;
use super::memory::CommandKey;
use super::recall::{check_writable, may_free_work, recall};
use super::snapshot::Snapshots;
use super::speculation::Speculation;
use super::standing::{Order, Orders, Seat, Standing};
use super::tenure::{Tenure, pass_on};
use super::waiting::Waiting;
use crate::ownership::Ownership;
use crate::room::Room;
use crate::settings::Settings;

/// Who the service itself acts as.
pub(crate) const ORCHESTRATOR: &str = "orchestrator";

/// An append under way; it gives the writer back.
type Appending = BoxFuture<'static, (Box<dyn PartitionWriter>, Result<Appended, Error>)>;

struct InFlight {
    append: Appending,
    batch: Batch,
    started: Instant,
}

pub(super) struct Writer {
    pub(super) log: Arc<dyn EventLog>,
    pub(super) archive: Archive,
    pub(super) partition: u32,
    pub(super) settings: Arc<Settings>,
    pub(super) ownership: Ownership,
    pub(super) tenure: Tenure,
    pub(super) seat: watch::Sender<Seat>,
    pub(super) ledger: Arc<RwLock<Ledger>>,
    pub(super) speculation: Speculation,
    pub(super) mailbox: mpsc::Receiver<Mail>,
    pub(super) orders: mpsc::UnboundedReceiver<Order>,
    /// The log's writer, while no append is under way.
    pub(super) appender: Option<Box<dyn PartitionWriter>>,
    pub(super) end: LogOffset,
    /// Commands that still go out alone, after one of them made the log refuse a whole batch.
    pub(super) alone: usize,
    pending: Batch,
    in_flight: Option<InFlight>,
    pub(super) snapshots: Snapshots,
    pub(super) waiting: Waiting,
    wake: Arc<watch::Sender<u64>>,
}

/// Makes the handle of a partition and starts its task, which waits for orders. `wake` is changed when work may have
/// become ready.
pub(crate) fn spawn(
    log: &Arc<dyn EventLog>,
    archive: &Archive,
    partition: u32,
    settings: &Arc<Settings>,
    ownership: &Ownership,
    wake: &Arc<watch::Sender<u64>>,
    shutdown: &Shutdown,
) -> (Handle, Orders) {
    let (sender, mailbox) = mpsc::channel(settings.mailbox_capacity);
    let (orders, obeyed) = mpsc::unbounded_channel();
    let (seat, seen) = watch::channel(Seat { standing: Standing::Idle, tenure: 0 });
    let ledger = Arc::new(RwLock::new(Ledger::new(settings)));
    let writer = Writer {
        log: Arc::clone(log),
        archive: archive.clone(),
        partition,
        settings: Arc::clone(settings),
        ownership: ownership.clone(),
        ledger: Arc::clone(&ledger),
        speculation: Speculation::default(),
        mailbox,
        orders: obeyed,
        tenure: Tenure::default(),
        seat,
        appender: None,
        end: LogOffset::START,
        alone: 0,
        pending: Batch::default(),
        in_flight: None,
        snapshots: Snapshots::new(settings.snapshot_every_events),
        waiting: Waiting::default(),
        wake: Arc::clone(wake),
    };
    shutdown.spawn(writer.run());
    let room = Room::new(settings.mailbox_max_bytes);
    (Handle { mailbox: sender, room, ledger, seat: seen }, Orders(orders))
}

impl Writer {
    /// Serves until the partition is given back or lost, or the log shows another owner.
    pub(super) async fn serve(&mut self) {
        let mut leases = tokio::time::interval(self.settings.lease_check_interval);
        leases.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut open = true;
        while !self.tenure.lost {
            self.start_append();
            if !open && self.in_flight.is_none() && self.pending.is_empty() {
                return;
            }
            let may_take = open && self.may_take();
            tokio::select! {
                biased;
                (writer, result) = appended(&mut self.in_flight) => if !self.settle(writer, result).await {
                    return;
                },
                order = self.orders.recv(), if !self.tenure.is_closed() => self.tenure.obey(order),
                mail = self.mailbox.recv(), if may_take => match mail {
                    Some(mail) => {
                        self.take(mail);
                        self.take_waiting();
                    }
                    None => self.tenure.obey(None),
                },
                change = self.waiting.changed(), if may_take => self.waiting_changed(change),
                _ = leases.tick(), if open => self.expire_leases(),
            }
            if open && !self.tenure.holds() {
                open = false;
                self.stop_taking();
            }
        }
    }

    fn may_take(&self) -> bool {
        let limit = if self.alone > 0 { 1 } else { self.settings.batch_max_events };
        self.pending.size() < limit
    }

    /// Takes everything that waits, so that it goes out together.
    fn take_waiting(&mut self) {
        while self.may_take() {
            let Ok(mail) = self.mailbox.try_recv() else { break };
            self.take(mail);
        }
        metrics::gauge!("muster_command_mailbox_depth", "partition" => self.partition.to_string())
            .set(u32::try_from(self.mailbox.len()).unwrap_or(u32::MAX));
    }

    fn take(&mut self, mail: Mail) {
        match mail {
            Mail::Command(submission) => self.process(*submission),
            Mail::Look(done) => self.pending.wait(done),
        }
    }

    /// Appends what was decided. Where that is refusals alone, looks whether the log is still where they were decided.
    fn start_append(&mut self) {
        if self.pending.is_empty() || self.in_flight.is_some() {
            return;
        }
        let Some(mut writer) = self.appender.take() else { return };
        let mut batch = std::mem::take(&mut self.pending);
        batch.close(&self.speculation);
        let end = self.end;
        let append = if batch.events.is_empty() {
            let (log, partition, next) = (Arc::clone(&self.log), self.partition, self.ledger.read().next());
            async move { (writer, still_at(log.as_ref(), partition, next, end).await) }.boxed()
        } else {
            self.alone = self.alone.saturating_sub(1);
            let events = batch.events.clone();
            #[cfg(feature = "mutants")]
            batch.acknowledge_early();
            async move {
                #[cfg(not(feature = "mutants"))]
                let result = writer.append(end, &events).await;
                #[cfg(feature = "mutants")]
                let result = crate::mutants::append(writer.as_mut(), end, &events).await;
                (writer, result)
            }
            .boxed()
        };
        self.in_flight = Some(InFlight { append, batch, started: Instant::now() });
    }

    /// Decides on a command, or finds what became of it before, or lets it wait for a task it is about.
    fn process(&mut self, submission: Submission) {
        if let Some(submission) = self.as_new(submission)
            && let Some(submission) = self.let_wait(submission)
        {
            self.decide(submission);
        }
    }

    /// As [`Writer::process`], for a command that has waited.
    pub(super) fn process_now(&mut self, submission: Submission) {
        if let Some(submission) = self.as_new(submission) {
            self.decide(submission);
        }
    }

    /// The command, unless it was sent before.
    fn as_new(&mut self, submission: Submission) -> Option<Submission> {
        let key = submission.key();
        if let Some(answer) = self.remembered(&key, &submission.request) {
            submission.reply.send(answer);
            return None;
        }
        let under_way = self.in_flight.as_mut().and_then(|in_flight| in_flight.batch.find(&key));
        match under_way.or_else(|| self.pending.find(&key)) {
            Some(first) if first.digest == submission.request.digest => first.replies.push(submission.reply),
            Some(_) => self.pending.hold(submission.reply, Err(Refusal::KeyReused(key.command_id))),
            None => return Some(submission),
        }
        None
    }

    fn decide(&mut self, submission: Submission) {
        let key = submission.key();
        let Submission { request, actor, source, reply } = submission;
        #[cfg(feature = "mutants")]
        let request = crate::mutants::request(request, |id| self.speculation.project(id));
        match self.speculation.decide(&request, &actor, source, self.settings.limits) {
            // An answer without events is true only if the state it was decided on is: it waits until that is durable,
            // and known to be the newest.
            Err(rejection) => self.pending.hold(reply, Err(Refusal::Rejected(rejection))),
            Ok(events) if events.is_empty() => {
                let outcome = self.speculation.unchanged(&request);
                self.pending.hold(reply, Ok(Accepted { outcome, order: None, repeated: false }));
            }
            Ok(events) => self.accept(key, request, events, reply),
        }
    }

    /// What is committed about this command already.
    fn remembered(&self, key: &CommandKey, request: &Request) -> Option<Result<Accepted, Refusal>> {
        let ledger = self.ledger.read();
        if let Some(reason) = ledger.unreadable(request.project_id) {
            return Some(Err(Refusal::Unreadable(reason.to_owned())));
        }
        if mutant::is("apply_twice") { None } else { recall(&ledger, key, &request.digest) }
    }

    fn accept(&mut self, key: CommandKey, request: Request, events: Vec<Event>, reply: Reply) {
        if let Err(refusal) = check_writable(&events) {
            reply.send(Err(refusal));
            return;
        }
        let Some(outcome) = Outcome::of(&events) else { return };
        let events: Vec<Arc<Event>> = events.into_iter().map(Arc::new).collect();
        self.speculation.apply(&events);
        let order = outcome.claim.as_ref().zip(outcome.task_id).and_then(|(claim, task_id)| {
            work_order(self.speculation.project(request.project_id)?, task_id, claim.run_id).map(Box::new)
        });
        let accepted = Accepted { outcome, order, repeated: false };
        self.pending.add(Decided { key, digest: request.digest, accepted, replies: vec![reply] }, events);
    }

    /// An append has ended. False when it failed and the service stops.
    async fn settle(&mut self, writer: Box<dyn PartitionWriter>, result: Result<Appended, Error>) -> bool {
        let Some(InFlight { batch, started, .. }) = self.in_flight.take() else { return true };
        if !batch.events.is_empty() {
            metrics::histogram!("muster_command_append_seconds").record(started.elapsed().as_secs_f64());
            metrics::histogram!("muster_command_batch_events")
                .record(f64::from(u32::try_from(batch.events.len()).unwrap_or(u32::MAX)));
        }
        match result {
            Ok(appended) => {
                self.appender = Some(writer);
                self.committed(batch, &appended);
                true
            }
            Err(error) => {
                drop(writer);
                let pending = std::mem::take(&mut self.pending);
                self.take_over(vec![batch, pending], Some(error)).await
            }
        }
    }

    /// Leaves what was decided as it is: what was under way may still become durable, the rest never will.
    pub(super) fn abandon(&mut self) {
        if let Some(InFlight { batch, .. }) = self.in_flight.take() {
            pass_on(batch, true);
        }
        pass_on(std::mem::take(&mut self.pending), false);
    }

    fn committed(&mut self, mut batch: Batch, appended: &Appended) {
        self.end = appended.end;
        if !appended.offsets.is_empty() {
            self.ledger.write().commit(&mut batch, &appended.offsets);
            self.set_aside(batch.projects());
            self.snapshots.take_if_due(&self.log, self.partition, &self.ledger);
        }
        if batch.events.iter().any(|event| may_free_work(event)) {
            self.wake_waiting();
        }
        batch.looked();
        batch.answer(|decided| Ok(decided.accepted.clone()), |answer| answer);
    }

    /// Lets finished tasks of these projects leave memory, beyond those that are kept.
    pub(super) fn set_aside(&mut self, projects: impl IntoIterator<Item = ProjectId>) {
        let mut ledger = self.ledger.write();
        for project_id in projects {
            ledger.set_aside(project_id, |task| self.speculation.set_aside(task));
        }
    }

    pub(super) fn batch_in_flight(&mut self) -> Option<&mut Batch> {
        self.in_flight.as_mut().map(|in_flight| &mut in_flight.batch)
    }

    pub(super) fn wake_waiting(&self) {
        self.wake.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Takes work back from sessions that were not heard of.
    fn expire_leases(&mut self) {
        for project_id in self.speculation.with_expired_leases() {
            let command = Command::from(ExpireLeases {});
            let command_id = CommandId(Uuid::now_v7());
            let request = Request {
                command_id,
                digest: crate::digest::digest(project_id, &command, ORCHESTRATOR),
                project_id,
                expected_sequence: None,
                correlation_id: command_id.0,
                causation_id: None,
                command,
            };
            let actor = Actor { user: ORCHESTRATOR.to_owned(), admin: true };
            self.process(Submission { request, actor, source: Source::Orchestrator, reply: Reply::to_nobody() });
        }
    }
}

/// Whether nobody else has written since this process did. As an append of nothing would say.
async fn still_at(log: &dyn EventLog, partition: u32, next: LogOffset, end: LogOffset) -> Result<Appended, Error> {
    match log.read(partition, next, 1).await? {
        records if records.is_empty() => Ok(Appended { end, offsets: Vec::new() }),
        _ => Err(Error::Fenced { partition }),
    }
}

/// The end of the append under way; never, when there is none.
async fn appended(in_flight: &mut Option<InFlight>) -> (Box<dyn PartitionWriter>, Result<Appended, Error>) {
    match in_flight {
        Some(in_flight) => (&mut in_flight.append).await,
        None => std::future::pending().await,
    }
}
