//! What agents that print JSON lines say about themselves: `claude -p --output-format stream-json` and
//! `codex exec --json`. A line that is none of theirs is passed over.

use muster_client::domain::model::TokenUsage;
use serde::Deserialize;
use serde_json::Value;

/// What was told so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Told {
    pub message: Option<String>,
    pub tokens: Option<TokenUsage>,
    pub cost_usd: Option<f64>,
    pub model: Option<String>,
    /// Why the agent itself says that it failed.
    pub error: Option<String>,
}

/// A line of either. Fields are theirs.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    is_error: bool,
    #[serde(default)]
    subtype: Option<String>,
    #[serde(default)]
    total_cost_usd: Option<f64>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    item: Value,
    #[serde(default)]
    error: Value,
}

#[derive(Debug, Default, Deserialize)]
struct Usage {
    #[serde(default, rename = "input_tokens")]
    input: u64,
    #[serde(default, rename = "output_tokens")]
    output: u64,
    /// Claude counts these beside its input, Codex its cached ones within.
    #[serde(default, rename = "cache_creation_input_tokens")]
    cache_creation: u64,
    #[serde(default, rename = "cache_read_input_tokens")]
    cache_read: u64,
}

impl Told {
    /// Looks at a line of standard output.
    pub(super) fn line(&mut self, line: &str) {
        if !line.starts_with('{') {
            return;
        }
        let Ok(line) = serde_json::from_str::<Line>(line) else { return };
        match line.kind.as_str() {
            // Claude: how it began and how it ended.
            "system" => self.model = line.model.or(self.model.take()),
            "result" => {
                if line.is_error {
                    let subtype = line.subtype.unwrap_or_else(|| "error".to_owned());
                    self.error = Some(line.result.clone().unwrap_or(subtype));
                }
                self.message = line.result.or(self.message.take());
                self.cost_usd = line.total_cost_usd.filter(|cost| cost.is_finite() && *cost >= 0.0);
                self.tokens = line.usage.as_ref().map(tokens);
            }
            // Codex: each message, and what each turn used.
            "item.completed" if line.item["type"] == "agent_message" => {
                self.message = line.item["text"].as_str().map(str::to_owned).or(self.message.take());
            }
            "turn.completed" => {
                if let Some(used) = line.usage.as_ref().map(tokens) {
                    let sum = self.tokens.take().map_or(used.clone(), |before| add(&before, &used));
                    self.tokens = Some(sum);
                }
            }
            "turn.failed" => {
                let message = line.error["message"].as_str().unwrap_or("the turn failed");
                self.error = Some(message.to_owned());
            }
            _ => {}
        }
    }
}

fn tokens(usage: &Usage) -> TokenUsage {
    let input_tokens = usage.input.saturating_add(usage.cache_creation.saturating_add(usage.cache_read));
    let total_tokens = input_tokens.saturating_add(usage.output);
    TokenUsage { input_tokens, output_tokens: usage.output, total_tokens }
}

fn add(one: &TokenUsage, other: &TokenUsage) -> TokenUsage {
    TokenUsage {
        input_tokens: one.input_tokens.saturating_add(other.input_tokens),
        output_tokens: one.output_tokens.saturating_add(other.output_tokens),
        total_tokens: one.total_tokens.saturating_add(other.total_tokens),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Told {
        let mut told = Told::default();
        for line in lines {
            told.line(line);
        }
        told
    }

    #[test]
    fn claude_ends_with_a_result() {
        let told = told(&[
            r#"{"type":"system","subtype":"init","model":"claude-x","tools":["Bash"]}"#,
            r#"{"type":"assistant","message":{"content":[{"type":"text","text":"hm"}]}}"#,
            r#"{"type":"result","subtype":"success","is_error":false,"result":"Done.","total_cost_usd":0.12,
                "usage":{"input_tokens":4,"cache_creation_input_tokens":100,"cache_read_input_tokens":50,"output_tokens":30}}"#,
        ]);
        assert_eq!(told.tokens.unwrap().total_tokens, 184);
        assert_eq!((told.message.as_deref(), told.cost_usd, told.error), (Some("Done."), Some(0.12), None));
        assert_eq!(told.model.as_deref(), Some("claude-x"));
    }

    #[test]
    fn an_error_of_its_own_is_an_error_whatever_the_exit_code() {
        let claude = told(&[r#"{"type":"result","subtype":"error_max_turns","is_error":true}"#]);
        assert_eq!(claude.error.as_deref(), Some("error_max_turns"));
        let codex = told(&[r#"{"type":"turn.failed","error":{"message":"no credit"}}"#]);
        assert_eq!(codex.error.as_deref(), Some("no credit"));
    }

    #[test]
    fn codex_tells_by_turn() {
        let told = told(&[
            r#"{"type":"item.completed","item":{"id":"i0","type":"reasoning","text":"hm"}}"#,
            r#"{"type":"item.completed","item":{"id":"i1","type":"agent_message","text":"Fixed it."}}"#,
            r#"{"type":"turn.completed","usage":{"input_tokens":100,"cached_input_tokens":80,"output_tokens":10}}"#,
            r#"{"type":"turn.completed","usage":{"input_tokens":1,"cached_input_tokens":0,"output_tokens":2}}"#,
        ]);
        assert_eq!(told.message.as_deref(), Some("Fixed it."));
        assert_eq!(told.tokens.unwrap(), TokenUsage { input_tokens: 101, output_tokens: 12, total_tokens: 113 });
    }

    #[test]
    fn other_lines_say_nothing() {
        assert_eq!(told(&["{", "{}", r#"{"type": 5}"#, "plain", r#"{"type":"result"}x"#]), Told::default());
    }
}
