//! I4: per task sequence and per project position are gapless; one winner per expected sequence; answers tell the counts of
//! the log; and what was acknowledged before another command was sent stands before it.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::Finding;
use super::commands::{Commands, Told, attempts, key_of, name, told};
use super::event::{Event, Log};
use crate::campaign::history::{Answer, Call, End};

pub(super) fn check(calls: &[Call], commands: &Commands<'_>, log: &Log) -> Finding {
    let mut finding = Finding::new("I4", "gapless-and-in-order");
    counts(log, &mut finding);
    for call in calls {
        let (End::Ok(answer), Told::Done) = (&call.end, told(call)) else { continue };
        let events = commands.get(key_of(call));
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            finding.examined();
            expected(call, first, events, &mut finding);
            answered(call, answer, last, events, &mut finding);
        }
    }
    winners(calls, commands, &mut finding);
    real_time(calls, commands, &mut finding);
    finding
}

/// Each project counts from 1 without gap in one partition, and so does each task.
fn counts(log: &Log, finding: &mut Finding) {
    let mut projects: HashMap<Uuid, (u32, u64)> = HashMap::new();
    let mut tasks: HashMap<Uuid, (Uuid, u64)> = HashMap::new();
    for event in &log.events {
        finding.examined();
        let (partition, position) = projects.entry(event.project_id).or_insert((event.partition, 0));
        if *partition != event.partition {
            finding.violated(format!("{} is in another partition than its project: {partition}", event.place()));
        }
        *position += 1;
        if event.position != *position {
            finding.violated(format!("{} stands where position {position} is due", event.place()));
            *position = event.position;
        }
        let Some(task_id) = event.task_id else {
            if event.sequence != 0 {
                finding.violated(format!("{} is of no task and has sequence {}", event.place(), event.sequence));
            }
            continue;
        };
        let (project_id, sequence) = tasks.entry(task_id).or_insert((event.project_id, 0));
        if *project_id != event.project_id {
            finding.violated(format!("{} is of a task of project {project_id}", event.place()));
        }
        *sequence += 1;
        if event.sequence != *sequence {
            let found = event.sequence;
            finding.violated(format!("{} has sequence {found} of {task_id} where {sequence} is due", event.place()));
            *sequence = event.sequence;
        }
    }
}

/// The state that a command expected is the one it met.
fn expected(call: &Call, first: &Event, events: &[&Event], finding: &mut Finding) {
    let Some(expected) = call.expected_sequence else { return };
    let met = match call.task_id {
        None => Some(first.position - 1),
        Some(task_id) => {
            events.iter().find(|event| event.task_id == Some(task_id)).map(|event| event.sequence.saturating_sub(1))
        }
    };
    if met.is_some_and(|met| met != expected) {
        finding.violated(format!("{} expected {expected} and was accepted at {met:?}: {}", name(call), first.place()));
    }
}

/// One command at most is accepted on the same expectation of the same task.
fn winners(calls: &[Call], commands: &Commands<'_>, finding: &mut Finding) {
    let mut winners: HashMap<(Uuid, u64), (Uuid, &Call)> = HashMap::new();
    for call in calls {
        let (Some(expected), Some(task_id)) = (call.expected_sequence, call.task_id) else { continue };
        if told(call) != Told::Done || commands.get(key_of(call)).is_empty() {
            continue;
        }
        let (key, winner) = winners.entry((task_id, expected)).or_insert((call.key, call));
        if *key != call.key {
            finding.violated(format!(
                "{} and {} both won at sequence {expected} of {task_id}",
                name(winner),
                name(call)
            ));
        }
    }
}

/// The counts of the answer are those of the log.
fn answered(call: &Call, answer: &Answer, last: &Event, events: &[&Event], finding: &mut Finding) {
    if answer.position.is_some_and(|position| position != last.position) {
        finding.violated(format!(
            "{} was told position {:?}; its end is {}",
            name(call),
            answer.position,
            last.place()
        ));
    }
    if answer.project_id.is_some_and(|project_id| project_id != last.project_id) {
        finding.violated(format!(
            "{} was told project {:?}; it is in {}",
            name(call),
            answer.project_id,
            last.project_id
        ));
    }
    let task_id = events.iter().find_map(|event| event.task_id);
    let sequence = events.iter().rev().find(|event| event.task_id.is_some() && event.task_id == task_id);
    if let (Some(told), Some(last)) = (answer.sequence, sequence)
        && told != last.sequence
    {
        finding.violated(format!("{} was told sequence {told}; its task's end is {}", name(call), last.sequence));
    }
    if answer.event_ids.is_some() && answer.task_id != task_id {
        finding.violated(format!("{} was told task {:?}; the log has {task_id:?}", name(call), answer.task_id));
    }
}

/// A command's life as its clients saw it, and its place in the log.
struct Span<'a> {
    begun_ns: u64,
    acknowledged_ns: u64,
    position: u64,
    call: &'a Call,
}

/// A command that was acknowledged before another one was first sent stands before it.
fn real_time(calls: &[Call], commands: &Commands<'_>, finding: &mut Finding) {
    let mut projects: BTreeMap<Uuid, Vec<Span<'_>>> = BTreeMap::new();
    for (key, attempts) in attempts(calls) {
        let acknowledged = attempts.iter().filter(|call| told(call) == Told::Done).min_by_key(|call| call.ended_at_ns);
        let (Some(call), Some(last), Some(first)) = (acknowledged, commands.get(key).last(), attempts.first()) else {
            continue;
        };
        let (begun_ns, acknowledged_ns) = (first.started_at_ns, call.ended_at_ns);
        let span = Span { begun_ns, acknowledged_ns, position: last.position, call };
        projects.entry(last.project_id).or_default().push(span);
    }
    for mut begun in projects.into_values() {
        begun.sort_by_key(|span| span.begun_ns);
        let mut acknowledged: Vec<&Span<'_>> = begun.iter().collect();
        acknowledged.sort_by_key(|span| span.acknowledged_ns);
        let mut acknowledged = acknowledged.into_iter().peekable();
        let mut furthest: Option<&Span<'_>> = None;
        for span in &begun {
            while let Some(before) = acknowledged.next_if(|before| before.acknowledged_ns < span.begun_ns) {
                if furthest.is_none_or(|furthest| furthest.position < before.position) {
                    furthest = Some(before);
                }
            }
            finding.examined();
            if let Some(before) = furthest.filter(|before| before.position > span.position) {
                finding.violated(format!(
                    "{} is at position {}, before {} at {}, which was acknowledged before it was sent",
                    name(span.call),
                    span.position,
                    name(before.call),
                    before.position
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, TASK, id};
    use super::*;

    fn violations(story: &Story) -> Vec<String> {
        check(&story.calls, &Commands::of(&story.log), &story.log).evidence
    }

    fn good() -> Story {
        let mut story = Story::new();
        story.command(1, "create_task", &["task.created", "task.dispatched"]);
        story.command(2, "update_task", &["task.updated"]);
        story.command(3, "cancel_task", &["user.cancelled_task", "task.status_changed"]);
        story
    }

    #[test]
    fn counts_without_gap_are_good() {
        let mut story = good();
        story.calls[1].expected_sequence = Some(2);
        story.calls[2].expected_sequence = Some(3);
        assert_eq!(violations(&story), [""; 0]);
        assert_eq!(check(&story.calls, &Commands::of(&story.log), &story.log).examined, 11);
    }

    #[test]
    fn gaps_and_repetitions_show() {
        let mut story = good();
        story.log.events[2].position = 7;
        assert!(violations(&story).iter().any(|text| text.contains("position 3 is due")));
        let mut story = good();
        story.log.events[2].sequence = 2;
        assert!(violations(&story).iter().any(|text| text.contains("where 3 is due")));
        let mut story = good();
        story.log.events[2].task_id = None;
        assert!(violations(&story).iter().any(|text| text.contains("of no task")));
    }

    #[test]
    fn one_project_in_two_partitions_and_one_task_in_two_projects_show() {
        let mut story = good();
        story.log.events[4].partition = 5;
        assert!(violations(&story).iter().any(|text| text.contains("another partition")));
        let mut story = good();
        story.log.events[4].project_id = id(77);
        assert!(violations(&story).iter().any(|text| text.contains("of a task of project")));
    }

    #[test]
    fn acceptance_on_another_state_than_expected_shows() {
        let mut story = good();
        story.calls[1].expected_sequence = Some(1);
        assert!(violations(&story)[0].contains("expected 1"));
        let mut story = good();
        (story.calls[1].expected_sequence, story.calls[1].task_id) = (Some(1), None);
        assert!(violations(&story)[0].contains("expected 1"), "positions count where there is no task");
    }

    #[test]
    fn two_winners_show() {
        let mut story = good();
        story.calls[1].expected_sequence = Some(2);
        story.calls[2].expected_sequence = Some(2);
        assert!(violations(&story).iter().any(|text| text.contains("both won")));
    }

    #[test]
    fn an_answer_with_other_counts_shows() {
        let wrong: [fn(&mut Answer); 4] = [
            |answer| answer.position = Some(99),
            |answer| answer.sequence = Some(99),
            |answer| answer.task_id = None,
            |answer| answer.project_id = Some(id(99)),
        ];
        for make_wrong in wrong {
            let mut story = good();
            let End::Ok(answer) = &mut story.calls[1].end else { panic!("an answer") };
            assert_eq!(answer.task_id, Some(TASK));
            make_wrong(answer);
            assert!(violations(&story)[0].contains("was told"));
        }
    }

    #[test]
    fn a_command_before_one_that_was_acknowledged_earlier_shows() {
        let mut story = good();
        (story.calls[1].started_at_ns, story.calls[1].ended_at_ns) = (9_000, 9_100);
        assert!(violations(&story)[0].contains("acknowledged before it was sent"));
        story.calls[1].started_at_ns = 0;
        assert_eq!(violations(&story), [""; 0], "it was under way all the time");
    }
}
