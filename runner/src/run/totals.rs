//! What the iterations of a run used together. Unknown is not zero.

use muster_client::domain::model::{AgentResult, TokenUsage};

/// Sums of what is known.
#[derive(Debug, Default)]
pub(super) struct Totals {
    tokens: Option<TokenUsage>,
    cost_usd: Option<f64>,
}

impl Totals {
    pub(super) fn add(&mut self, result: &AgentResult) {
        if let Some(used) = &result.tokens {
            let sum = self.tokens.get_or_insert(TokenUsage { input_tokens: 0, output_tokens: 0, total_tokens: 0 });
            sum.input_tokens = sum.input_tokens.saturating_add(used.input_tokens);
            sum.output_tokens = sum.output_tokens.saturating_add(used.output_tokens);
            sum.total_tokens = sum.total_tokens.saturating_add(used.total_tokens);
        }
        if let Some(cost) = result.cost_usd {
            *self.cost_usd.get_or_insert(0.0) += cost;
        }
    }

    /// Tokens of the iterations that told; `None` when none did.
    pub(super) fn tokens(&self) -> Option<TokenUsage> {
        self.tokens.clone()
    }

    /// US dollars of the iterations that told; `None` when none did.
    pub(super) fn cost_usd(&self) -> Option<f64> {
        self.cost_usd
    }
}
