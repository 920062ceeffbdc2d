//! `muster add`: puts a card on the board.

use std::io::Read;

use muster_client::domain::command::{CreateTask, Criterion};
use muster_client::domain::model::AcceptanceCriterion;

use crate::api::{Api, Project};
use crate::args::{AddArgs, ProjectSelector};
use crate::error::{Error, Result};
use crate::output::{Output, safe};
use crate::{select, short};

pub async fn run(api: &Api, args: AddArgs, output: Output) -> Result {
    let description = match args.description.as_deref() {
        Some("-") => read_stdin()?,
        Some(text) => text.to_owned(),
        None => String::new(),
    };
    let project = select::project(api, &args.project).await?;
    let within = ProjectSelector { project: Some(project.id.to_string()) };
    let mut blocked_by = Vec::new();
    for blocker in &args.blocked_by {
        blocked_by.push(select::task(api, &within, blocker).await?.id);
    }
    let checks = check_names(&project);
    let command = CreateTask {
        task_id: None,
        title: args.title,
        description,
        acceptance_criteria: args.criterion.iter().map(|text| criterion(text, &checks)).collect(),
        priority: args.priority.parse().map_err(|error| Error::Usage(format!("{error}")))?,
        complexity: args.complexity.parse().map_err(|error| Error::Usage(format!("{error}")))?,
        blocked_by,
        interactive: false,
    };
    let outcome = api.send(project.id, command).await?;
    output.value(&outcome, |outcome| {
        let id = outcome.task_id.map(|id| short(id.0)).unwrap_or_default();
        format!("Task {id} is on the board of {}. Follow it with `muster watch {id}`.", safe(&project.name))
    })
}

fn read_stdin() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(Error::doing("standard input"))?;
    Ok(text.trim_end().to_owned())
}

/// The names of the project's verification commands.
fn check_names(project: &Project) -> Vec<String> {
    let commands = project.settings["verification"].as_array().into_iter().flatten();
    commands.filter_map(|command| command["name"].as_str().or(command.as_str())).map(str::to_owned).collect::<Vec<_>>()
}

/// `CHECK: TEXT` where the project has that check; otherwise all of it is the text, colons included.
fn criterion(text: &str, checks: &[String]) -> Criterion {
    let split = text.split_once(':').filter(|(check, _)| checks.iter().any(|known| known == check.trim()));
    match split {
        Some((check, rest)) => {
            Criterion::Full(AcceptanceCriterion { text: rest.trim().to_owned(), check: Some(check.trim().to_owned()) })
        }
        None => Criterion::Text(text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_criterion_names_a_check_only_when_there_is_one() {
        let checks = ["tests".to_owned()];
        let full = AcceptanceCriterion { text: "a: b".to_owned(), check: Some("tests".to_owned()) };
        assert_eq!(criterion("tests: a: b", &checks), Criterion::Full(full));
        assert_eq!(criterion("note: a", &checks), Criterion::Text("note: a".to_owned()));
        assert_eq!(criterion("plain", &checks), Criterion::Text("plain".to_owned()));
    }
}
