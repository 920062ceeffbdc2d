//! Many commands at once, divided among the instances that own their partitions. It must never change the order of one
//! project's commands, nor send one to two owners under two ids.

use std::collections::BTreeMap;

use axum::body::Bytes;
use futures::future::join_all;
use muster_domain::command::Command;
use muster_domain::id::{CommandId, ProjectId};
use muster_schemas::api::{self, BatchItem, BatchResult, CommandRequest};
use muster_service_kit::{Problem, codes};
use uuid::Uuid;

use super::elsewhere::{Journey, Next};
use super::peers::Unanswered;
use super::resolve::new_project_id;
use super::{CommandService, Elsewhere, Error, Who};
use crate::partition::{Accepted, Standing};

/// In the problem of a command that another instance was to carry out: ask another.
const NOT_OWNER: &str = "not_owner";

/// Commands by partition, with their places in the batch.
type Groups = BTreeMap<u32, Vec<(usize, Item)>>;

/// A command of a batch, and what it came to.
struct Item {
    key: CommandId,
    request: CommandRequest,
    result: Option<BatchResult>,
}

impl CommandService {
    /// Carries out commands, each on its own; those of one project in their order. One without an id gets its own from
    /// `key` and its place, so that the whole batch is safe to send again.
    pub async fn execute_all(&self, who: &Who, key: CommandId, items: Vec<BatchItem>) -> Vec<BatchResult> {
        let mut results: Vec<Option<BatchResult>> = Vec::new();
        results.resize_with(items.len(), || None);
        let mut groups = Groups::default();
        for (index, item) in items.into_iter().enumerate() {
            let (own_key, request) = item.into_parts();
            let key = own_key.unwrap_or_else(|| CommandId(Uuid::new_v5(&key.0, index.to_string().as_bytes())));
            let item = Item { key, request, result: None };
            let mut project_id = self.project_named(who, &item);
            if project_id.is_none() {
                // What it is about may be known when those before it are carried out.
                self.execute_groups(who, std::mem::take(&mut groups), &mut results).await;
                match self.resolve(who, item.key, &item.request).await {
                    Ok(found) => project_id = Some(found),
                    Err(error) => results[index] = Some(refused(&error.into_problem())),
                }
            }
            if let Some(project_id) = project_id {
                groups.entry(self.0.log.partition_for(project_id)).or_default().push((index, item));
            }
        }
        self.execute_groups(who, groups, &mut results).await;
        results.into_iter().flatten().collect()
    }

    async fn execute_groups(&self, who: &Who, groups: Groups, results: &mut [Option<BatchResult>]) {
        let groups = groups.into_iter().map(|(partition, items)| self.execute_group(who, partition, items));
        for (index, result) in join_all(groups).await.into_iter().flatten() {
            results[index] = Some(result);
        }
    }

    /// The project of a command that says for which one it is, or that is about a task this instance knows of.
    fn project_named(&self, who: &Who, item: &Item) -> Option<ProjectId> {
        match (item.request.project_id, &item.request.command) {
            (Some(project_id), _) => Some(project_id),
            (None, Command::CreateProject(_)) => Some(new_project_id(&who.actor.user, item.key)),
            (None, command) => self.project_known(who, command),
        }
    }

    /// Carries out commands of one partition, here or at its owner, until each has its result.
    async fn execute_group(
        &self,
        who: &Who,
        partition: u32,
        mut items: Vec<(usize, Item)>,
    ) -> Vec<(usize, BatchResult)> {
        let was_passed_on = who.was_passed_on();
        let mut journey = Journey::default();
        let is_idle = self.0.partitions[partition as usize].standing() == Standing::Idle;
        let mut elsewhere = is_idle.then_some(Elsewhere { partition, in_doubt: false });
        loop {
            if elsewhere.is_none() || was_passed_on {
                elsewhere = self.execute_here(who, &mut items).await;
            }
            let Some(away) = elsewhere.take() else { break };
            if was_passed_on {
                let problem = away.problem().with(NOT_OWNER, true);
                refuse_rest(&mut items, &problem);
                break;
            }
            let open: Vec<&Item> = items.iter().map(|(_, item)| item).filter(|item| item.result.is_none()).collect();
            match self.at_owner(away, &mut journey, |url| self.ask_owner(who, url, &open)).await {
                Ok(Next::Here) => {}
                Ok(Next::Answered(results)) => {
                    journey.doubt(results.iter().any(is_in_doubt));
                    let open = items.iter_mut().map(|(_, item)| item).filter(|item| item.result.is_none());
                    for (item, result) in open.zip(results) {
                        item.result = (!is_not_owner(&result)).then_some(result);
                    }
                    if items.iter().any(|(_, item)| item.result.is_none()) {
                        elsewhere = Some(away);
                        continue;
                    }
                    break;
                }
                Err(problem) => {
                    refuse_rest(&mut items, &problem);
                    break;
                }
            }
        }
        let told = |(index, item): (usize, Item)| {
            let mut result = item.result?;
            journey.answer_one(&mut result);
            Some((index, result))
        };
        items.into_iter().filter_map(told).collect()
    }

    /// Carries out what has no result yet. Where that belongs, if some of it belongs elsewhere.
    async fn execute_here(&self, who: &Who, items: &mut [(usize, Item)]) -> Option<Elsewhere> {
        let mut elsewhere: Option<Elsewhere> = None;
        let mut handed_in = Vec::with_capacity(items.len());
        let mut unavailable: Option<Problem> = None;
        // One after the other, so that their partition has them in this order; only the answers are waited for together.
        for (_, item) in items.iter_mut().filter(|(_, item)| item.result.is_none()) {
            if let Some(problem) = &unavailable {
                item.result = Some(refused(problem));
                continue;
            }
            match self.begin(who, item.key, item.request.clone()).await {
                Ok(begun) => handed_in.push(async move { (begun.answer().await, item) }),
                Err(Error::Elsewhere(away)) => {
                    // Should the partition come back now, what follows must not be carried out before this.
                    elsewhere = Some(away);
                    break;
                }
                Err(Error::Problem(problem)) => {
                    item.result = Some(refused(&problem));
                    // Each would wait as long as this one has.
                    unavailable = (problem.code() == codes::UNAVAILABLE).then_some(problem);
                }
            }
        }
        for (result, item) in join_all(handed_in).await {
            match result {
                Ok(Accepted { outcome, .. }) => {
                    item.result = Some(BatchResult { outcome: Some(outcome), problem: None });
                }
                Err(Error::Elsewhere(away)) => elsewhere = Some(away.and(elsewhere)),
                Err(Error::Problem(problem)) => item.result = Some(refused(&problem)),
            }
        }
        elsewhere
    }

    /// Sends commands to the owner of their partition. An answer is in their order.
    async fn ask_owner(
        &self,
        who: &Who,
        url: std::sync::Arc<str>,
        open: &[&Item],
    ) -> Result<Vec<BatchResult>, Unanswered> {
        let batch: Vec<BatchItem> = open.iter().map(|item| BatchItem::new(item.key, item.request.clone())).collect();
        let body = serde_json::to_vec(&batch).map_err(|_| Unanswered::NotOwner)?;
        let results: Vec<BatchResult> = self.ask(who, &url, "/api/commands/batch", Bytes::from(body)).await?;
        if results.len() != open.len() {
            return Err(Unanswered::InDoubt);
        }
        match results.iter().all(is_not_owner) {
            true if results.iter().any(is_in_doubt) => Err(Unanswered::InDoubt),
            true => Err(Unanswered::NotOwner),
            false => Ok(results),
        }
    }
}

fn is_not_owner(result: &BatchResult) -> bool {
    result.problem.as_ref().is_some_and(|problem| problem.extensions.contains_key(NOT_OWNER))
}

/// Whether the command may be in the log though it was not answered.
fn is_in_doubt(result: &BatchResult) -> bool {
    result.problem.as_ref().is_some_and(|problem| problem.extensions.get("in_doubt") == Some(&true.into()))
}

fn refuse_rest(items: &mut [(usize, Item)], problem: &Problem) {
    for (_, item) in items {
        item.result.get_or_insert_with(|| refused(problem));
    }
}

fn refused(problem: &Problem) -> BatchResult {
    BatchResult { outcome: None, problem: Some(document(problem)) }
}

/// The document of a problem, in the shape clients know.
pub(super) fn document(problem: &Problem) -> api::Problem {
    let document = problem.document();
    api::Problem {
        kind: document.kind,
        title: document.title,
        status: document.status,
        detail: document.detail,
        code: document.code,
        extensions: document.extensions,
    }
}
