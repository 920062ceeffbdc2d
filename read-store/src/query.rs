//! The read queries, as typed functions over the live rows.
//!
//! Lists are read in pages by key, children of many parents in one statement. Nothing here asks who may see a row:
//! that belongs to the caller. A row that is not there is `None`, never an error.

mod in_project;
mod page;
mod text;

mod history;
mod output;
mod project;
mod run;
mod task;
mod task_list;
mod task_parts;

pub use history::{Event, HistoryOf};
pub use in_project::InProject;
pub use output::Line;
pub use page::{Page, Slice};
pub use project::{Member, Project, Session};
pub use run::{Iteration, Run, RunKey, RunsOf};
pub use task::{Dependency, Task};
pub use task_list::{TaskFilter, TaskKey, TaskOrder};
pub use task_parts::{Artifact, Question, Subtask};
pub use text::Text;
