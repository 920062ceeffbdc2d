//! What a campaign is asked to do. Data only.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

/// Where the services keep events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// In Kafka.
    Kafka,
    /// In Postgres.
    Postgres,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Kind {
    /// A service is killed and started again.
    Kill,
    /// A service stops for a while and goes on as if nothing had been: a zombie, when it was longer than its session.
    Freeze,
    /// Every connection of a link ends, and new ones too, for a while.
    Cut,
    /// Nothing gets through a link for a while, and nothing ends.
    Partition,
    /// A link is slow.
    Delay,
    /// The connections of a link are reset, once.
    Reset,
    /// Requests get through a link, answers do not: the work is done, the answer lost.
    ExecutedButTimedOut,
    /// The end of each transaction is held back on its way to the broker, or its answer lost.
    DelayedEndTxn,
    /// The broker is killed and started again.
    BrokerKill,
    /// The broker stops for a while.
    BrokerFreeze,
    /// Postgres is killed and started again.
    PostgresKill,
    /// Instances stop in order and start again in quick succession.
    RebalanceStorm,
    /// The disk under the log is full for a while.
    DiskFull,
    /// The clock of an instance jumps.
    ClockJump,
    /// Requests of clients overtake each other, also those about one card, on their way to all instances.
    Reorder,
    /// Heartbeats of an instance are answered on their way and never arrive: it is put out of the group and works on.
    Zombie,
    /// Somebody who is no writer puts a record into the log that holds no event.
    Poison,
}

/// How long is waited for what may never come.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long a command is sent again before its fate counts as unknown.
    pub settled: Duration,
    /// For answers to all commands whose fate is unknown, in the end.
    pub asked: Duration,
    /// Until projection and subscribers come to rest, in the end.
    pub calm: Duration,
    /// How long a fault waits for the commands that should have come before it.
    pub load: Duration,
}

impl Patience {
    /// Of services that are expected to do what they should.
    pub const LONG: Self = Self {
        settled: Duration::from_secs(15),
        asked: Duration::from_mins(2),
        calm: Duration::from_mins(1),
        load: Duration::from_secs(20),
    };
    /// Of services that may be broken: what is not there soon will not come.
    pub const SHORT: Self = Self {
        settled: Duration::from_secs(3),
        asked: Duration::from_secs(5),
        calm: Duration::from_secs(8),
        load: Duration::from_secs(3),
    };
}

/// A campaign.
#[derive(Debug, Clone)]
pub struct Options {
    /// From which everything follows: which faults come when, and what each client asks for.
    pub seed: u64,
    /// Which log.
    pub log: LogKind,
    /// Faults.
    pub faults: usize,
    /// Commands that should be acknowledged. Load is spread so that they are about done when the faults are.
    pub commands: u64,
    /// Seconds after which no further fault begins.
    pub seconds_max: u64,
    /// Kinds of faults; all when empty.
    pub kinds: Vec<Kind>,
    /// As many faults of each kind, instead of a number in all.
    pub each: Option<usize>,
    /// Instances of the command service.
    pub instances: usize,
    /// Clients that send commands.
    pub clients: usize,
    /// Partitions of the log in Kafka.
    pub partitions: u32,
    /// Where the services' programs are.
    pub bin_dir: PathBuf,
    /// A mutant of the services that should be noticed.
    pub mutant: Option<String>,
    /// Where logs, history and data are left. Without it they are removed when it came to its end and nothing was
    /// violated.
    pub keep: Option<PathBuf>,
    /// Servers that start sooner and run slower.
    pub short_lived: bool,
    /// How long is waited for what may never come.
    pub patience: Patience,
    /// Who is told how far it is, line by line.
    pub tell: fn(&str),
}

impl Options {
    /// How long an instance may be silent before its partitions are given to others, in milliseconds.
    pub const SESSION_TIMEOUT_MS: u64 = 1_200;
}
