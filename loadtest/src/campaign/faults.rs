//! Carries the plan out, several faults at a time but one at a time for each target, and heals everything at the end.
//!
//! It must never decide what comes next: the plan does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use muster_event_log::foreign;
use muster_event_log::raw::View;
use muster_test_kit::wait;
use serde::Serialize;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::evidence::{Disturbed, Lines, OwnersWatch, Shown, Times, stands_still};
use super::options::Kind;
use super::plan::Planned;
use super::proxy::Mode;
use super::stage::{LOG_DATABASE, Shared, Stage, until_ready};
use super::verdict::raw_log;
use super::workload::World;

/// Faults at the same time.
const AT_ONCE: usize = 2;
/// With nothing acknowledged for so long, the next fault waits a while.
const QUIET: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(6);
/// How long it is tried to do what another fault may prevent: no server starts while the disk is full. Reached only when
/// something is broken.
const WORKS_WITHIN: Duration = Duration::from_mins(3);
/// How long a service that should run may take to.
const RUNS_WITHIN: Duration = Duration::from_mins(1);
/// How long a fault that needs load to show may go on for that.
const SHOWS_WITHIN: Duration = Duration::from_secs(8);
/// How often processes are looked at.
const WATCH_EVERY: Duration = Duration::from_millis(200);

/// A fault that was carried out.
#[derive(Debug, Clone, Serialize)]
pub struct Done {
    /// What was planned.
    #[serde(flatten)]
    pub planned: Planned,
    /// When it began.
    pub began_at_ns: u64,
    /// When it was over.
    pub ended_at_ns: u64,
    /// Why it could not be carried out, if so.
    pub failure: Option<String>,
    /// What shows that it bit; none where nothing does.
    pub shown: Shown,
}

/// Carries out faults.
pub struct Faults {
    stage: Arc<Stage>,
    world: Arc<World>,
    targets: Mutex<HashMap<String, Arc<Mutex<()>>>>,
    begun: AtomicU64,
    /// Commands that should have been acknowledged for each fault begun.
    commands_each: u64,
    /// How long a fault waits for them.
    load_patience: Duration,
    exits: AtomicU64,
    /// Held while the disk is full, and while a broker starts: one that starts without room for its indexes takes its
    /// segments for corrupt and deletes them, acknowledged records and all. With one broker nobody can make that good.
    room: Mutex<()>,
}

impl Faults {
    /// For a stage.
    pub fn new(stage: Arc<Stage>, world: Arc<World>, commands_each: u64, load_patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            commands_each,
            load_patience,
            stage,
            world,
            targets: Mutex::default(),
            begun: AtomicU64::new(0),
            exits: AtomicU64::new(0),
            room: Mutex::default(),
        })
    }

    /// Faults begun so far.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How often a service ended by itself and was started again.
    pub fn exits(&self) -> u64 {
        self.exits.load(Ordering::Relaxed)
    }

    /// Carries the plan out until `stop`. Returns what was done.
    pub async fn carry_out(self: &Arc<Self>, plan: Vec<Planned>, stop: &CancellationToken) -> Vec<Done> {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for planned in plan {
            let wait = Duration::from_millis(planned.wait_ms);
            let started = stop.run_until_cancelled(async {
                tokio::time::sleep(wait).await;
                self.until_something_works().await;
                let place = Arc::clone(&places).acquire_owned().await.ok()?;
                let target = Arc::clone(self.targets.lock().await.entry(planned.target.clone()).or_default());
                Some((place, target.lock_owned().await))
            });
            let Some(Some(held)) = started.await else { break };
            self.begun.fetch_add(1, Ordering::Relaxed);
            let this = Arc::clone(self);
            running.spawn(async move {
                let done = this.carry_out_one(planned).await;
                drop(held);
                done
            });
        }
        running.join_all().await
    }

    /// Faults upon faults prove little once nothing moves: what is down gets time to come back.
    /// Nor is it a campaign under load when faults run ahead of the commands by far.
    async fn until_something_works(&self) {
        let begun = Instant::now();
        let wanted = self.begun().saturating_sub(AT_ONCE as u64) * self.commands_each * 9 / 10;
        let quiet = || self.world.recorder.silence() > QUIET && begun.elapsed() < PATIENCE;
        let ahead = || self.world.recorder.acknowledged() < wanted && begun.elapsed() < self.load_patience;
        while quiet() || ahead() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn carry_out_one(&self, planned: Planned) -> Done {
        let began_at_ns = self.world.recorder.now_ns();
        let (shown, failure) = match self.perform(&planned).await {
            Ok(shown) => (shown, None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        Done { planned, began_at_ns, ended_at_ns: self.world.recorder.now_ns(), failure, shown }
    }

    async fn perform(&self, planned: &Planned) -> anyhow::Result<Shown> {
        let lasting = Duration::from_millis(planned.duration_ms);
        match planned.kind {
            Kind::Kill => self.kill(self.service(&planned.target)?, lasting).await,
            Kind::Freeze => self.freeze(self.service(&planned.target)?, lasting).await,
            Kind::Cut => self.with_link(planned, Mode::Cut).await,
            Kind::Partition => self.with_link(planned, Mode::Freeze).await,
            Kind::Delay => self.with_link(planned, Mode::Delay(Duration::from_millis(10 + planned.choice % 150))).await,
            Kind::Reset => {
                let link = self.stage.link(&planned.target)?;
                let disturbed = Disturbed::of(link);
                link.reset();
                Ok(disturbed.shown().await)
            }
            Kind::ExecutedButTimedOut => self.with_link(planned, Mode::LoseAnswers).await,
            Kind::DelayedEndTxn if planned.choice.is_multiple_of(2) => {
                self.with_link(planned, Mode::HoldEndTxn(lasting)).await
            }
            Kind::DelayedEndTxn => self.with_link(planned, Mode::LoseEndTxnAnswer).await,
            Kind::BrokerKill => self.kill_broker(lasting).await,
            Kind::BrokerFreeze => self.freeze_broker(lasting).await,
            Kind::PostgresKill => self.kill_postgres(lasting).await,
            Kind::RebalanceStorm => self.storm(self.service(&planned.target)?).await,
            Kind::DiskFull => self.fill_disk(lasting).await,
            Kind::ClockJump => self.jump_clock(planned, lasting).await,
            Kind::Zombie => self.with_link(planned, Mode::AnswerHeartbeats).await,
            Kind::Reorder => self.reorder(lasting).await,
            Kind::Poison => self.poison(planned).await,
        }
    }

    fn service(&self, name: &str) -> anyhow::Result<&Shared> {
        match name {
            "projector" => Ok(&self.stage.projector),
            "query" => Ok(&self.stage.query),
            name => {
                let number = name.rsplit('-').next().and_then(|number| number.parse::<usize>().ok());
                let index = number.and_then(|number| number.checked_sub(1));
                index.and_then(|index| self.stage.instances.get(index)).with_context(|| format!("no service {name}"))
            }
        }
    }

    async fn kill(&self, service: &Shared, away: Duration) -> anyhow::Result<Shown> {
        let killed = service.lock().await.kill().await;
        tokio::time::sleep(away).await;
        let mut process = service.lock().await;
        process.start().await?;
        Ok(killed.map(|id| format!("process {id} was killed")))
    }

    async fn freeze(&self, service: &Shared, lasting: Duration) -> anyhow::Result<Shown> {
        // It may have ended by itself, and is about to be started again.
        let frozen = wait::until(RUNS_WITHIN, || async { service.lock().await.freeze() });
        let id = frozen.await.context("it does not run")?;
        tokio::time::sleep(lasting).await;
        let shown = stands_still(id).await;
        service.lock().await.thaw();
        Ok(shown)
    }

    async fn freeze_broker(&self, lasting: Duration) -> anyhow::Result<Shown> {
        let mut broker = self.stage.kafka.as_ref().context("there is no broker")?.lock().await;
        let id = broker.id().context("it does not run")?;
        broker.freeze();
        tokio::time::sleep(lasting).await;
        let shown = stands_still(id).await;
        broker.thaw();
        Ok(shown)
    }

    /// Stops and starts in quick succession, in order: every partition moves away and back.
    async fn storm(&self, service: &Shared) -> anyhow::Result<Shown> {
        let others = self.stage.instances.iter().filter(|instance| !Arc::ptr_eq(instance, service));
        let watch = OwnersWatch::begin(others.cloned().collect());
        for _ in 0..3 {
            let mut process = service.lock().await;
            process.stop().await;
            process.start().await?;
        }
        Ok(watch.shown(SHOWS_WITHIN).await)
    }

    async fn with_link(&self, planned: &Planned, mode: Mode) -> anyhow::Result<Shown> {
        let link = self.stage.link(&planned.target)?;
        let disturbed = Disturbed::of(link);
        let _urged = self.world.urge();
        link.set(mode);
        tokio::time::sleep(Duration::from_millis(planned.duration_ms)).await;
        link.set(Mode::Pass);
        Ok(disturbed.shown().await)
    }

    /// Requests of clients go on newest first. Clients send pairs meanwhile: two commands about one card.
    async fn reorder(&self, lasting: Duration) -> anyhow::Result<Shown> {
        let gate = &self.stage.gate;
        let (overtaken, swapped) = (gate.overtaken(), self.world.swapped());
        let _urged = self.world.urge();
        self.world.pair(true);
        gate.reverse(true);
        tokio::time::sleep(lasting).await;
        // At best both of a pair were carried out, and in the log the later one stands first.
        wait::until(SHOWS_WITHIN, || async { (self.world.swapped() > swapped).then_some(()) }).await;
        gate.reverse(false);
        self.world.pair(false);
        let (overtaken, swapped) = (gate.overtaken() - overtaken, self.world.swapped() - swapped);
        let text =
            format!("{overtaken} requests went on after a later one; the later one of {swapped} pairs came first");
        Ok((overtaken > 0).then_some(text))
    }

    /// Whatever keeps files there may end of it, and is started again once there is room. Lasts until somebody was refused.
    async fn fill_disk(&self, lasting: Duration) -> anyhow::Result<Shown> {
        let disk = self.stage.disk.as_ref().context("there is no small disk")?;
        let mut logs = Vec::new();
        for service in self.stage.services() {
            logs.push(service.lock().await.log());
        }
        let lines = Lines::of(logs);
        let no_broker_starts = self.room.lock().await;
        let urged = self.world.urge();
        disk.fill()?;
        tokio::time::sleep(lasting).await;
        let shown = wait::until(SHOWS_WITHIN, || async { self.was_refused(&lines) }).await;
        disk.free()?;
        drop((urged, no_broker_starts));
        tokio::time::sleep(WATCH_EVERY).await;
        if self.stage.kafka.is_some() {
            // It has taken its disk for broken, and ends, or stands there and answers nobody.
            self.kill_broker(Duration::ZERO).await?;
        } else if !self.stage.postgres.lock().await.is_running() {
            self.kill_postgres(Duration::ZERO).await?;
        }
        Ok(shown)
    }

    /// Who was refused for lack of room: a service its append or its look at the log, or the server under the log everything.
    fn was_refused(&self, lines: &Lines) -> Shown {
        if let Some(refused) = lines.no_room() {
            return Some(refused);
        }
        if let Some(broker) = &self.stage.kafka {
            // One that is started again at the moment is another fault's.
            let ended = broker.try_lock().is_ok_and(|mut broker| broker.id().is_none());
            return ended.then(|| "the broker ended with its disk full".to_owned());
        }
        let postgres = self.stage.postgres.try_lock().ok()?;
        postgres.refuses_row(LOG_DATABASE).map(|said| format!("Postgres refused rows: {said}"))
    }

    async fn start_broker_if_ended(&self) -> anyhow::Result<()> {
        let ended = match &self.stage.kafka {
            Some(broker) => !broker.lock().await.is_running(),
            None => false,
        };
        if ended {
            self.kill_broker(Duration::ZERO).await?;
        }
        Ok(())
    }

    /// Forwards by minutes or hours, or back by less than a minute. Lasts until something has a time that was not then.
    async fn jump_clock(&self, planned: &Planned, lasting: Duration) -> anyhow::Result<Shown> {
        const JUMPS_S: [i64; 4] = [-40, 90, 3_700, -5];
        let (whose, clock) = self.stage.clock.as_ref().context("there is no clock that jumps")?;
        let jump = JUMPS_S.get(usize::try_from(planned.choice % 4)?).copied().unwrap_or(60);
        let times = Times::of(raw_log(&self.stage).await, self.service(whose)?).await;
        let _urged = self.world.urge();
        clock.jump(jump)?;
        tokio::time::sleep(lasting).await;
        let shown = times.shown(SHOWS_WITHIN).await;
        clock.jump(0)?;
        Ok(shown)
    }

    /// Of a project of its own, whose later events would have to wait.
    async fn poison(&self, planned: &Planned) -> anyhow::Result<Shown> {
        let deadline = Instant::now() + WORKS_WITHIN;
        // Twice, should it be there although nobody said so, is no worse than once.
        let mut written = self.write_poison(planned).await;
        while is_worth_another_try(&written, deadline).await {
            written = self.write_poison(planned).await;
        }
        written.map(Some)
    }

    async fn write_poison(&self, planned: &Planned) -> anyhow::Result<String> {
        let log = raw_log(&self.stage).await;
        let partitions = log.ends(View::Committed).await?;
        let place = usize::try_from(planned.choice % partitions.len().max(1) as u64)?;
        let partition = *partitions.keys().nth(place).context("the log has no partitions")?;
        let project_id = Uuid::from_u64_pair(planned.choice, planned.wait_ms);
        let offset = foreign::write(&log, partition, project_id, &planned.choice.to_be_bytes()).await?;
        Ok(format!("the record lies at {partition}/{offset}"))
    }

    async fn kill_broker(&self, away: Duration) -> anyhow::Result<Shown> {
        let mut broker = self.stage.kafka.as_ref().context("there is no broker")?.lock().await;
        let killed = broker.kill().await;
        tokio::time::sleep(away).await;
        let _room = self.room.lock().await;
        let deadline = Instant::now() + WORKS_WITHIN;
        let mut started = broker.start_again().await;
        while is_worth_another_try(&started, deadline).await {
            started = broker.start_again().await;
        }
        started?;
        Ok(killed.map(|id| format!("process {id} was killed")))
    }

    async fn kill_postgres(&self, away: Duration) -> anyhow::Result<Shown> {
        let mut postgres = self.stage.postgres.lock().await;
        let killed = postgres.kill().await;
        tokio::time::sleep(away).await;
        let deadline = Instant::now() + WORKS_WITHIN;
        let mut started = postgres.start_again().await;
        while is_worth_another_try(&started, deadline).await {
            started = postgres.start_again().await;
        }
        started?;
        Ok(killed.map(|id| format!("process {id} was killed")))
    }

    /// Starts services again that ended by themselves, as whatever keeps services running does. Until `stop`.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(WATCH_EVERY)).await.is_some() {
            for service in self.stage.services() {
                let Ok(mut process) = service.try_lock() else { continue };
                if process.has_ended_by_itself() {
                    self.exits.fetch_add(1, Ordering::Relaxed);
                    drop(process.spawn());
                }
            }
        }
    }

    /// Mends everything and waits until every service is ready.
    pub async fn heal(&self) -> anyhow::Result<()> {
        self.stage.gate.reverse(false);
        if let Some(disk) = &self.stage.disk {
            disk.free()?;
        }
        if let Some((_, clock)) = &self.stage.clock {
            clock.jump(0)?;
        }
        self.start_broker_if_ended().await?;
        if !self.stage.postgres.lock().await.is_running() {
            self.kill_postgres(Duration::ZERO).await?;
        }
        for link in self.stage.links.values() {
            link.set(Mode::Pass);
        }
        for service in self.stage.services() {
            let mut process = service.lock().await;
            process.thaw();
            if !process.is_running() {
                process.start().await?;
            }
            until_ready(&mut process).await?;
        }
        Ok(())
    }
}

/// Whether something failed that may work a little later, when another fault is over.
async fn is_worth_another_try<T>(result: &anyhow::Result<T>, deadline: Instant) -> bool {
    let again = result.is_err() && Instant::now() < deadline;
    if again {
        tokio::time::sleep(WATCH_EVERY).await;
    }
    again
}
