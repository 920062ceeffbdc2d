//! `answer_question`: answers an agent's question; the first answer wins.

use serde::{Deserialize, Serialize};

use super::Decide;
use super::task_of;
use crate::decide::{Context, Draft};
use crate::event::UserAnsweredQuestion;
use crate::id::{QuestionId, TaskId};
use crate::model::MemberRole;
use crate::rejection::Rejection;
use crate::state::ProjectState;

/// Answers an agent's question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerQuestion {
    /// The card.
    pub task_id: TaskId,
    /// The question.
    pub question_id: QuestionId,
    /// The answer.
    pub answer: String,
}

impl Decide for AnswerQuestion {
    fn task_id(&self) -> Option<TaskId> {
        Some(self.task_id)
    }

    fn decide(&self, state: &ProjectState, ctx: &mut Context<'_>) -> Result<Vec<Draft>, Rejection> {
        ctx.project(state, MemberRole::Operator)?;
        let task = task_of(state, self.task_id)?;
        let question = task
            .questions
            .iter()
            .find(|question| question.id == self.question_id)
            .ok_or(Rejection::QuestionNotFound { question_id: self.question_id })?;
        if let Some(answer) = &question.answer {
            let decision = answer.chars().take(200).collect();
            return Err(Rejection::AlreadyDecided { what: "the question".to_owned(), decision });
        }
        ctx.limits.text("answer", &self.answer)?;
        if self.answer.trim().is_empty() {
            return Err(Rejection::invalid("answer", "must not be empty"));
        }
        Ok(vec![Draft {
            task_id: Some(self.task_id),
            data: UserAnsweredQuestion {
                user_id: ctx.actor.user.clone(),
                question_id: self.question_id,
                answer: self.answer.clone(),
            }
            .into(),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Report;
    use crate::testing::{given_claimed, report, task_id};

    #[test]
    fn the_first_answer_wins() {
        let (scenario, claim) = given_claimed();
        let question_id = QuestionId(uuid::Uuid::from_u128(5));
        let answer = AnswerQuestion { task_id: task_id(1), question_id, answer: "v2".to_owned() };
        let asked = Report::QuestionAsked { question_id, question: "v1 or v2?".to_owned(), options: vec![] };
        let state = scenario
            .when(report(&claim, asked))
            .then_events(&["question.asked"])
            .when(answer.clone())
            .then_events(&["user.answered_question"])
            .when(answer)
            .then_rejected("already_decided")
            .state;
        assert_eq!(state.tasks[&task_id(1)].questions[0].answer.as_deref(), Some("v2"));
    }
}
