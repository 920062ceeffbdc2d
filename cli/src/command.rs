//! One file for each command: from its arguments to what it writes.

mod act;
mod add;
mod approve;
mod list;
mod logs;
mod project;
mod replay;
mod status;
mod watch;

use clap::CommandFactory;

use crate::api::Api;
use crate::args::{Cli, Command, CompletionsArgs};
use crate::error::{Error, Result};
use crate::output::{self, Output};
use crate::target::Target;
use crate::{demo, dev, docs};

/// Carries a command line out.
pub fn run(cli: Cli, output: Output) -> Result {
    match cli.command {
        Command::Completions(args) => completions(&args),
        Command::Docs => output::raw(&docs::reference_page()),
        Command::RehearsalAgent => std::process::exit(muster_runner::rehearsal_agent_main()),
        command => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .map_err(Error::doing("cannot start the runtime"))?;
            runtime.block_on(in_runtime(command, &cli.global, output))
        }
    }
}

async fn in_runtime(command: Command, global: &crate::args::GlobalArgs, output: Output) -> Result {
    match command {
        Command::Dev(args) => return dev::run(&args, global, output).await,
        Command::Demo(args) => return demo::run(&args, global, output).await,
        _ => {}
    }
    let api = Api::new(&Target::find(global)?)?;
    match command {
        Command::Project(args) => project::run(&api, args.command, output).await,
        Command::Add(args) => add::run(&api, args, output).await,
        Command::List(args) => list::run(&api, args, output).await,
        Command::Status(args) => status::run(&api, args, output).await,
        Command::Dispatch(args) => act::dispatch(&api, args, output).await,
        Command::Approve(args) => approve::approve(&api, args, output).await,
        Command::Reject(args) => approve::reject(&api, args, output).await,
        Command::Answer(args) => act::answer(&api, args, output).await,
        Command::Retry(args) => act::retry(&api, args, output).await,
        Command::Cancel(args) => act::cancel(&api, args, output).await,
        Command::Prompt(args) => act::prompt(&api, args, output).await,
        Command::Watch(args) => watch::run(&api, args, output).await,
        Command::Replay(args) => replay::run(&api, args, output).await,
        Command::Logs(args) => logs::run(&api, args, output).await,
        Command::Dev(_) | Command::Demo(_) | Command::Completions(_) | Command::Docs | Command::RehearsalAgent => {
            Ok(())
        }
    }
}

fn completions(args: &CompletionsArgs) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "muster", &mut script);
    output::raw(&String::from_utf8_lossy(&script))
}
