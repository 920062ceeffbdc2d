//! I1: every acknowledged command is in the log exactly once.

use std::collections::HashSet;

use super::Finding;
use super::commands::{Commands, Told, key_of, name, places, told};
use super::event::{Event, Log};
use crate::campaign::history::{Answer, Call, End};

pub(super) fn check(calls: &[Call], commands: &Commands<'_>, log: &Log) -> Finding {
    let mut finding = Finding::new("I1", "acknowledged-once");
    for call in calls {
        if let (End::Ok(answer), Told::Done) = (&call.end, told(call)) {
            finding.examined();
            acknowledged(call, answer, commands.get(key_of(call)), &mut finding);
        }
    }
    for ((actor, key), events) in commands.iter() {
        finding.examined();
        if let Some(why) = torn(events) {
            finding.violated(format!("the events of command {key} of {actor} {why}: {}", places(events)));
        }
    }
    let mut ids = HashSet::with_capacity(log.events.len());
    for event in log.events.iter().filter(|event| !ids.insert(event.id)) {
        finding.violated(format!("the id of {} is in the log twice", event.place()));
    }
    finding
}

fn acknowledged(call: &Call, answer: &Answer, events: &[&Event], finding: &mut Finding) {
    if events.is_empty() {
        finding.violated(format!("{} was acknowledged and is not in the log", name(call)));
        return;
    }
    if let Some(ids) = &answer.event_ids
        && !ids.iter().eq(events.iter().map(|event| &event.id))
    {
        finding.violated(format!(
            "{} was acknowledged with events {ids:?}; the log has {}",
            name(call),
            places(events)
        ));
    }
    if let Some(claim) = &answer.claim {
        let granted = events.iter().any(|event| {
            event.event_type == "work.assigned"
                && event.uuid("run_id") == Some(claim.run_id)
                && event.number("fencing_token") == Some(claim.fencing_token)
        });
        if !granted {
            finding.violated(format!("{} was given {claim:?}; the log has {}", name(call), places(events)));
        }
    }
}

/// Why `events` cannot come from one command that was carried out once, in one append.
fn torn(events: &[&Event]) -> Option<&'static str> {
    events.windows(2).find_map(|pair| {
        let (one, next) = (pair[0], pair[1]);
        if one.project_id != next.project_id {
            Some("are in two projects")
        } else if next.position != one.position + 1 {
            Some("do not stand together")
        } else if next.partition != one.partition || next.offset != one.offset + 1 || next.append != one.append {
            Some("were not written together")
        } else if next.command_digest != one.command_digest {
            Some("are those of two bodies")
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::story::{Story, id};
    use super::*;
    use crate::campaign::history::Claimed;

    fn violations(story: &Story) -> Vec<String> {
        check(&story.calls, &Commands::of(&story.log), &story.log).evidence
    }

    fn good() -> Story {
        let mut story = Story::new();
        story.command(1, "create_task", &["task.created", "task.dispatched"]);
        story.command(2, "update_task", &["task.updated"]);
        story.claim(3, 7, 1);
        story
    }

    #[test]
    fn what_was_acknowledged_is_there_once() {
        assert_eq!(violations(&good()), [""; 0]);
        assert_eq!(check(&good().calls, &Commands::of(&good().log), &good().log).examined, 6);
    }

    #[test]
    fn a_lost_command_shows() {
        let mut story = good();
        story.log.events.retain(|event| event.command_id != id(2));
        assert_eq!(violations(&story).len(), 1);
        assert!(violations(&story)[0].contains("not in the log"));
    }

    #[test]
    fn half_a_command_and_other_events_show() {
        let mut story = good();
        story.log.events.remove(1);
        assert!(violations(&story)[0].contains("acknowledged with events"));
        let mut story = good();
        story.log.events[2].id = id(999);
        assert!(violations(&story)[0].contains("acknowledged with events"));
    }

    #[test]
    fn a_command_that_was_carried_out_twice_shows() {
        let mut story = good();
        let mut again = story.log.events[2].clone();
        (again.id, again.offset, again.position) = (id(999), 50, 50);
        story.log.events.push(again);
        assert!(
            violations(&story).iter().any(|text| text.contains("do not stand together")),
            "{:?}",
            violations(&story)
        );
        story.log.events.last_mut().unwrap().project_id = id(998);
        assert!(violations(&story).iter().any(|text| text.contains("two projects")));
    }

    #[test]
    fn a_command_in_two_appends_shows() {
        let mut story = good();
        story.log.events[1].append = 99;
        assert!(violations(&story)[0].contains("not written together"));
        let mut story = good();
        story.log.events.iter_mut().skip(1).for_each(|event| event.offset += 1);
        assert!(violations(&story)[0].contains("not written together"));
    }

    #[test]
    fn two_commands_under_one_key_and_an_event_twice_show() {
        let mut story = good();
        story.log.events[1].command_digest = Some("other".into());
        assert!(violations(&story)[0].contains("two bodies"));
        let mut story = good();
        story.log.events[2].id = story.log.events[0].id;
        assert!(violations(&story).iter().any(|text| text.contains("in the log twice")));
    }

    #[test]
    fn another_claim_than_the_logs_shows() {
        let mut story = good();
        let End::Ok(answer) = &mut story.calls[2].end else { panic!("a claim") };
        answer.claim = Some(Claimed { run_id: id(7), fencing_token: 2 });
        assert!(violations(&story)[0].contains("was given"));
    }
}
