//! `muster status`: one card in full, or how many cards stand where.

use std::fmt::Write as _;

use muster_client::domain::model::TaskStatus;
use muster_client::domain::state::{Task, fold_task};
use serde::Serialize;

use crate::api::Api;
use crate::args::StatusArgs;
use crate::error::{Error, Result};
use crate::output::{Colour, Output, Style, Table, plan_text, safe, safe_lines, shorten};
use crate::{select, short};

const TEXT_MAX: usize = 100;

pub async fn run(api: &Api, args: StatusArgs, output: Output) -> Result {
    match &args.task {
        Some(text) => {
            let row = select::task(api, &args.project, text).await?;
            let events = api.history(row.id).await?;
            let task = events.iter().fold(None, fold_task);
            let task = task.ok_or_else(|| Error::NotFound(format!("there is no task {text:?}")))?;
            output.value(&task, |task| describe(task, output.style()))
        }
        None => board(api, &args, output).await,
    }
}

#[derive(Serialize)]
struct Count {
    status: &'static str,
    tasks: usize,
}

async fn board(api: &Api, args: &StatusArgs, output: Output) -> Result {
    let project = select::project(api, &args.project).await?;
    let tasks = api.tasks(project.id, &[]).await?;
    let counts: Vec<Count> = TaskStatus::ALL
        .iter()
        .map(|status| Count {
            status: status.as_str(),
            tasks: tasks.iter().filter(|task| task.status == status.as_str()).count(),
        })
        .filter(|count| count.tasks > 0)
        .collect();
    output.value(&counts, |counts| {
        let mut table = Table::new(["STATUS", "CARDS"]).with_status_column(0);
        for count in counts {
            table.row([count.status.to_owned(), count.tasks.to_string()]);
        }
        format!("{}\n{}", safe(&project.name), table.render(output.style(), "No cards."))
    })
}

/// A card as a person reads it.
pub fn describe(task: &Task, style: Style) -> String {
    let mut text = format!("{}\n", style.paint(Colour::Bold, safe(&task.title)));
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:10} {value}");
    };
    let reason = task.status_reason.as_deref().map(|reason| format!(" ({})", shorten(reason, TEXT_MAX)));
    line("id", task.id.to_string());
    line("status", format!("{}{}", style.status(task.status.as_str()), reason.unwrap_or_default()));
    line("priority", format!("{}, size {}", task.priority, task.complexity));
    line("by", safe(&task.created_by));
    if !task.blocked_by.is_empty() {
        let blockers: Vec<_> = task.blocked_by.iter().map(|id| short(id.0)).collect();
        line("blocked by", blockers.join(", "));
    }
    line("sequence", task.sequence.to_string());
    if task.tokens_used > 0 || task.cost_usd > 0.0 {
        line("used", format!("{} tokens, ${:.4}", task.tokens_used, task.cost_usd));
    }
    if let Some(error) = &task.error {
        line("error", format!("{}: {}", error.kind, shorten(&error.message, TEXT_MAX)));
    }
    if let Some(commit) = &task.merge_commit {
        line("merged as", safe(commit));
    }
    append_parts(&mut text, task, style);
    text
}

fn append_parts(text: &mut String, task: &Task, style: Style) {
    if !task.description.is_empty() {
        let _ = writeln!(text, "\n{}", safe_lines(&task.description));
    }
    for (index, criterion) in task.acceptance_criteria.iter().enumerate() {
        let shown = task.evidence.iter().any(|evidence| usize::try_from(evidence.criterion_index) == Ok(index));
        let mark = if shown { style.paint(Colour::Green, "✓") } else { "·".to_owned() };
        let _ = writeln!(text, "  {mark} {}", safe(&criterion.text));
    }
    if let Some(plan) = task.plan.as_ref().filter(|plan| plan.verdict.is_none()) {
        let _ = writeln!(
            text,
            "\n{}\n{}",
            style.paint(Colour::Yellow, "A plan waits for a decision:"),
            plan_text(plan, style)
        );
    }
    for subtask in &task.subtasks {
        let _ = writeln!(
            text,
            "  chunk {}  {}  {}",
            short(subtask.id.0),
            style.status(subtask.status.as_str()),
            safe(&subtask.title)
        );
    }
    for run in &task.runs {
        let status = serde_json::to_value(run.status).ok().and_then(|status| status.as_str().map(str::to_owned));
        let status = style.status(&status.unwrap_or_default());
        let _ = writeln!(text, "  run {}    {status}  {}", short(run.id.0), run.role);
    }
    for question in task.questions.iter().filter(|question| question.answer.is_none()) {
        let asked = shorten(&question.question, TEXT_MAX);
        let _ = writeln!(text, "  {} {}  {asked}", style.paint(Colour::Yellow, "question"), short(question.id.0));
    }
    text.truncate(text.trim_end().len());
}
