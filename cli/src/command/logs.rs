//! `muster logs`: what a run's agent wrote.

use std::time::Duration;

use chrono::Local;

use crate::api::{Api, OutputLine};
use crate::args::LogsArgs;
use crate::error::Result;
use crate::output::{Colour, Output, safe};
use crate::select;

/// Pause between two looks for new lines.
const PAUSE: Duration = Duration::from_millis(500);

pub async fn run(api: &Api, args: LogsArgs, output: Output) -> Result {
    let mut run = select::run(api, &args.project, &args.run).await?;
    let mut after = 0;
    loop {
        // Known before the lines are asked for, so that lines written before the end are not missed.
        let over = !args.follow || !matches!(run.status.as_str(), "queued" | "running");
        loop {
            let lines = api.output(run.id, after).await?;
            let Some(last) = lines.last() else { break };
            after = last.line_number;
            for line in &lines {
                show(line, output)?;
            }
        }
        if over {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
        run = api.run(run.id).await?.unwrap_or(run);
    }
}

fn show(line: &OutputLine, output: Output) -> Result {
    output.json_line(line)?;
    let time = line.written_at.to_datetime().with_timezone(&Local).format("[%H:%M:%S]").to_string();
    let style = output.style();
    let colour = if line.stream == "stderr" { Colour::Red } else { Colour::Grey };
    output.line(format!(
        "{} {} {}",
        style.paint(Colour::Grey, time),
        style.paint(colour, format!("{:6}", line.stream)),
        safe(&line.content)
    ))
}
