//! The end of the demo: what is on the default branch, whether its tests pass, how long it took.

use std::time::Duration;

use muster_client::domain::id::{ProjectId, TaskId};
use muster_client::domain::state::Task;
use serde::Serialize;

use super::play::{Played, is_done};
use super::repository::Greeter;
use crate::error::{Error, Result};
use crate::output::{Colour, Output, duration, safe};

#[derive(Serialize)]
struct Report {
    demo: Demo,
}

#[derive(Serialize)]
struct Demo {
    done: bool,
    project_id: ProjectId,
    repository: String,
    tasks: Vec<TaskReport>,
    commits: Vec<String>,
    tests_passed: bool,
    test_output: String,
    events: u64,
    duration_ms: u64,
}

#[derive(Serialize)]
struct TaskReport {
    task_id: TaskId,
    title: String,
    status: &'static str,
    runs: usize,
    iterations: usize,
    duration_ms: u64,
    merge_commit: Option<String>,
}

impl From<&Task> for TaskReport {
    fn from(task: &Task) -> Self {
        Self {
            task_id: task.id,
            title: task.title.clone(),
            status: task.status.as_str(),
            runs: task.runs.len(),
            iterations: task.runs.iter().map(|run| run.iterations.len()).sum(),
            duration_ms: task.updated_at.ms_since(task.created_at),
            merge_commit: task.merge_commit.clone(),
        }
    }
}

/// Shows the result; an error unless both tasks are done and the tests pass.
pub fn show(played: &Played, greeter: &Greeter, elapsed: Duration, output: Output) -> Result {
    let commits = greeter.commits()?;
    let tests = greeter.test_default_branch()?;
    let all_done = played.tasks.len() == 2 && played.tasks.iter().all(is_done);
    let demo = Demo {
        done: all_done && tests.passed,
        project_id: played.project_id,
        repository: greeter.path().display().to_string(),
        tasks: played.tasks.iter().map(TaskReport::from).collect(),
        commits,
        tests_passed: tests.passed,
        test_output: tests.output,
        events: played.events,
        duration_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    };
    for line in lines(&demo, output) {
        output.line(line)?;
    }
    let done = demo.done;
    output.json_line(&Report { demo })?;
    if done { Ok(()) } else { Err(Error::Failed("the demo did not come to its end: see above".to_owned())) }
}

fn lines(demo: &Demo, output: Output) -> Vec<String> {
    let style = output.style();
    let mut lines = vec![String::new(), style.paint(Colour::Bold, "$ git log --oneline main")];
    lines.extend(demo.commits.iter().map(|commit| safe(commit)));
    lines.push(String::new());
    lines.push(style.paint(Colour::Bold, "$ sh test.sh"));
    lines.extend(demo.test_output.lines().map(safe));
    lines.push(String::new());
    for (number, task) in demo.tasks.iter().enumerate() {
        lines.push(format!(
            "#{} {}  {}: {} runs, {} iterations, {}",
            number + 1,
            style.status(task.status),
            safe(&task.title),
            task.runs,
            task.iterations,
            duration(task.duration_ms)
        ));
    }
    let verdict = if demo.done { style.paint(Colour::Green, "done") } else { style.paint(Colour::Red, "not done") };
    lines.push(format!("{verdict}: {} events in {}", demo.events, duration(demo.duration_ms)));
    lines
}
