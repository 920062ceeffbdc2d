//! From what a person types to the project, task or run that is meant. It must never take one of several that fit.

use std::path::Path;

use muster_client::domain::id::{ProjectId, RunId, TaskId};
use uuid::Uuid;

use crate::api::{Api, Project, RunRow, TaskRow};
use crate::args::ProjectSelector;
use crate::error::{Error, Result};
use crate::short;

/// Fewest characters of an id that may stand for it.
const SHORTEST: usize = 4;

/// The project that is meant: the one that is named, the one that holds the working directory, or the only one.
pub async fn project(api: &Api, selector: &ProjectSelector) -> Result<Project> {
    let projects = api.projects().await?;
    match &selector.project {
        Some(name) => named(projects, name),
        None => implied(projects, std::env::current_dir().ok().as_deref()),
    }
}

fn named(projects: Vec<Project>, name: &str) -> Result<Project> {
    let by_name: Vec<_> = projects.iter().filter(|project| project.name == name).cloned().collect();
    let found = if by_name.is_empty() {
        projects.into_iter().filter(|project| matches(project.id.0, name)).collect()
    } else {
        by_name
    };
    one(found, "project", name, |project| format!("{} ({})", project.name, short(project.id.0)))
}

fn implied(projects: Vec<Project>, directory: Option<&Path>) -> Result<Project> {
    let holds = |project: &&Project| directory.is_some_and(|directory| directory.starts_with(&project.repository_path));
    let deepest = projects.iter().filter(holds).map(|project| project.repository_path.components().count()).max();
    let found: Vec<_> = match deepest {
        Some(depth) => {
            let here = |project: &Project| holds(&project) && project.repository_path.components().count() == depth;
            projects.into_iter().filter(here).collect()
        }
        None => projects,
    };
    match found.len() {
        0 => Err(Error::NotFound("there is no project yet: add one with `muster project add PATH`".to_owned())),
        1 => one(found, "project", "", |project| project.name.clone()),
        _ => {
            let names: Vec<_> =
                found.iter().map(|project| format!("{} ({})", project.name, short(project.id.0))).collect();
            Err(Error::Usage(format!("which project? Name one with --project: {}", names.join(", "))))
        }
    }
}

/// The task that is meant and its project: among those of the selected project, or of all.
pub async fn task(api: &Api, selector: &ProjectSelector, text: &str) -> Result<TaskRow> {
    let not_found = || Error::NotFound(format!("there is no task {text:?}"));
    if let Ok(id) = text.parse::<Uuid>() {
        return api.task(TaskId(id), None).await?.ok_or_else(not_found);
    }
    check_abbreviation(text)?;
    let projects: Vec<ProjectId> = match &selector.project {
        Some(name) => vec![named(api.projects().await?, name)?.id],
        None => api.projects().await?.into_iter().map(|project| project.id).collect(),
    };
    let mut found = Vec::new();
    for project_id in projects {
        found.extend(api.tasks(project_id, &[]).await?.into_iter().filter(|task| matches(task.id.0, text)));
    }
    one(found, "task", text, |task| format!("{} ({})", short(task.id.0), task.title))
}

/// The run that is meant.
pub async fn run(api: &Api, selector: &ProjectSelector, text: &str) -> Result<RunRow> {
    if let Ok(id) = text.parse::<Uuid>() {
        return api.run(RunId(id)).await?.ok_or_else(|| Error::NotFound(format!("there is no run {text:?}")));
    }
    check_abbreviation(text)?;
    let projects: Vec<ProjectId> = match &selector.project {
        Some(name) => vec![named(api.projects().await?, name)?.id],
        None => api.projects().await?.into_iter().map(|project| project.id).collect(),
    };
    let mut found = Vec::new();
    for project_id in projects {
        found.extend(api.runs(project_id).await?.into_iter().filter(|run| matches(run.id.0, text)));
    }
    one(found, "run", text, |run| format!("{} ({})", short(run.id.0), run.role))
}

/// The one of `found`, or an error that names the candidates.
pub fn one<T>(mut found: Vec<T>, kind: &str, text: &str, name: impl Fn(&T) -> String) -> Result<T> {
    match found.len() {
        0 => Err(Error::NotFound(format!("there is no {kind} {text:?}"))),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<_> = found.iter().take(10).map(name).collect();
            Err(Error::Usage(format!("{text:?} fits several {kind}s: {}", names.join(", "))))
        }
    }
}

fn check_abbreviation(text: &str) -> Result {
    let digits = text.chars().filter(|letter| *letter != '-');
    if digits.clone().count() < SHORTEST || !digits.clone().all(|letter| letter.is_ascii_hexdigit()) {
        return Err(Error::Usage(format!(
            "{text:?} is no id: give one, or at least {SHORTEST} hexadecimal digits of its beginning or end"
        )));
    }
    Ok(())
}

/// Whether `text` is the id, or a beginning or end of it, hyphens aside.
pub fn matches(id: Uuid, text: &str) -> bool {
    let wanted = text.replace('-', "").to_ascii_lowercase();
    let whole = id.simple().to_string();
    wanted.len() >= SHORTEST && (whole.ends_with(&wanted) || whole.starts_with(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(number: u128, name: &str, path: &str) -> Project {
        Project {
            id: ProjectId(Uuid::from_u128(number)),
            name: name.to_owned(),
            repository_path: path.into(),
            default_branch: "main".to_owned(),
            owner: "ada".to_owned(),
            settings: serde_json::Value::Null,
            position: 1,
        }
    }

    #[test]
    fn an_id_is_known_by_its_beginning_or_end() {
        let id: Uuid = "0199d6a0-1234-7000-8000-00000000beef".parse().unwrap();
        for text in ["beef", "0000beef", "BEEF", "0199d6a0", "0199d6a0-1234", &id.to_string()] {
            assert!(matches(id, text), "{text}");
        }
        for text in ["eef", "1234", "", "0000beee"] {
            assert!(!matches(id, text), "{text}");
        }
    }

    #[test]
    fn the_project_is_the_one_around_the_working_directory() {
        let projects = || vec![project(1, "outer", "/src"), project(2, "inner", "/src/inner"), project(3, "b", "/b")];
        let at = |path: &str| implied(projects(), Some(Path::new(path))).map(|project| project.name);
        assert_eq!(at("/src/inner/deep").unwrap(), "inner");
        assert_eq!(at("/src/other").unwrap(), "outer");
        assert_eq!(at("/srcs").unwrap_err().exit_code(), 2, "several, none of them here");
        let only = implied(vec![project(3, "b", "/b")], Some(Path::new("/"))).unwrap();
        assert_eq!(only.name, "b");
        assert_eq!(implied(vec![], None).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn a_name_wins_over_an_id_and_twins_are_refused() {
        let projects =
            || vec![project(0xbeef, "a", "/a"), project(2, "beef", "/b"), project(3, "x", "/c"), project(4, "x", "/d")];
        assert_eq!(named(projects(), "beef").unwrap().repository_path, Path::new("/b"));
        assert_eq!(named(projects(), "x").unwrap_err().exit_code(), 2);
        assert_eq!(named(projects(), "nope").unwrap_err().exit_code(), 4);
    }
}
