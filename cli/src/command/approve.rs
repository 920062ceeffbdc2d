//! `muster approve` and `muster reject`: a decision about exactly the plan that was shown.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;

use muster_client::domain::command::{ApprovePlan, RejectPlan};
use muster_client::domain::state::{Plan, Task};

use crate::api::{Api, TaskRow};
use crate::args::{ApproveArgs, RejectArgs};
use crate::error::{Error, Result};
use crate::output::{Output, plan_text, safe};
use crate::{select, short};

pub async fn approve(api: &Api, args: ApproveArgs, output: Output) -> Result {
    let row = select::task(api, &args.project, &args.task).await?;
    let plan = plan_of(api, &row).await?;
    output.line(plan_text(&plan, output.style()))?;
    if !args.yes {
        confirm(&row)?;
    }
    let command = ApprovePlan { task_id: row.id, digest: Some(plan.digest) };
    let outcome = api.send(row.project_id, command).await?;
    output.value(&outcome, |_| format!("Approved. Follow it with `muster watch {}`.", short(row.id.0)))
}

pub async fn reject(api: &Api, args: RejectArgs, output: Output) -> Result {
    let row = select::task(api, &args.project, &args.task).await?;
    let plan = plan_of(api, &row).await?;
    let command = RejectPlan { task_id: row.id, digest: Some(plan.digest), reason: args.reason };
    let outcome = api.send(row.project_id, command).await?;
    output.value(&outcome, |_| "Rejected. The planner tries again with your reason.".to_owned())
}

/// The newest plan. Whether it may still be decided on is the server's to say.
async fn plan_of(api: &Api, row: &TaskRow) -> Result<Plan> {
    let state: Option<Task> = api.task_state(row.id, None).await?;
    let plan = state.and_then(|task| task.plan).map(Arc::unwrap_or_clone);
    plan.ok_or_else(|| Error::Refused {
        status: 409,
        code: "invalid_transition".to_owned(),
        message: format!("task {} has no plan: it is in {}", short(row.id.0), row.status),
    })
}

fn confirm(row: &TaskRow) -> Result {
    let mut input = io::stdin().lock();
    if !io::stdin().is_terminal() {
        return Err(Error::Usage("nobody can be asked here: approve with --yes".to_owned()));
    }
    let mut prompt = io::stderr();
    write!(prompt, "\nApprove this plan for \"{}\"? [y/N] ", safe(&row.title))
        .and_then(|()| prompt.flush())
        .map_err(Error::doing("the terminal"))?;
    let mut answer = String::new();
    input.read_line(&mut answer).map_err(Error::doing("the terminal"))?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Error::Failed("not approved; the plan still waits".to_owned()))
}
