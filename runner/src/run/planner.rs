//! The planner's flow: an agent looks at the default branch and hands back a plan.

use muster_client::domain::command::{PlannedChunk, Report};
use muster_client::domain::model::{AgentResult, StrategyAction};

use super::flow::Flow;
use super::strategy::{self, Seen};
use super::{Fault, Finish};
use crate::agent::{self, Plan};
use crate::context::TaskContext;
use crate::record::SessionRecord;

impl Flow<'_> {
    pub(super) async fn plan(&mut self, record: &mut SessionRecord) -> Result<Finish, Fault> {
        {
            let _guard = self.repository.lock().await?;
            let branch = &self.order.default_branch;
            let start = self.repository.tip_of(branch).await?;
            self.open_workspace(&start, branch, record).await?;
        }
        let mut feedback: Option<String> = None;
        for number in 1..=self.max_iterations() {
            let iteration = self.begin(number, feedback.clone()).await?;
            let mut context = TaskContext::of(&self.order, number);
            context.feedback.extend(self.learned.iter().cloned());
            let (folder, order) = (self.session.artifacts(), self.order.clone());
            let handed_back = |result: &AgentResult| {
                Ok(agent::read_plan(&folder)?.unwrap_or_else(|| one_chunk(&order.title, &order.description, result)))
            };
            let ended = self.turn(&iteration, &mut context, handed_back).await?;
            let seen = Seen {
                agent_error: ended.as_ref().err(),
                verification: None,
                iteration: number,
                max_iterations: self.max_iterations(),
            };
            let decision = match &ended {
                Ok(_) => strategy::decision(StrategyAction::Accept, "there is a plan", None),
                Err(_) => strategy::decide(&seen),
            };
            if let Ok(Plan { plan, chunks, estimated_cost_usd }) = ended.clone() {
                self.tell(vec![Report::PlanReady { plan, chunks, estimated_cost_usd }]).await?;
            }
            self.decided(&iteration, &seen, &decision).await?;
            match decision.action {
                StrategyAction::Accept => return Ok(Finish::succeeded(number)),
                StrategyAction::Continue => {
                    self.learned.extend(decision.feedback.clone());
                    feedback = decision.feedback;
                }
                StrategyAction::GiveUp | StrategyAction::Escalate => {
                    return Ok(Finish::failed(number, strategy::final_error(&seen, &decision)));
                }
            }
        }
        // The last iteration never asks for another.
        Err(Fault::Unfit("the iterations ended without a decision".to_owned()))
    }
}

/// The plan of a planner that wrote none: its last words, with one chunk.
fn one_chunk(title: &str, description: &str, result: &AgentResult) -> Plan {
    let plan = if result.summary.trim().is_empty() { title } else { &result.summary };
    let chunk = PlannedChunk { title: title.to_owned(), description: description.to_owned(), depends_on: Vec::new() };
    Plan { plan: plan.to_owned(), chunks: vec![chunk], estimated_cost_usd: None }
}
