//! The commands that change a card and have nothing to show but that they did: dispatch, answer, retry, cancel, prompt.

use muster_client::domain::command::{AnswerQuestion, CancelTask, DispatchTask, InjectPrompt, RequestRetry};
use muster_client::domain::state::Question;

use crate::api::Api;
use crate::args::{AnswerArgs, CancelArgs, DispatchArgs, PromptArgs, RetryArgs};
use crate::error::{Error, Result};
use crate::output::{Output, shorten};
use crate::{select, short};

pub async fn dispatch(api: &Api, args: DispatchArgs, output: Output) -> Result {
    let (project_id, task_id) = match &args.task {
        Some(text) => {
            let row = select::task(api, &args.project, text).await?;
            (row.project_id, Some(row.id))
        }
        None => (select::project(api, &args.project).await?.id, None),
    };
    let outcome = api.send(project_id, DispatchTask { task_id }).await?;
    output.value(&outcome, |outcome| match outcome.task_id {
        Some(id) => format!("Task {} is released to the agents.", short(id.0)),
        None => "Nothing to release: every card is with the agents already.".to_owned(),
    })
}

pub async fn answer(api: &Api, args: AnswerArgs, output: Output) -> Result {
    let row = select::task(api, &args.project, &args.task).await?;
    let questions = api.task_state(row.id, None).await?.map(|task| task.questions).unwrap_or_default();
    let question = chosen(questions, args.question.as_deref())?;
    let command = AnswerQuestion { task_id: row.id, question_id: question.id, answer: args.answer };
    let outcome = api.send(row.project_id, command).await?;
    output.value(&outcome, |_| format!("Answered: {}", shorten(&question.question, 100)))
}

/// The question that is named, or the only open one.
fn chosen(questions: Vec<Question>, named: Option<&str>) -> Result<Question> {
    let name = |question: &Question| format!("{} ({})", short(question.id.0), shorten(&question.question, 60));
    if let Some(text) = named {
        let found = questions.into_iter().filter(|question| select::matches(question.id.0, text)).collect();
        return select::one(found, "question", text, name);
    }
    let mut open: Vec<_> = questions.into_iter().filter(|question| question.answer.is_none()).collect();
    match open.len() {
        0 => Err(Error::NotFound("no question is open".to_owned())),
        1 => Ok(open.remove(0)),
        _ => {
            let candidates: Vec<_> = open.iter().map(name).collect();
            Err(Error::Usage(format!("which question? Name one with --question: {}", candidates.join(", "))))
        }
    }
}

pub async fn retry(api: &Api, args: RetryArgs, output: Output) -> Result {
    let row = select::task(api, &args.project, &args.task).await?;
    let command = RequestRetry { task_id: row.id, reason: args.reason };
    let outcome = api.send(row.project_id, command).await?;
    output.value(&outcome, |_| format!("Task {} is tried again.", short(row.id.0)))
}

pub async fn cancel(api: &Api, args: CancelArgs, output: Output) -> Result {
    let row = select::task(api, &args.project, &args.task).await?;
    let command = CancelTask { task_id: row.id, reason: args.reason };
    let outcome = api.send(row.project_id, command).await?;
    output.value(&outcome, |_| format!("Task {} is cancelled.", short(row.id.0)))
}

pub async fn prompt(api: &Api, args: PromptArgs, output: Output) -> Result {
    let row = select::task(api, &args.project, &args.task).await?;
    let command = InjectPrompt { task_id: row.id, message: args.message };
    let outcome = api.send(row.project_id, command).await?;
    output.value(&outcome, |_| "The next iteration is told.".to_owned())
}

#[cfg(test)]
mod tests {
    use muster_client::domain::id::QuestionId;
    use uuid::Uuid;

    use super::*;

    fn question(number: u128, answer: Option<&str>) -> Question {
        Question {
            id: QuestionId(Uuid::from_u128(number)),
            run_id: None,
            question: "Which database?".to_owned(),
            options: vec![],
            answer: answer.map(str::to_owned),
        }
    }

    #[test]
    fn the_only_open_question_is_meant() {
        let questions = vec![question(0xaaaa, Some("yes")), question(0xbbbb, None)];
        assert_eq!(chosen(questions.clone(), None).unwrap().id.0, Uuid::from_u128(0xbbbb));
        assert_eq!(chosen(questions, Some("aaaa")).unwrap().id.0, Uuid::from_u128(0xaaaa));
        assert_eq!(chosen(vec![], None).unwrap_err().exit_code(), 4);
        let two = vec![question(1, None), question(2, None)];
        assert_eq!(chosen(two, None).unwrap_err().exit_code(), 2);
    }
}
