//! `muster list`: the cards as a table.

use crate::api::Api;
use crate::args::ListArgs;
use crate::error::Result;
use crate::output::{Output, Table, shorten};
use crate::{select, short};

const TITLE_MAX: usize = 60;

pub async fn run(api: &Api, args: ListArgs, output: Output) -> Result {
    let project = select::project(api, &args.project).await?;
    let tasks = api.tasks(project.id, &args.status).await?;
    output.value(&tasks, |tasks| {
        let mut table = Table::new(["ID", "STATUS", "PRIORITY", "SIZE", "TITLE"]).with_status_column(1);
        for task in tasks {
            let title = shorten(&task.title, TITLE_MAX);
            table.row([short(task.id.0), task.status.clone(), task.priority.clone(), task.complexity.clone(), title]);
        }
        table.render(output.style(), "No cards.")
    })
}
