//! I2: a refused command is not in the log.

use super::Finding;
use super::commands::{Commands, Told, attempts, name, places, told};
use crate::campaign::history::Call;

/// A key of which every attempt was told that it wrote nothing has no events. Of one refused attempt that alone shows
/// nothing: another may have been accepted, before or after. But events name the attempt they came of, where its request
/// could: that one must not have been told that it wrote nothing, however soon the next one was told the truth.
pub(super) fn check(calls: &[Call], commands: &Commands<'_>) -> Finding {
    let mut finding = Finding::new("I2", "refused-nothing");
    for (key, attempts) in attempts(calls) {
        let wrote_nothing = |call: &&Call| matches!(told(call), Told::Refused | Told::Nothing | Told::Later);
        let events = commands.get(key);
        if !attempts.iter().all(wrote_nothing) {
            for call in attempts.iter().filter(|call| call.attempt.is_some() && wrote_nothing(call)) {
                finding.examined();
                if events.iter().any(|event| Some(event.correlation_id) == call.attempt) {
                    let (name, end, places) = (name(call), &call.end, places(events));
                    finding.violated(format!("{name} ended as {end:?}, and that very attempt wrote {places}"));
                }
            }
            continue;
        }
        finding.examined();
        if let (false, Some(last)) = (events.is_empty(), attempts.last()) {
            finding.violated(format!("{} ended as {:?}, and the log has {}", name(last), last.end, places(events)));
        }
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id};
    use super::*;
    use crate::campaign::history::End;

    fn violations(story: &Story) -> Vec<String> {
        check(&story.calls, &Commands::of(&story.log)).evidence
    }

    #[test]
    fn a_refused_command_may_be_accepted_by_another_attempt() {
        let mut story = Story::new();
        story.refused(1, 409, "invalid_transition");
        story.refused(2, 503, "unavailable");
        story.command(2, "create_task", &["task.created"]);
        story.ended(3, "claim_work", End::Nothing);
        assert_eq!(violations(&story), [""; 0]);
        assert_eq!(check(&story.calls, &Commands::of(&story.log)).examined, 2);
    }

    #[test]
    fn a_refused_command_in_the_log_shows() {
        for (status, code) in [(409, "sequence_mismatch"), (503, "unavailable"), (429, "overloaded")] {
            let mut story = Story::new();
            story.command(1, "create_task", &["task.created"]);
            story.calls.clear();
            story.refused(1, status, code);
            assert_eq!(violations(&story).len(), 1, "{code}");
            story.ended(1, "create_task", End::Unknown { why: "reset".into() });
            assert_eq!(violations(&story), [""; 0], "that one may have done it");
        }
    }

    #[test]
    fn an_attempt_that_wrote_and_was_told_otherwise_shows_although_the_next_was_told_the_truth() {
        let mut story = Story::new();
        story.refused(1, 503, "unavailable");
        story.calls[0].attempt = Some(id(1));
        story.command(1, "create_task", &["task.created"]);
        assert_eq!(story.log.events[0].correlation_id, id(1));
        assert!(violations(&story)[0].contains("that very attempt wrote"));
        story.calls[0].end = End::Refused { status: 503, code: "unavailable".into(), in_doubt: true };
        assert_eq!(violations(&story), [""; 0], "it was said");
        story.calls[0].end = End::Refused { status: 503, code: "unavailable".into(), in_doubt: false };
        story.calls[0].attempt = Some(id(2));
        assert_eq!(violations(&story), [""; 0], "it was another that wrote");
    }

    #[test]
    fn an_answer_of_nothing_with_events_in_the_log_shows() {
        let mut story = Story::new();
        story.command(1, "claim_work", &["work.assigned"]);
        story.calls.clear();
        story.ended(1, "claim_work", End::Nothing);
        assert_eq!(violations(&story).len(), 1);
    }
}
