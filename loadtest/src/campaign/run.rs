//! One campaign from begin to end: start, load, faults, healing, checks, report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_test_kit::shared::new_folder;
use muster_test_kit::wait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::faults::{Done, Faults};
use super::history::{self, Entry, OffsetSample};
use super::logs::Told;
use super::machine;
use super::options::{Kind, Options};
use super::plan::{self, applies};
use super::process;
use super::recorder::Recorder;
use super::report::{self, Found, Report};
use super::stage::Stage;
use super::subscriber::Subscriber;
use super::verdict::{self, verdict};
use super::workload::{self, World};
use crate::Machine;
use crate::checks::Log;
use crate::servers::Folder;

/// Projects with a subscriber.
const SUBSCRIBERS: usize = 6;
/// How long what was started may take to end, where the campaign breaks off.
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// How often somebody is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(5);
const SAMPLE_EVERY: Duration = Duration::from_millis(500);

/// Runs a campaign.
///
/// # Errors
/// What kept it from running to its end. A violation is no error: it stands in the report.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let folder = Folder(match &options.keep {
        Some(folder) => folder.clone(),
        None => new_folder("campaign"),
    });
    let mark = uuid::Uuid::now_v7().to_string();
    std::fs::create_dir_all(&folder.0)?;
    let stage = OnceLock::new();
    let outcome = tokio::select! {
        outcome = in_folder(options, &folder.0, &mark, &stage) => outcome,
        () = interrupted() => Err(Interrupted.into()),
    };
    let breaks_off = outcome.as_ref().is_err_and(anyhow::Error::is::<Interrupted>);
    if breaks_off {
        (options.tell)("interrupted: everything that was started ends");
    }
    // Nothing is held any more but by tasks that were told to end.
    wait::until(ENDS_WITHIN, || {
        let ended = stage.get().is_none_or(|stage: &Weak<Stage>| stage.strong_count() == 0).then_some(());
        async move { ended }
    })
    .await;
    let left = process::left_over(&mark);
    let violated = |report: &Report| !report.violations.is_empty();
    let kept = options.keep.is_some() || !breaks_off && outcome.as_ref().map_or(true, violated);
    let path = folder.0.clone();
    if kept {
        // Not removed: someone will want to look.
        std::mem::forget(folder);
    }
    let told = if kept { format!("everything is kept in {}", path.display()) } else { "nothing is kept".to_owned() };
    let mut report = outcome.with_context(|| format!("seed {}; {told}", options.seed))?;
    report.violations.extend(left.into_iter().map(|process| Found::new("I12", format!("process {process} is left"))));
    report.kept = kept.then(|| path.display().to_string());
    Ok(report)
}

/// Somebody wanted the campaign to end. There is nothing to try again.
#[derive(Debug, Clone, Copy)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Returns when somebody wants the campaign to end: what was started and mounted must go first.
async fn interrupted() {
    let Ok(mut asked) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = asked.recv() => {}
    }
}

async fn in_folder(
    options: &Options,
    folder: &Path,
    mark: &str,
    held: &OnceLock<Weak<Stage>>,
) -> anyhow::Result<Report> {
    let mut machine = Machine::here();
    let not_run = not_run(options);
    let plan = plan::plan(options, |kind| !not_run.contains_key(&kind));
    let kinds = plan.iter().map(|planned| planned.kind).collect();
    let planned = plan::by_kind(&plan);
    (options.tell)(&format!("starting servers and services in {}", folder.display()));
    let stage = Arc::new(Stage::start(options, folder, mark, &kinds).await.context("starting servers and services")?);
    let _ = held.set(Arc::downgrade(&stage));
    let path = folder.join("history.jsonl");
    let recorder = Recorder::create(&path)?;
    let world = Arc::new(World::new(options, &stage, recorder.clone())?);
    workload::prepare(&world, options.seed).await?;

    let begun = Instant::now();
    let done = under_faults(options, &stage, &world, plan).await?;
    let seconds = begun.elapsed().as_secs_f64();
    recorder.flush()?;
    stage.stop_services().await;

    let history = tokio::task::spawn_blocking(move || history::read(&path)).await??;
    (options.tell)("checking");
    let commands = report::count_commands(&history, seconds);
    let told = Told::read(&folder.join("services"))?;
    let checks = verdict(&stage, history, done.log).await?;
    let mut violations = done.violations;
    violations.extend(Found::all(&checks));
    machine.end();
    let noticed_seconds = begun.elapsed().as_secs_f64();
    Ok(Report {
        seed: options.seed,
        log: options.log,
        mutant: options.mutant.clone(),
        instances: options.instances,
        partitions: options.partitions,
        clients: options.clients,
        machine,
        seconds,
        noticed_seconds,
        not_begun: report::not_begun(&planned, &done.faults),
        faults: report::count_faults(&done.faults),
        disturbed: stage.links.iter().map(|(name, link)| (name.clone(), link.touched())).collect(),
        not_run,
        exits: done.exits,
        hanging_transactions_ended: told.hanging_ended,
        commands,
        takeovers: told.takeovers(),
        checks,
        violations,
        kept: None,
    })
}

/// What the time under faults came to.
struct Outcome {
    faults: Vec<Done>,
    exits: u64,
    violations: Vec<Found>,
    log: Log,
}

async fn under_faults(
    options: &Options,
    stage: &Arc<Stage>,
    world: &Arc<World>,
    plan: Vec<plan::Planned>,
) -> anyhow::Result<Outcome> {
    let (stop_faults, stop_clients, stop_rest) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let commands_each = options.commands / (plan.len() as u64).max(1);
    let faults = Faults::new(Arc::clone(stage), Arc::clone(world), commands_each, options.patience.load);
    let mut background = JoinSet::new();
    background.spawn(Arc::clone(&faults).watch(stop_rest.clone()));
    background.spawn(sample(Arc::clone(stage), world.recorder.clone(), stop_rest.clone()));
    let subscribers = subscribe(options, world, &mut background, &stop_rest)?;
    let clients = workload::start(world, options, &stop_clients)?;

    let planned = plan.len() as u64;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(options.seconds_max);
    let carried_out = {
        let (faults, stop) = (Arc::clone(&faults), stop_faults.clone());
        // Ends with this, should the campaign break off.
        AbortOnDropHandle::new(tokio::spawn(async move { faults.carry_out(plan, &stop).await }))
    };
    let mut told = tokio::time::Instant::now();
    let tell = |what: &str| {
        let (begun, acknowledged) = (faults.begun(), world.recorder.acknowledged());
        (options.tell)(&format!("{what}: {begun} of {planned} faults, {acknowledged} commands acknowledged"));
    };
    tell("under load");
    // Load is spread over the faults, with some to spare.
    while tokio::time::Instant::now() < deadline {
        let begun = faults.begun();
        let share = (begun + 2).min(planned.max(1)) * options.commands * 11 / 10 / planned.max(1);
        world.allow(share.max(options.commands / 50));
        if carried_out.is_finished() && world.recorder.acknowledged() >= options.commands {
            break;
        }
        if told.elapsed() > TELL_EVERY {
            told = tokio::time::Instant::now();
            tell("under load");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop_faults.cancel();
    tell("healing");
    let done = carried_out.await?;
    faults.heal().await.context("healing")?;
    world.allow(u64::MAX);
    world.hurry(true);
    stop_clients.cancel();
    clients.join_all().await;
    world.hurry(false);
    tell("asking again");
    workload::ask_again(world, options.seed).await?;
    // Leases end by themselves: what is written last would otherwise come when nobody projects any more.
    stage.stop_writing().await;
    let log = verdict::whole_log(stage).await?;
    let violations = calm(stage, &log, &subscribers, options.patience.calm).await;
    stop_rest.cancel();
    background.join_all().await;
    Ok(Outcome { faults: done, exits: faults.exits(), violations, log })
}

type Following = Vec<(uuid::Uuid, Arc<std::sync::atomic::AtomicU64>)>;

fn subscribe(
    options: &Options,
    world: &Arc<World>,
    background: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> anyhow::Result<Following> {
    let mut following = Vec::new();
    for (number, project) in (0..).zip(world.projects.iter().take(SUBSCRIBERS)) {
        let subscriber = Subscriber::new(number, project.id, &world.query, world.recorder.clone(), options.seed)?;
        following.push((project.id, subscriber.position()));
        background.spawn(subscriber.run(stop.clone()));
    }
    Ok(following)
}

/// Waits until the read model has every event of the log, and subscribers have every event of the read model.
async fn calm(stage: &Stage, log: &Log, subscribers: &Following, within: Duration) -> Vec<Found> {
    let deadline = tokio::time::Instant::now() + within;
    let mut missing = Vec::new();
    while tokio::time::Instant::now() < deadline {
        missing = match behind(stage, log, subscribers).await {
            Ok(missing) => missing,
            Err(error) => vec![Found::new("I8", format!("the read model cannot be read: {error:#}"))],
        };
        if missing.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    missing
}

async fn behind(stage: &Stage, log: &Log, subscribers: &Following) -> anyhow::Result<Vec<Found>> {
    let rows = stage.read_rows("select project_id, position from muster_read.project_positions").await?;
    let projected: BTreeMap<String, u64> =
        rows.into_iter().filter_map(|row| Some((row.first()?.clone(), row.get(1)?.parse().ok()?))).collect();
    let mut missing = Vec::new();
    for (project_id, wanted) in log.positions() {
        let id = project_id.to_string();
        let at = projected.get(&id).copied().unwrap_or(0);
        if at < wanted {
            let evidence = format!("project {id}: position {wanted} is in the log, the read model stands at {at}");
            missing.push(Found::new("I8", evidence));
        }
        let follower = subscribers.iter().find(|(followed, _)| *followed == project_id);
        if let Some((_, seen)) = follower
            && seen.load(Ordering::Relaxed) < at
        {
            let evidence =
                format!("project {id}: its subscriber got no further than {} of {at}", seen.load(Ordering::Relaxed));
            missing.push(Found::new("I7", evidence));
        }
    }
    Ok(missing)
}

/// Samples the projection's offsets until `stop`.
async fn sample(stage: Arc<Stage>, recorder: Recorder, stop: CancellationToken) {
    const SQL: &str = "select projection, version, array_agg(partition), array_agg(next_offset), \
        (select sum(position) from muster_read.project_positions) from muster_read.projection_offsets group by 1, 2";
    while stop.run_until_cancelled(tokio::time::sleep(SAMPLE_EVERY)).await.is_some() {
        let at_ns = recorder.now_ns();
        // It may be away: that is what campaigns are for.
        let Ok(rows) = stage.read_rows(SQL).await else { continue };
        for sample in rows.iter().filter_map(|row| offsets(row, at_ns)) {
            recorder.write(&Entry::Offset(sample));
        }
    }
}

fn offsets(row: &[String], at_ns: u64) -> Option<OffsetSample> {
    let [projection, version, partitions, next_offsets, applied_events] = row else { return None };
    let list = |text: &str| text.trim_matches(['{', '}']).split(',').map(str::to_owned).collect::<Vec<_>>();
    let pairs = list(partitions).into_iter().zip(list(next_offsets));
    Some(OffsetSample {
        projection: projection.clone(),
        version: version.parse().ok()?,
        next_offsets: pairs
            .map(|(partition, next)| Some((partition.parse().ok()?, next.parse().ok()?)))
            .collect::<Option<_>>()?,
        applied_events: applied_events.parse().ok(),
        at_ns,
    })
}

/// Kinds that were asked for and cannot be had here, with the reason.
fn not_run(options: &Options) -> BTreeMap<Kind, String> {
    let wanted = |kind: Kind| (options.kinds.is_empty() || options.kinds.contains(&kind)) && applies(kind, options.log);
    let reasons = [(Kind::DiskFull, machine::no_small_disk as fn() -> _), (Kind::ClockJump, machine::no_clock)];
    let reasons = reasons.into_iter().filter(|(kind, _)| wanted(*kind));
    reasons.filter_map(|(kind, reason)| Some((kind, reason()?))).collect()
}

/// Where programs are when nothing else is said: beside this one.
pub fn programs_beside_this() -> std::io::Result<PathBuf> {
    let this = std::env::current_exe()?;
    // Tests stand one folder deeper.
    let folder = this.parent().map(Path::to_owned).unwrap_or_default();
    Ok(if folder.ends_with("deps") { folder.parent().map(Path::to_owned).unwrap_or_default() } else { folder })
}
