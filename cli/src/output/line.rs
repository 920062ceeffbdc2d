//! One line for each event, as people follow a task. It must never know where events come from.

mod summary;

use std::collections::BTreeMap;

use chrono::Local;
use muster_client::domain::event::{Event, EventData};
use muster_client::domain::id::TaskId;

use super::style::{Colour, Style};
use summary::summary;

/// Columns of the type.
const TYPE_WIDTH: usize = 24;
const LABEL_COLOURS: [Colour; 4] = [Colour::Cyan, Colour::Magenta, Colour::Yellow, Colour::Blue];

/// Makes lines of events: time, task, type, and what matters about it.
#[derive(Debug)]
pub struct EventLines {
    style: Style,
    labels: BTreeMap<TaskId, String>,
}

impl EventLines {
    /// Lines without a column for the task.
    pub fn new(style: Style) -> Self {
        Self { style, labels: BTreeMap::new() }
    }

    /// Shows `label` in front of the task's events.
    pub fn label(&mut self, task_id: TaskId, label: impl Into<String>) {
        self.labels.insert(task_id, label.into());
    }

    /// The line of an event.
    pub fn line(&self, event: &Event) -> String {
        let time = event.timestamp.to_datetime().with_timezone(&Local).format("%H:%M:%S%.3f").to_string();
        let name = format!("{:TYPE_WIDTH$}", event.event_type());
        format!(
            "{} {}{} {}",
            self.style.paint(Colour::Grey, time),
            self.label_column(event.task_id),
            self.style.paint(colour(&event.data), name),
            summary(&event.data),
        )
        .trim_end()
        .to_owned()
    }

    fn label_column(&self, task_id: Option<TaskId>) -> String {
        let Some(width) = self.labels.values().map(|label| label.chars().count()).max() else { return String::new() };
        let found = task_id.and_then(|id| self.labels.keys().position(|known| *known == id));
        let label = task_id.and_then(|id| self.labels.get(&id)).map_or("", String::as_str);
        let colour = LABEL_COLOURS[found.unwrap_or(0) % LABEL_COLOURS.len()];
        format!("{} ", self.style.paint(colour, format!("{label:width$}")))
    }
}

/// Whether an event only keeps the machinery going: shown in JSON, left out for people.
pub fn is_noise(event: &Event) -> bool {
    matches!(event.data, EventData::LeaseRenewed(_) | EventData::AgentStatusChanged(_) | EventData::RunQueued(_))
}

fn colour(data: &EventData) -> Colour {
    use EventData as E;
    match data {
        E::TaskCompleted(_) | E::TestPassed(_) | E::BranchMerged(_) | E::ChunkCompleted(_) | E::PrMerged(_) => {
            Colour::Green
        }
        E::VerificationComplete(done) if done.report.passed => Colour::Green,
        E::TaskFailed(_)
        | E::TestFailed(_)
        | E::RunFailed(_)
        | E::AgentFailed(_)
        | E::ErrorOccurred(_)
        | E::VerificationComplete(_) => Colour::Red,
        E::PlanReady(_) | E::QuestionAsked(_) | E::StrategyDecided(_) | E::ReviewChangesRequested(_) => Colour::Yellow,
        E::UserApprovedPlan(_)
        | E::UserRejectedPlan(_)
        | E::UserAnsweredQuestion(_)
        | E::UserRequestedRetry(_)
        | E::UserInjectedPrompt(_)
        | E::UserCancelledTask(_) => Colour::Magenta,
        E::TaskCreated(_) | E::TaskStatusChanged(_) | E::TaskUnblocked(_) | E::SubtaskUnblocked(_) => Colour::Blue,
        _ => Colour::Cyan,
    }
}

#[cfg(test)]
mod tests {
    use muster_client::schemas::samples::sample_events;

    use super::*;

    #[test]
    fn every_event_has_a_line_of_its_type_and_stays_on_it() {
        let lines = EventLines::new(Style::new(false));
        for event in sample_events() {
            let line = lines.line(&event);
            assert!(line.contains(event.event_type()), "{line}");
            assert!(!line.contains('\n') && !line.contains('\x1b'), "{line:?}");
            assert!(line.chars().count() <= 220, "{line}");
        }
    }

    #[test]
    fn lines_read_as_they_did() {
        let lines = EventLines::new(Style::new(false));
        let without_time = |line: String| line.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        let all: Vec<_> = sample_events().iter().map(|event| without_time(lines.line(event))).collect();
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn a_label_stands_in_its_own_column() {
        let event = sample_events().into_iter().find(|event| event.task_id.is_some()).unwrap();
        let mut lines = EventLines::new(Style::new(false));
        let without = lines.line(&event);
        lines.label(event.task_id.unwrap(), "#1");
        assert_eq!(lines.line(&event).len(), without.len() + 3);
    }
}
