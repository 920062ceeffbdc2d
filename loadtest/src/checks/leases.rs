//! I11: a work item has at most one live lease; nothing is accepted under an older token.
//!
//! Whoever renews a lease is told when it ends: as its event says, however often the renewal is asked for again.
//! A lease lives from `work.assigned` to `work.released`; that its time is over ends it only by the latter.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use uuid::Uuid;

use super::Finding;
use super::commands::{Commands, Told, key_of, name, told};
use super::event::{Event, Log};
use crate::campaign::history::{Call, End};

/// A piece of work: the card, the role, the subtask.
type Piece = (Option<Uuid>, Option<String>, Option<Uuid>);

struct Lease {
    piece: Piece,
    token: u64,
}

#[derive(Default)]
struct Project {
    live: HashMap<Uuid, Lease>,
    last_token: u64,
}

pub(super) fn check(calls: &[Call], commands: &Commands<'_>, log: &Log) -> Finding {
    let mut finding = Finding::new("I11", "one-lease");
    let mut projects: BTreeMap<Uuid, Project> = BTreeMap::new();
    let tokens = tokens_of(calls);
    let together = |one: &Event, next: &Event| {
        (one.project_id, one.command_id, &one.actor) == (next.project_id, next.command_id, &next.actor)
    };
    for events in log.events.chunk_by(together) {
        let project = projects.entry(events[0].project_id).or_default();
        under_a_lease(events, project, &tokens, &mut finding);
        for event in events {
            match event.event_type.as_str() {
                "work.assigned" => assigned(event, project, &mut finding),
                "lease.renewed" => renewed(event, project, &mut finding),
                "work.released" => released(event, project, &mut finding),
                _ => {}
            }
        }
    }
    claims(calls, commands, &mut finding);
    renewals(calls, commands, &mut finding);
    finding
}

/// Tokens that accepted calls carried, by caller and key, with the run they said it was for.
fn tokens_of(calls: &[Call]) -> HashMap<(&str, Uuid), (&Call, u64)> {
    let accepted = calls.iter().filter(|call| told(call) == Told::Done);
    accepted.filter_map(|call| Some((key_of(call), (call, call.fencing_token?)))).collect()
}

/// What is said about a run is said under its live lease, and under that lease's token.
fn under_a_lease(
    events: &[Event],
    project: &Project,
    tokens: &HashMap<(&str, Uuid), (&Call, u64)>,
    finding: &mut Finding,
) {
    let begun: Vec<Uuid> = events
        .iter()
        .filter(|event| event.event_type == "work.assigned")
        .filter_map(|event| event.uuid("run_id"))
        .collect();
    let carried = tokens.get(&(events[0].actor.as_str(), events[0].command_id));
    for event in events {
        // A workspace may be cleared after its run.
        let Some(run_id) = event.uuid("run_id").filter(|_| event.event_type != "workspace.released") else { continue };
        finding.examined();
        let lease = project.live.get(&run_id);
        if lease.is_none() && !begun.contains(&run_id) {
            finding.violated(format!("{} is about run {run_id}, which has no live lease", event.place()));
        }
        if let (Some((call, token)), Some(lease)) = (carried, lease)
            && *token != lease.token
        {
            let live = lease.token;
            finding.violated(format!("{} carried token {token} where {live} was live: {}", name(call), event.place()));
        }
        if let Some((call, _)) = carried
            && call.run_id.is_some_and(|said| said != run_id)
        {
            finding.violated(format!("{} was for run {:?}: {} of {run_id}", name(call), call.run_id, event.place()));
        }
    }
}

fn assigned(event: &Event, project: &mut Project, finding: &mut Finding) {
    finding.examined();
    let (Some(run_id), Some(token)) = (event.uuid("run_id"), event.number("fencing_token")) else {
        finding.violated(format!("{} names no run or token", event.place()));
        return;
    };
    if token <= project.last_token {
        finding.violated(format!("{} has token {token} after {}", event.place(), project.last_token));
    }
    project.last_token = project.last_token.max(token);
    let piece = (event.task_id, event.text("role").map(str::to_owned), event.uuid("subtask_id"));
    for (other, lease) in &project.live {
        if lease.piece == piece {
            finding.violated(format!("{}: run {other} has a live lease on the same work", event.place()));
        }
    }
    if project.live.insert(run_id, Lease { piece, token }).is_some() {
        finding.violated(format!("{}: run {run_id} had a live lease already", event.place()));
    }
}

fn renewed(event: &Event, project: &Project, finding: &mut Finding) {
    let token = event.uuid("run_id").and_then(|run_id| project.live.get(&run_id)).map(|lease| lease.token);
    if token.is_none() || token != event.number("fencing_token") {
        let said = event.data.get("fencing_token").unwrap_or(&Value::Null);
        finding.violated(format!("{} renews token {said} where {token:?} is live", event.place()));
    }
}

fn released(event: &Event, project: &mut Project, finding: &mut Finding) {
    finding.examined();
    let lease = event.uuid("run_id").and_then(|run_id| project.live.remove(&run_id));
    if lease.as_ref().map(|lease| lease.token) != event.number("fencing_token") {
        finding.violated(format!("{} releases a lease that is not live", event.place()));
    }
}

/// No two keys were given the same lease.
fn claims(calls: &[Call], commands: &Commands<'_>, finding: &mut Finding) {
    let mut holders: HashMap<Uuid, &Call> = HashMap::new();
    for call in calls {
        let End::Ok(answer) = &call.end else { continue };
        let Some(claim) = answer.claim.filter(|_| !commands.get(key_of(call)).is_empty()) else { continue };
        finding.examined();
        let holder = holders.entry(claim.run_id).or_insert(call);
        if key_of(holder) != key_of(call) {
            finding.violated(format!("{} and {} were both given {claim:?}", name(holder), name(call)));
        }
    }
}

/// The end that was told is that of the renewal in the log.
fn renewals(calls: &[Call], commands: &Commands<'_>, finding: &mut Finding) {
    for call in calls {
        let End::Ok(answer) = &call.end else { continue };
        let Some(told_us) = answer.lease_ends_at_us else { continue };
        finding.examined();
        let renewed = commands.get(key_of(call)).iter().find(|event| event.event_type == "lease.renewed");
        let end_us = renewed.and_then(|event| {
            let duration_us = i64::try_from(event.number("lease_duration_ms")?).ok()?.checked_mul(1_000)?;
            event.at_micros.checked_add(duration_us)
        });
        if end_us != Some(told_us) {
            let place = renewed.map_or_else(|| "no renewal".to_owned(), |event| event.place());
            finding.violated(format!(
                "{} was told that the lease ends at {told_us}; by {place} it is {end_us:?}",
                name(call)
            ));
        }
    }
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
        story.claim(1, 7, 1);
        story.report(2, 7, 1, "work.progress");
        story.report(3, 7, 1, "lease.renewed");
        story.report(4, 7, 1, "work.released");
        story.claim(5, 8, 2);
        story.report(6, 8, 2, "work.progress");
        story
    }

    #[test]
    fn one_lease_after_the_other_is_good() {
        let mut story = good();
        story.report(7, 7, 1, "workspace.released");
        assert_eq!(violations(&story), [""; 0]);
    }

    #[test]
    fn two_leases_on_one_piece_of_work_show() {
        let mut story = good();
        story.log.events.retain(|event| event.event_type != "work.released");
        assert!(violations(&story)[0].contains("live lease on the same work"));
    }

    #[test]
    fn a_token_that_does_not_grow_shows() {
        let mut story = good();
        let again = story.log.events.iter_mut().find(|event| event.command_id == id(5)).unwrap();
        again.data.insert("fencing_token".into(), 1.into());
        assert!(violations(&story).iter().any(|text| text.contains("has token 1 after 1")));
    }

    #[test]
    fn a_report_after_the_lease_shows() {
        let mut story = good();
        story.report(7, 7, 1, "work.progress");
        assert!(violations(&story)[0].contains("no live lease"));
    }

    #[test]
    fn a_report_under_an_older_token_shows() {
        let mut story = good();
        story.calls.last_mut().unwrap().fencing_token = Some(1);
        assert!(violations(&story)[0].contains("carried token 1 where 2 was live"));
        story.calls.last_mut().unwrap().fencing_token = Some(2);
        story.calls.last_mut().unwrap().run_id = Some(id(7));
        assert!(violations(&story)[0].contains("was for run"));
    }

    #[test]
    fn renewing_and_releasing_another_lease_shows() {
        for (event_type, shown) in [("lease.renewed", "renews"), ("work.released", "releases")] {
            let mut story = good();
            story.report(7, 8, 1, event_type);
            assert!(violations(&story).iter().any(|text| text.contains(shown)), "{event_type}");
        }
    }

    #[test]
    fn another_end_than_the_renewals_shows() {
        let renewed = |story: &mut Story| {
            story.log.events[2].data.insert("lease_duration_ms".into(), 3.into());
            let End::Ok(answer) = &mut story.calls[2].end else { panic!("a renewal") };
            answer.lease_ends_at_us = Some(story.log.events[2].at_micros + 3_000);
        };
        let mut story = good();
        renewed(&mut story);
        story.repeat(3);
        assert_eq!(violations(&story), [""; 0]);
        let End::Ok(answer) = &mut story.calls.last_mut().unwrap().end else { panic!("a renewal") };
        answer.lease_ends_at_us = answer.lease_ends_at_us.map(|end| end + 1);
        assert!(violations(&story)[0].contains("was told that the lease ends"));
        let mut story = good();
        renewed(&mut story);
        story.log.events[2].event_type = "work.progress".into();
        assert!(violations(&story)[0].contains("no renewal"));
    }

    #[test]
    fn one_lease_given_to_two_shows() {
        let mut story = good();
        let End::Ok(answer) = &mut story.calls[4].end else { panic!("a claim") };
        answer.claim = Some(Claimed { run_id: id(7), fencing_token: 1 });
        assert!(violations(&story).iter().any(|text| text.contains("both given")));
    }
}
