//! One project as the service that decides on it holds it: commands in, events out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use muster_client::domain::command::Command;
use muster_client::domain::decide::{Actor, Context, IdSource, Limits, Outcome, Request, handle};
use muster_client::domain::event::Event;
use muster_client::domain::id::{CommandId, ProjectId};
use muster_client::domain::model::Source;
use muster_client::domain::state::{ProjectState, fold};
use muster_client::domain::time::Timestamp;
use uuid::Uuid;

/// Ids as the services make them: ordered by time.
struct TimeIds;

impl IdSource for TimeIds {
    fn next_id(&mut self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A project that commands are decided on.
pub struct Author {
    project_id: ProjectId,
    state: ProjectState,
    events: VecDeque<Arc<Event>>,
}

impl Author {
    /// Of a project that does not exist yet.
    pub fn new() -> Self {
        Self { project_id: ProjectId(Uuid::now_v7()), state: ProjectState::default(), events: VecDeque::new() }
    }

    /// Decides on `command`. A refusal is a mistake of the mix.
    pub fn send(&mut self, command: impl Into<Command>) -> anyhow::Result<Outcome> {
        let command_id = CommandId(Uuid::now_v7());
        let request = Request {
            command_id,
            digest: format!("{:064x}", command_id.0.as_u128()),
            project_id: self.project_id,
            expected_sequence: None,
            correlation_id: command_id.0,
            causation_id: None,
            command: command.into(),
        };
        let mut context = Context {
            now: now(),
            actor: Actor { user: "ada".to_owned(), admin: false },
            source: Source::Cli,
            limits: Limits::default(),
            ids: &mut TimeIds,
        };
        let events = handle(&self.state, &request, &mut context)?;
        let outcome = Outcome::of(&events);
        for event in events {
            self.state = fold(std::mem::take(&mut self.state), &event);
            self.events.push_back(Arc::new(event));
        }
        outcome.ok_or_else(|| anyhow::anyhow!("a command of the mix came to nothing"))
    }

    /// What was decided since the last time.
    pub fn take_events(&mut self) -> VecDeque<Arc<Event>> {
        std::mem::take(&mut self.events)
    }
}

fn now() -> Timestamp {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}
