//! Whether a project's repository and verification commands are there. A port, so that a service that does not share a
//! machine with the runner can do without. It must never change anything.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use muster_domain::model::VerificationCommand;
use muster_service_kit::{Problem, codes};
use tokio::process::Command;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Looks at what a project names.
#[async_trait]
pub trait RepositoryProbe: Send + Sync {
    /// Refuses a directory that is no git repository, or a branch it lacks: `not_a_git_repository`.
    async fn check_repository(&self, path: &str, default_branch: &str) -> Result<(), Problem>;

    /// Refuses a command whose program does not exist: `verification_command_not_found`.
    async fn check_verification(
        &self,
        repository: Option<&str>,
        commands: &[VerificationCommand],
    ) -> Result<(), Problem>;
}

/// Believes everything: for a service on another machine than the repositories.
#[derive(Debug, Clone, Copy, Default)]
pub struct TrustEverything;

#[async_trait]
impl RepositoryProbe for TrustEverything {
    async fn check_repository(&self, _: &str, _: &str) -> Result<(), Problem> {
        Ok(())
    }

    async fn check_verification(&self, _: Option<&str>, _: &[VerificationCommand]) -> Result<(), Problem> {
        Ok(())
    }
}

/// Looks at this machine's files and asks its `git`.
#[derive(Debug, Clone, Copy, Default)]
pub struct GitProbe;

#[async_trait]
impl RepositoryProbe for GitProbe {
    async fn check_repository(&self, path: &str, default_branch: &str) -> Result<(), Problem> {
        let refuse = |detail: String| Problem::new(codes::NOT_A_GIT_REPOSITORY).detail(detail).with("path", path);
        if !Path::new(path).is_dir() {
            return Err(refuse(format!("{path} is no directory.")));
        }
        git(path, &["rev-parse", "--git-dir"]).await.map_err(|reason| refuse(format!("{path}: {reason}")))?;
        let branch = format!("refs/heads/{default_branch}^{{commit}}");
        git(path, &["rev-parse", "--verify", "--quiet", &branch]).await.map(drop).map_err(|_| {
            refuse(format!("{path} has no branch {default_branch} with a commit."))
                .with("default_branch", default_branch)
        })
    }

    async fn check_verification(
        &self,
        repository: Option<&str>,
        commands: &[VerificationCommand],
    ) -> Result<(), Problem> {
        for command in commands {
            let Some(program) = command.command.first() else { continue };
            if !exists(repository, program) {
                return Err(Problem::new(codes::VERIFICATION_COMMAND_NOT_FOUND)
                    .detail(format!("The verification `{}` runs {program}, which does not exist.", command.name))
                    .with("name", command.name.as_str())
                    .with("program", program.as_str()));
            }
        }
        Ok(())
    }
}

/// As a shell in the repository's root would look for it.
fn exists(repository: Option<&str>, program: &str) -> bool {
    let path = Path::new(program);
    if path.is_absolute() {
        return path.is_file();
    }
    if program.contains('/') {
        return repository.is_none_or(|root| Path::new(root).join(path).is_file());
    }
    let search = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&search).any(|directory| directory.join(program).is_file())
}

async fn git(path: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    // Whose files they are is the runner's concern; the hooks and configuration of the place are never run by this.
    command.args(["-c", "safe.directory=*", "-C", path]).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    let output = tokio::time::timeout(ANSWER_WITHIN, command.output())
        .await
        .map_err(|_| "git did not answer".to_owned())?
        .map_err(|error| format!("git cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    Err(message.lines().next().unwrap_or("git refused").trim().to_owned())
}
