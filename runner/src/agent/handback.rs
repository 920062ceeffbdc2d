//! The files an agent hands back. They are a stranger's: every field is checked before it is believed.

use std::path::Path;

use muster_client::domain::command::PlannedChunk;
use muster_client::domain::model::{BuildError, BuildErrorKind, TokenUsage};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::failure;
use crate::files;

/// Bytes of a file that is read.
const FILE_MAX_BYTES: u64 = 1024 * 1024;
/// Bytes of a text that the control plane takes.
const TEXT_MAX_BYTES: usize = 60_000;
/// Bytes of a title that the control plane takes.
const TITLE_MAX_BYTES: usize = 500;
/// Answers that a question may offer.
const OPTIONS_MAX: usize = 50;
/// Chunks of a plan.
const CHUNKS_MAX: usize = 200;

/// `result.json`, for any role.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ResultFile {
    pub summary: Option<String>,
    #[serde(default, deserialize_with = "usage")]
    pub tokens: Option<TokenUsage>,
    pub cost_usd: Option<f64>,
    pub model: Option<String>,
}

/// `plan.json`, for planners.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Plan {
    /// The plan, as Markdown.
    pub plan: String,
    /// Its chunks.
    pub chunks: Vec<PlannedChunk>,
    /// What it may cost, in US dollars.
    pub estimated_cost_usd: Option<f64>,
}

/// What a reviewer thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It may be merged.
    Accept,
    /// Something must change first.
    Changes,
}

/// `review.json`, for reviewers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Review {
    /// What the reviewer thinks.
    pub verdict: Verdict,
    /// What must change.
    #[serde(default)]
    pub feedback: Option<String>,
}

/// `question.json`, for any role: the agent cannot go on without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Question {
    /// What it asks.
    pub question: String,
    /// Answers it offers; others are possible.
    #[serde(default)]
    pub options: Vec<String>,
}

/// `result.json`; all fields absent when there is none.
pub(super) fn read_result(folder: &Path) -> Result<ResultFile, BuildError> {
    let result: ResultFile = read(folder, "result.json")?.unwrap_or_default();
    if result.cost_usd.is_some_and(|cost| !cost.is_finite() || cost < 0.0) {
        return Err(protocol("result.json: cost_usd is no amount"));
    }
    Ok(result)
}

/// `plan.json`, checked as the control plane will; `None` when there is none.
pub fn read_plan(folder: &Path) -> Result<Option<Plan>, BuildError> {
    let Some(plan) = read::<Plan>(folder, "plan.json")? else { return Ok(None) };
    let refuse = |what: String| Err(protocol(&format!("plan.json: {what}")));
    if plan.chunks.is_empty() || plan.chunks.len() > CHUNKS_MAX {
        return refuse(format!("{} chunks, from 1 to {CHUNKS_MAX} are allowed", plan.chunks.len()));
    }
    if plan.plan.len() > TEXT_MAX_BYTES {
        return refuse(format!("the plan is longer than {TEXT_MAX_BYTES} bytes"));
    }
    if plan.estimated_cost_usd.is_some_and(|cost| !cost.is_finite() || cost < 0.0) {
        return refuse("estimated_cost_usd is no amount".to_owned());
    }
    for (index, chunk) in plan.chunks.iter().enumerate() {
        if chunk.title.trim().is_empty() || chunk.title.len() > TITLE_MAX_BYTES {
            return refuse(format!("the title of chunk {index} is empty or longer than {TITLE_MAX_BYTES} bytes"));
        }
        if chunk.description.len() > TEXT_MAX_BYTES {
            return refuse(format!("the description of chunk {index} is longer than {TEXT_MAX_BYTES} bytes"));
        }
        if let Some(on) = chunk.depends_on.iter().find(|on| **on as usize >= index) {
            return refuse(format!("chunk {index} depends on {on}, which is not before it"));
        }
    }
    Ok(Some(plan))
}

/// `review.json`; `None` when there is none.
pub fn read_review(folder: &Path) -> Result<Option<Review>, BuildError> {
    let Some(mut review) = read::<Review>(folder, "review.json")? else { return Ok(None) };
    if review.verdict == Verdict::Changes && review.feedback.as_deref().is_none_or(|text| text.trim().is_empty()) {
        return Err(protocol("review.json: changes are asked for without feedback"));
    }
    review.feedback = review.feedback.map(|text| crate::text::shorten(&text, TEXT_MAX_BYTES));
    Ok(Some(review))
}

/// `question.json`; `None` when there is none.
pub fn read_question(folder: &Path) -> Result<Option<Question>, BuildError> {
    let Some(question) = read::<Question>(folder, "question.json")? else { return Ok(None) };
    let unfit = |text: &String| text.trim().is_empty() || text.len() > TEXT_MAX_BYTES;
    if question.options.iter().chain([&question.question]).any(unfit) {
        return Err(protocol("question.json: a text is empty or too long"));
    }
    if question.options.len() > OPTIONS_MAX {
        return Err(protocol(&format!("question.json: more than {OPTIONS_MAX} options")));
    }
    Ok(Some(question))
}

fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Option<T>, BuildError> {
    let content = files::read_handed_back(&folder.join(name), FILE_MAX_BYTES);
    let Some(content) = content.map_err(|error| protocol(&format!("{name}: {error}")))? else { return Ok(None) };
    serde_json::from_slice(&content).map(Some).map_err(|error| protocol(&format!("{name}: {error}")))
}

fn protocol(message: &str) -> BuildError {
    failure(BuildErrorKind::Protocol, message.to_owned())
}

/// `{"input": 1, "output": 2, "total": 3}`; a total that is missing is their sum.
fn usage<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<TokenUsage>, D::Error> {
    #[derive(Deserialize)]
    struct Told {
        #[serde(default, alias = "input_tokens")]
        input: u64,
        #[serde(default, alias = "output_tokens")]
        output: u64,
        #[serde(default, alias = "total_tokens")]
        total: Option<u64>,
    }
    Ok(Option::<Told>::deserialize(deserializer)?.map(|told| TokenUsage {
        input_tokens: told.input,
        output_tokens: told.output,
        total_tokens: told.total.unwrap_or_else(|| told.input.saturating_add(told.output)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(name: &str, content: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), content).unwrap();
        folder
    }

    #[test]
    fn a_result_may_tell_little_or_nothing() {
        let folder = folder_with("result.json", r#"{"tokens": {"input": 3, "output": 4}}"#);
        let result = read_result(folder.path()).unwrap();
        assert_eq!(result.tokens.unwrap().total_tokens, 7);
        assert_eq!((result.summary, result.cost_usd), (None, None));
        assert!(read_result(tempfile::tempdir().unwrap().path()).unwrap().tokens.is_none());
    }

    #[test]
    fn nonsense_is_a_protocol_error() {
        for content in ["", "[]", r#"{"verdict": "maybe"}"#, r#"{"verdict": "changes", "feedback": " "}"#] {
            let error = read_review(folder_with("review.json", content).path()).unwrap_err();
            assert_eq!(error.kind, BuildErrorKind::Protocol, "{content}");
        }
        for chunks in ["[]", r#"[{"title": ""}]"#, r#"[{"title": "a", "depends_on": [0]}]"#, r#"[{"title": 5}]"#] {
            let content = format!(r#"{{"plan": "x", "chunks": {chunks}}}"#);
            let error = read_plan(folder_with("plan.json", &content).path()).unwrap_err();
            assert_eq!(error.kind, BuildErrorKind::Protocol, "{chunks}");
        }
        assert!(read_result(folder_with("result.json", r#"{"cost_usd": -1}"#).path()).is_err());
    }

    #[test]
    fn a_plan_is_read() {
        let content = r#"{"plan": "First a, then b.", "chunks": [{"title": "a"}, {"title": "b", "depends_on": [0]}]}"#;
        let plan = read_plan(folder_with("plan.json", content).path()).unwrap().unwrap();
        assert_eq!(plan.chunks[1].depends_on, [0]);
    }
}
