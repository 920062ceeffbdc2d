//! `muster dev` and `muster demo`.

use std::path::PathBuf;

use clap::Args;

/// `muster dev`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  muster dev                        everything on http://127.0.0.1:4400, data in ~/.local/share/muster
  muster dev --port 0               on a free port, which is printed
  muster dev --kafka                the log in Apache Kafka with a schema registry, started here as well
  muster dev --data-dir /srv/muster keep the data elsewhere

Prints `ready URL` when everything is. Ctrl-C stops all that it started. The data is kept: the next start goes on.")]
pub struct DevArgs {
    /// Keep the log in Apache Kafka with a schema registry; needs Java 17 and, the first time, Maven
    #[arg(long)]
    pub kafka: bool,
    /// TCP port; 0 takes a free one [default: 4400]
    #[arg(long)]
    pub port: Option<u16>,
    /// Address to listen on [default: 127.0.0.1]
    #[arg(long)]
    pub host: Option<String>,
    /// Start no agents: runners are started elsewhere
    #[arg(long)]
    pub no_runner: bool,
}

/// `muster demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  muster demo                 against the running `muster dev`, or a private one for the time it takes
  muster demo --json          every event as one line of JSON, then the result
  muster demo --repository /tmp/greeter
                              make the repository there and keep it

Makes a small git repository whose test fails, and two tasks, the second of which waits for the first. Rehearsal agents
(real processes that follow a script) plan, code, test, review and merge. Exits with 0 when both tasks are done.")]
pub struct DemoArgs {
    /// Where to make the repository; must not exist yet [default: a new folder for temporary files]
    #[arg(long, value_name = "DIR")]
    pub repository: Option<PathBuf>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub timeout_s: u64,
}
