//! Defaults of the settings.

use super::records::{Budget, ProjectSettings};
use super::values::PreviewMode;

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            agents: std::collections::BTreeMap::new(),
            verification: Vec::new(),
            max_iterations: 3,
            max_attempts: 3,
            max_concurrent_runs: 2,
            budget: Budget { tokens_max: None, cost_usd_max: None },
            preview_mode: PreviewMode::Process,
            retention_days: None,
            auto_dispatch: true,
            require_plan_approval: true,
        }
    }
}
