//! A short campaign on each log: two faults of each kind that this machine can have, and nothing may be violated.
//!
//! In a program of its own, so that it has the machine to itself. Never how fast anything was.

#![expect(clippy::unwrap_used, reason = "test code")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::ValueEnum as _;
use muster_loadtest::campaign::{self, Kind, LogKind, Options, Patience, Report};
use muster_test_kit::{process, wait};
use tokio::sync::Mutex;

/// Seed of both. A failure names it, and `loadtest campaign --seed` runs it again.
const SEED: u64 = 20_261_121;
const EACH: usize = 2;
/// Kinds of which at least one fault must be shown to have bitten. The others are about a link that may be silent.
const SHOWN: [Kind; 7] =
    [Kind::Kill, Kind::Freeze, Kind::BrokerKill, Kind::BrokerFreeze, Kind::PostgresKill, Kind::Reorder, Kind::Poison];
/// The same where no broker is: one that is killed or frozen meanwhile may keep these from being noticed.
const SHOWN_ON_POSTGRES: [Kind; 3] = [Kind::RebalanceStorm, Kind::DiskFull, Kind::ClockJump];
/// What only a broker can have.
const ONLY_ON_KAFKA: [Kind; 4] = [Kind::DelayedEndTxn, Kind::BrokerKill, Kind::BrokerFreeze, Kind::Zombie];
/// Reached only when something is broken.
const PATIENCE: Duration = Duration::from_mins(2);

/// One campaign at a time.
static TURN: Mutex<()> = Mutex::const_new(());

async fn slice(log: LogKind) -> Report {
    let _turn = TURN.lock().await;
    let options = Options {
        seed: SEED,
        log,
        faults: 0,
        each: Some(EACH),
        commands: 250,
        // It ends when the plan is carried out; on a machine where this is not enough, that is told.
        seconds_max: 900,
        kinds: Vec::new(),
        instances: 2,
        clients: 10,
        partitions: 12,
        bin_dir: campaign::programs_beside_this().expect("this program has a path"),
        mutant: None,
        keep: None,
        short_lived: true,
        patience: Patience::LONG,
        tell: |_| {},
    };
    let report = campaign::run(&options).await.unwrap_or_else(|error| panic!("{error:#}"));
    assert!(report.violations.is_empty(), "{}", report.table());
    assert!(report.checks.len() == 12 && report.checks.iter().all(|check| check.examined > 0), "{}", report.table());
    assert!(report.commands.acknowledged > 0 && report.commands.unknown == 0, "{}", report.table());
    // Of the plan, not of what the report has: what never came would otherwise pass.
    assert!(report.not_begun.is_empty(), "not all of it came in time: {}", report.table());
    for kind in Kind::value_variants() {
        let comes = !report.not_run.contains_key(kind) && (log == LogKind::Kafka || !ONLY_ON_KAFKA.contains(kind));
        let count = report.faults.get(kind).cloned().unwrap_or_default();
        let wanted = if comes { EACH as u64 } else { 0 };
        assert!((count.done, count.failed) == (wanted, 0), "{kind:?}: {}", report.table());
        let certain = SHOWN.contains(kind) || log == LogKind::Postgres && SHOWN_ON_POSTGRES.contains(kind);
        assert!(count.shown > 0 || !(comes && certain), "nothing shows {kind:?}: {}", report.table());
        assert_eq!(count.shown + count.not_shown.len() as u64, count.done);
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_on_postgres() {
    let report = slice(LogKind::Postgres).await;
    assert!(report.commands.duplicates.alike > 0 && report.commands.overtaken > 0, "{}", report.table());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_on_kafka() {
    slice(LogKind::Kafka).await;
}

/// What stands for Ctrl-C.
const SIGINT: i32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_campaign_leaves_nothing() {
    let _turn = TURN.lock().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    // Whatever is broken when it is interrupted: what was frozen must not be left behind.
    command.args(["campaign", "--kinds", "freeze", "--faults", "50", "--instances", "2", "--partitions", "2"]);
    let mut campaign = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(campaign.stderr.take().unwrap()).lines().map_while(Result::ok);
    let folder =
        lines.find_map(|line| Some(line.split_once(" services in ")?.1.to_owned())).expect("the folder is told");
    assert!(lines.any(|line| line.starts_with("under load")));
    assert!(Path::new(&folder).exists() && !working_in(&folder).is_empty());

    process::signal(campaign.id(), SIGINT).unwrap();

    let status = wait::until(PATIENCE, || {
        let status = campaign.try_wait().unwrap();
        async move { status }
    });
    assert_eq!(status.await.expect("it ends").code(), Some(130));
    assert_eq!(working_in(&folder), [""; 0]);
    assert!(!Path::new(&folder).exists(), "{folder}");
    assert!(lines.any(|line| line.contains("nothing is kept")));
}

/// Processes whose command or folder of work is in `folder`.
fn working_in(folder: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let works_there = |process: &std::path::PathBuf| {
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let place = std::fs::read_link(process.join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(folder) || place.starts_with(folder)
    };
    processes.filter(works_there).map(|process| process.display().to_string()).collect()
}
