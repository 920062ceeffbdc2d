//! `muster project add|list|show`.

use std::collections::BTreeMap;

use muster_client::domain::command::CreateProject;
use muster_client::domain::model::{AgentConfig, AgentKind, ProjectSettings, Role, VerificationCommand};

use crate::api::{Api, Project};
use crate::args::{AddProjectArgs, AgentArg, ProjectCommand, ProjectSelector, ShowProjectArgs, VerifyArg};
use crate::error::{Error, Result};
use crate::output::{Output, Table, safe};
use crate::repository::Repository;
use crate::{select, short, verification};

pub async fn run(api: &Api, command: ProjectCommand, output: Output) -> Result {
    match command {
        ProjectCommand::Add(args) => add(api, args, output).await,
        ProjectCommand::List => list(api, output).await,
        ProjectCommand::Show(args) => show(api, args, output).await,
    }
}

async fn add(api: &Api, args: AddProjectArgs, output: Output) -> Result {
    let repository = Repository::open(&args.path, args.branch.as_deref())?;
    let verification = verification_commands(&args.verify, &repository, output);
    let command = CreateProject {
        name: args.name.clone().unwrap_or_else(|| repository.name()),
        repository_path: path_text(&repository)?,
        default_branch: repository.default_branch.clone(),
        settings: settings(&args, verification)?,
    };
    let name = command.name.clone();
    let outcome = api.create_project(command).await?;
    output.value(&outcome, |outcome| {
        format!(
            "Project {} is {} ({}, branch {}).",
            safe(&name),
            short(outcome.project_id.0),
            repository.path.display(),
            repository.default_branch
        )
    })
}

fn path_text(repository: &Repository) -> Result<String> {
    let path = &repository.path;
    path.to_str().map(str::to_owned).ok_or_else(|| Error::Usage(format!("{} is not UTF-8", path.display())))
}

/// The commands that were given, or else a guess, which is told.
fn verification_commands(given: &[VerifyArg], repository: &Repository, output: Output) -> Vec<VerificationCommand> {
    let command =
        |verify: VerifyArg| VerificationCommand { name: verify.name, command: verify.command, timeout_ms: None };
    if !given.is_empty() {
        return given.iter().cloned().map(command).collect();
    }
    let guesses = verification::guess(&repository.path);
    if guesses.is_empty() {
        output.note(
            "No verification command was given or found: nothing will be tested. Add one with --verify NAME=COMMAND.",
        );
    }
    for guess in &guesses {
        let line = guess.verify.command.join(" ");
        output.note(format!(
            "Guessed from {}: {} = {line}. Use --verify to say otherwise.",
            guess.because, guess.verify.name
        ));
    }
    guesses.into_iter().map(|guess| command(guess.verify)).collect()
}

fn settings(args: &AddProjectArgs, verification: Vec<VerificationCommand>) -> Result<ProjectSettings> {
    let mut settings = ProjectSettings { verification, agents: agents(&args.agent)?, ..ProjectSettings::default() };
    settings.max_iterations = args.max_iterations.unwrap_or(settings.max_iterations);
    settings.max_attempts = args.max_attempts.unwrap_or(settings.max_attempts);
    settings.max_concurrent_runs = args.max_concurrent_runs.unwrap_or(settings.max_concurrent_runs);
    settings.budget.cost_usd_max = args.budget_usd;
    settings.require_plan_approval = !args.auto_approve;
    settings.auto_dispatch = !args.no_auto_dispatch;
    Ok(settings)
}

fn agents(given: &[AgentArg]) -> Result<BTreeMap<String, AgentConfig>> {
    let mut agents = BTreeMap::new();
    for agent in given {
        let role: Role = agent.role.parse().map_err(|_| {
            let roles: Vec<_> = Role::ALL.iter().map(|role| role.as_str()).collect();
            Error::Usage(format!("{:?} is no role: {} are", agent.role, roles.join(", ")))
        })?;
        let kind: AgentKind = agent.kind.parse().map_err(|error| Error::Usage(format!("{error}")))?;
        let config = AgentConfig {
            kind,
            command: agent.command.clone(),
            model: None,
            env: BTreeMap::new(),
            timeout_ms: None,
            silence_timeout_ms: None,
        };
        if agents.insert(role.to_string(), config).is_some() {
            return Err(Error::Usage(format!("the role {role} has two agents")));
        }
    }
    Ok(agents)
}

async fn list(api: &Api, output: Output) -> Result {
    let projects = api.projects().await?;
    output.value(&projects, |projects| {
        let mut table = Table::new(["ID", "NAME", "BRANCH", "REPOSITORY"]);
        for project in projects {
            let path = project.repository_path.display().to_string();
            table.row([short(project.id.0), safe(&project.name), safe(&project.default_branch), safe(&path)]);
        }
        table.render(output.style(), "No projects yet: add one with `muster project add PATH`.")
    })
}

async fn show(api: &Api, args: ShowProjectArgs, output: Output) -> Result {
    let project = select::project(api, &ProjectSelector { project: args.project }).await?;
    output.value(&project, describe)
}

fn describe(project: &Project) -> String {
    let settings = serde_json::to_string_pretty(&project.settings).unwrap_or_default();
    format!(
        "{}\n  id          {}\n  repository  {}\n  branch      {}\n  owner       {}\n  position    {}\n  settings    {}",
        safe(&project.name),
        project.id,
        safe(&project.repository_path.display().to_string()),
        safe(&project.default_branch),
        safe(&project.owner),
        project.position,
        settings.replace('\n', "\n  ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_role_is_refused_and_the_known_ones_are_named() {
        let agent = |role: &str| AgentArg { role: role.to_owned(), kind: "rehearsal".to_owned(), command: vec![] };
        let error = agents(&[agent("king")]).unwrap_err();
        assert!(error.to_string().contains("coder"), "{error}");
        assert!(agents(&[agent("coder"), agent("coder")]).is_err());
        assert_eq!(agents(&[agent("coder")]).unwrap()["coder"].kind, AgentKind::Rehearsal);
    }
}
