//! I3: a command whose answer was lost is there zero or one times, and asking again with its id tells which. The first
//! answer is every answer.

use std::collections::HashMap;

use uuid::Uuid;

use super::Finding;
use super::commands::{Commands, Told, attempts, name, places, told};
use crate::campaign::history::{Answer, Call, End};

/// Refusals that may follow an acceptance with good reason: who asks is no longer let in.
const ABOUT_THE_CALLER: [&str; 2] = ["forbidden", "unauthenticated"];

pub(super) fn check(calls: &[Call], commands: &Commands<'_>) -> Finding {
    let mut finding = Finding::new("I3", "asking-again-tells");
    let known = Acknowledged::of(calls);
    for (key, attempts) in attempts(calls) {
        finding.examined();
        same_answers(&attempts, &mut finding);
        resolved(&attempts, &mut finding);
        let events = commands.get(key);
        let Some(last) = events.last() else { continue };
        for call in attempts.iter().filter(|call| denies(call)) {
            if known.before(last.project_id, call.started_at_ns) >= last.position {
                finding.violated(format!(
                    "{} ended as {:?} although the log had {} by then",
                    name(call),
                    call.end,
                    places(events)
                ));
            }
        }
    }
    finding
}

/// Whether the answer says that the command is not in the log.
fn denies(call: &Call) -> bool {
    let about_the_caller = matches!(&call.end, End::Refused { code, .. } if ABOUT_THE_CALLER.contains(&code.as_str()));
    matches!(told(call), Told::Refused | Told::Nothing) && !about_the_caller
}

/// Two acknowledgements of one body under one key are the same.
fn same_answers(attempts: &[&Call], finding: &mut Finding) {
    let mut first: HashMap<&str, (&Call, Answer)> = HashMap::new();
    for call in attempts {
        let (End::Ok(answer), Told::Done) = (&call.end, told(call)) else { continue };
        let answer = Answer { repeated: false, ..answer.clone() };
        match first.get(call.body_digest.as_str()) {
            None => drop(first.insert(&call.body_digest, (call, answer))),
            Some((before, same)) if *same != answer => finding.violated(format!(
                "{} was answered {answer:?}, and {} was answered {same:?}",
                name(call),
                name(before)
            )),
            Some(_) => {}
        }
    }
}

/// After an answer that was lost, someone asked again and was told; or had been told before that it is in the log.
fn resolved(attempts: &[&Call], finding: &mut Finding) {
    let Some(open) = attempts.iter().rposition(|call| told(call) == Told::InDoubt) else { return };
    let definite = |call: &&Call| !matches!(told(call), Told::InDoubt | Told::Later);
    // An attempt that was begun earlier may have been answered later.
    let tells =
        |call: &&Call| told(call) == Told::Done || (definite(call) && call.ended_at_ns >= attempts[open].started_at_ns);
    if !attempts.iter().any(tells) {
        finding.violated(format!(
            "{} ended as {:?}, and nobody was told later what became of it",
            name(attempts[open]),
            attempts[open].end
        ));
    }
}

/// How far each project's log reached for certain, by when.
struct Acknowledged(HashMap<Uuid, Vec<(u64, u64)>>);

impl Acknowledged {
    fn of(calls: &[Call]) -> Self {
        let mut by_project: HashMap<Uuid, Vec<(u64, u64)>> = HashMap::new();
        for call in calls {
            let (End::Ok(answer), Told::Done) = (&call.end, told(call)) else { continue };
            if let (Some(project_id), Some(position)) = (answer.project_id.or(call.project_id), answer.position) {
                by_project.entry(project_id).or_default().push((call.ended_at_ns, position));
            }
        }
        for points in by_project.values_mut() {
            points.sort_unstable();
            let mut reached = 0;
            for (_, position) in points {
                reached = reached.max(*position);
                *position = reached;
            }
        }
        Self(by_project)
    }

    /// A position that was in the log before `at_ns`; 0 where none is known.
    fn before(&self, project_id: Uuid, at_ns: u64) -> u64 {
        let Some(points) = self.0.get(&project_id) else { return 0 };
        let count = points.partition_point(|(ended, _)| *ended < at_ns);
        count.checked_sub(1).map_or(0, |last| points[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id};
    use super::*;

    fn violations(story: &Story) -> Vec<String> {
        check(&story.calls, &Commands::of(&story.log)).evidence
    }

    fn lost() -> End {
        End::Unknown { why: "reset".into() }
    }

    #[test]
    fn asking_again_until_told_is_good() {
        let mut story = Story::new();
        story.ended(1, "create_task", lost());
        story.command(1, "create_task", &["task.created"]);
        story.ended(2, "update_task", lost());
        story.refused(2, 409, "sequence_mismatch");
        story.repeat(1);
        assert_eq!(violations(&story), [""; 0]);
        assert_eq!(check(&story.calls, &Commands::of(&story.log)).examined, 2);
    }

    #[test]
    fn never_being_told_shows() {
        let mut story = Story::new();
        story.refused(1, 409, "sequence_mismatch");
        story.ended(1, "create_task", lost());
        story.refused(1, 503, "unavailable");
        assert!(violations(&story)[0].contains("nobody was told"));
    }

    #[test]
    fn a_late_repeat_of_what_was_acknowledged_leaves_nothing_open() {
        let mut story = Story::new();
        story.command(1, "create_task", &["task.created"]);
        story.ended(1, "create_task", lost());
        assert_eq!(violations(&story), [""; 0]);
    }

    #[test]
    fn a_refusal_of_what_is_in_the_log_shows() {
        let mut story = Story::new();
        story.command(1, "create_task", &["task.created"]);
        story.refused(1, 409, "invalid_transition");
        assert!(violations(&story)[0].contains("although the log had"));
        let mut story = Story::new();
        story.command(1, "claim_work", &["work.assigned"]);
        story.ended(1, "claim_work", End::Nothing);
        assert_eq!(violations(&story).len(), 1);
    }

    #[test]
    fn a_refusal_before_it_was_in_the_log_is_good() {
        let mut story = Story::new();
        story.refused(1, 409, "invalid_transition");
        story.command(1, "create_task", &["task.created"]);
        story.refused(1, 403, "forbidden");
        assert_eq!(violations(&story), [""; 0]);
    }

    #[test]
    fn another_end_of_a_lease_than_the_first_time_shows() {
        let mut story = Story::new();
        story.report(1, 7, 1, "lease.renewed");
        story.repeat(1);
        assert_eq!(violations(&story), [""; 0]);
        let End::Ok(answer) = story.repeat(1) else { panic!("an answer") };
        answer.lease_ends_at_us = Some(1);
        assert!(violations(&story)[0].contains("was answered"));
    }

    #[test]
    fn another_answer_than_the_first_shows() {
        let mut story = Story::new();
        story.command(1, "create_task", &["task.created"]);
        let End::Ok(answer) = story.repeat(1) else { panic!("an answer") };
        answer.event_ids = Some(vec![id(99)]);
        assert!(violations(&story)[0].contains("was answered"));
    }
}
