//! `muster demo`: two real tasks on a small real repository, done by rehearsal agents, shown as they happen.
//! It must never cheat: it uses the commands and the event stream that everyone uses, and checks the result itself.

mod play;
mod repository;
mod result;
mod server;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::api::Api;
use crate::args::{DemoArgs, GlobalArgs};
use crate::error::{Error, Result};
use crate::output::Output;
use repository::Greeter;
use server::Server;

/// How long the server may be away in between: it may be restarted while the demo runs.
const PATIENCE: Duration = Duration::from_mins(1);

pub async fn run(args: &DemoArgs, global: &GlobalArgs, output: Output) -> Result {
    let server = Server::find_or_start(global, output).await?;
    let place = Place::choose(args)?;
    let greeter = Greeter::make(&place.path())?;
    let outcome = play_and_show(&server, &greeter, args, output).await;
    let kept = !server.is_private() || args.repository.is_some();
    if kept {
        output.note(format!("The repository is in {}.", greeter.path().display()));
        place.keep();
    }
    server.stop().await;
    outcome
}

async fn play_and_show(server: &Server, greeter: &Greeter, args: &DemoArgs, output: Output) -> Result {
    let api = Api::patient(server.target(), PATIENCE)?;
    let started = Instant::now();
    let limit = Duration::from_secs(args.timeout_s);
    let played = tokio::select! {
        played = tokio::time::timeout(limit, play::play(&api, greeter, output)) => played
            .map_err(|_| Error::Failed(format!("the tasks were not done within {} s", args.timeout_s)))??,
        _ = tokio::signal::ctrl_c() => return Err(Error::Interrupted("interrupted; the tasks go on".to_owned())),
    };
    result::show(&played, greeter, started.elapsed(), output)
}

/// The folder the repository is made in: a temporary one unless it was named.
enum Place {
    Named(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    fn choose(args: &DemoArgs) -> Result<Self> {
        if let Some(named) = &args.repository {
            if named.exists() {
                return Err(Error::Usage(format!("{} exists already", named.display())));
            }
            return std::path::absolute(named).map(Self::Named).map_err(Error::io(named));
        }
        let folder = tempfile::Builder::new().prefix("muster-demo-").tempdir();
        folder.map(Self::Temporary).map_err(Error::doing("the folder for temporary files"))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Named(path) => path.clone(),
            Self::Temporary(folder) => folder.path().join("greeter"),
        }
    }

    /// Leaves the repository where it is; without this, a temporary one is removed.
    fn keep(self) {
        if let Self::Temporary(folder) = self {
            let _path = folder.keep();
        }
    }
}
