//! Starts Postgres, Kafka and the schema registry once, runs a command that finds them in its environment, and stops
//! them when it ends.
//!
//! `muster-test-servers [--without-kafka] [--env-file FILE] -- COMMAND [ARGUMENT...]`
//!
//! Ends with the command's exit code. A signal to stop is passed on to the command. If this program is killed, the
//! kernel stops the servers and the command.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use muster_test_kit::postgres::PostgresServer;
use muster_test_kit::shared::{KAFKA_VARIABLE, POSTGRES_VARIABLE, REGISTRY_VARIABLE};
use muster_test_kit::{kafka::KafkaServer, process, registry::RegistryServer, shared};
use tokio::signal::unix::{SignalKind, signal};

type AnyError = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) => {
            say(&format!("muster-test-servers: {error}"));
            ExitCode::FAILURE
        }
    }
}

struct Arguments {
    kafka: bool,
    env_file: Option<PathBuf>,
    command: Vec<String>,
}

/// The servers, each in its folder, which is removed afterwards.
struct Servers {
    postgres: PostgresServer,
    kafka: Option<(KafkaServer, RegistryServer)>,
    folders: Vec<PathBuf>,
}

async fn run() -> Result<ExitCode, AnyError> {
    let arguments = arguments(std::env::args().skip(1))?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let servers = tokio::select! {
        servers = start(arguments.kafka) => servers?,
        _ = interrupt.recv() => return Ok(ExitCode::from(130)),
        _ = terminate.recv() => return Ok(ExitCode::from(143)),
    };
    let variables = servers.variables();
    if let Some(file) = &arguments.env_file {
        let lines: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        std::fs::write(file, lines.concat())?;
    }

    let mut command = Command::new(&arguments.command[0]);
    command.args(&arguments.command[1..]).envs(variables);
    let mut child = process::spawn_attached(command).map_err(|error| format!("{}: {error}", arguments.command[0]))?;
    let id = child.id();
    let mut ended = tokio::task::spawn_blocking(move || child.wait());
    let status = loop {
        tokio::select! {
            status = &mut ended => break status??,
            // A Ctrl-C in the terminal has reached the command already.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => process::signal(id, libc::SIGTERM)?,
        }
    };
    servers.stop();
    Ok(exit_code(status))
}

/// The command's own code, or 128 and the signal that ended it, as a shell would say.
fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

async fn start(with_kafka: bool) -> Result<Servers, AnyError> {
    let folders: Vec<PathBuf> = ["postgres", "kafka", "registry"].map(shared::new_folder).into();
    let kafka = async {
        if !with_kafka {
            return Ok::<_, AnyError>(None);
        }
        let (kafka, registry) = tokio::join!(shared::start_kafka(&folders[1]), shared::start_registry(&folders[2]));
        Ok(Some((kafka?, registry?)))
    };
    let (postgres, kafka) = tokio::join!(shared::start_postgres(&folders[0]), kafka);
    Ok(Servers { postgres: postgres?, kafka: kafka?, folders })
}

impl Servers {
    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![(POSTGRES_VARIABLE, self.postgres.url("postgres"))];
        if let Some((kafka, registry)) = &self.kafka {
            variables.push((KAFKA_VARIABLE, kafka.bootstrap()));
            variables.push((REGISTRY_VARIABLE, registry.url()));
        }
        variables
    }

    fn stop(self) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.postgres.stop());
            if let Some((kafka, registry)) = self.kafka {
                scope.spawn(|| kafka.stop());
                scope.spawn(|| registry.stop());
            }
        });
        for folder in self.folders {
            if let Err(error) = std::fs::remove_dir_all(&folder) {
                say(&format!("muster-test-servers: {}: {error}", folder.display()));
            }
        }
    }
}

fn arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, AnyError> {
    let mut arguments = Arguments { kafka: true, env_file: None, command: Vec::new() };
    while let Some(argument) = given.next() {
        match argument.as_str() {
            "--without-kafka" => arguments.kafka = false,
            "--env-file" => arguments.env_file = Some(given.next().ok_or("--env-file needs a file")?.into()),
            "--" => {
                arguments.command = given.collect();
                break;
            }
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    if arguments.command.is_empty() {
        return Err("usage: muster-test-servers [--without-kafka] [--env-file FILE] -- COMMAND [ARGUMENT...]".into());
    }
    Ok(arguments)
}

#[expect(clippy::print_stderr, reason = "a command line program speaks to its user")]
fn say(text: &str) {
    eprintln!("{text}");
}
