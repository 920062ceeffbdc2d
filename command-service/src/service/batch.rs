//! Many commands at once, divided among the instances that own their partitions. It must never change the order of one
//! project's commands, nor send one to two owners under two ids.

use std::collections::BTreeMap;

use axum::body::Bytes;
use futures::future::join_all;
use muster_domain::command::Command;
use muster_domain::id::{CommandId, ProjectId};
use muster_schemas::api::{self, BatchItem, BatchResult, CommandRequest};
use muster_service_kit::Problem;
use uuid::Uuid;

use super::elsewhere::{Journey, Next};
use super::peers::Unanswered;
use super::resolve::new_project_id;
use super::{CommandService, Elsewhere, Error, Submitted, Who};
use crate::partition::Standing;

/// In the problem of a command that another instance was to carry out: ask another.
const NOT_OWNER: &str = "not_owner";

/// A command of a batch, and what it came to.
struct Item {
    key: CommandId,
    request: CommandRequest,
    result: Option<BatchResult>,
}

impl CommandService {
    /// Carries out commands, each on its own; those of one project in their order.
    pub async fn execute_all(&self, who: &Who, items: Vec<BatchItem>) -> Vec<BatchResult> {
        let mut groups: BTreeMap<u32, Vec<(usize, Item)>> = BTreeMap::new();
        let mut alone = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let (key, request) = item.into_parts();
            let item = Item { key: key.unwrap_or_else(|| CommandId(Uuid::now_v7())), request, result: None };
            match self.partition_named(who, &item) {
                Some(partition) => groups.entry(partition).or_default().push((index, item)),
                None => alone.push((index, item)),
            }
        }
        let groups = groups.into_iter().map(|(partition, items)| (Some(partition), items));
        let alone = alone.into_iter().map(|item| (None, vec![item]));
        let done = join_all(groups.chain(alone).map(|(partition, items)| self.execute_group(who, partition, items)));
        let mut results: Vec<(usize, BatchResult)> = done.await.into_iter().flatten().collect();
        results.sort_unstable_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// The partition of a command that says for which project it is.
    fn partition_named(&self, who: &Who, item: &Item) -> Option<u32> {
        let project_id: Option<ProjectId> = match (item.request.project_id, &item.request.command) {
            (Some(project_id), _) => Some(project_id),
            (None, Command::CreateProject(_)) => Some(new_project_id(&who.actor.user, item.key)),
            _ => None,
        };
        project_id.map(|project_id| self.0.log.partition_for(project_id))
    }

    /// Carries out commands of one partition, here or at its owner, until each has its result.
    async fn execute_group(
        &self,
        who: &Who,
        partition: Option<u32>,
        mut items: Vec<(usize, Item)>,
    ) -> Vec<(usize, BatchResult)> {
        let was_passed_on = who.was_passed_on();
        let mut journey = Journey::default();
        let mut elsewhere = partition
            .filter(|partition| self.0.partitions[*partition as usize].standing() == Standing::Idle)
            .map(|partition| Elsewhere { partition, in_doubt: false });
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
        let open: Vec<&mut Item> =
            items.iter_mut().map(|(_, item)| item).filter(|item| item.result.is_none()).collect();
        let results = join_all(open.iter().map(|item| self.execute(who, item.key, item.request.clone()))).await;
        for (item, result) in open.into_iter().zip(results) {
            match result {
                Err(Error::Elsewhere(away)) => {
                    let in_doubt = away.in_doubt || elsewhere.is_some_and(|known| known.in_doubt);
                    elsewhere = Some(Elsewhere { in_doubt, ..away });
                }
                Err(Error::Problem(problem)) => item.result = Some(refused(&problem)),
                Ok(Submitted { outcome, .. }) => {
                    item.result = Some(BatchResult { outcome: Some(outcome), problem: None });
                }
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
