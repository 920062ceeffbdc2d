//! An agent's turn within an iteration: called, asked back, its result durable before anyone hears of it.

use std::time::{Duration, Instant};

use muster_client::domain::command::Report;
use muster_client::domain::id::{ArtifactId, QuestionId};
use muster_client::domain::model::{AgentResult, ArtifactKind, BuildError, BuildErrorKind};
use serde::Serialize;
use uuid::Uuid;

use super::Fault;
use super::flow::{Flow, Iteration};
use crate::agent::{self, Call, Question};
use crate::context::TaskContext;
use crate::output::OutputStream;
use crate::{artifacts, environment, files};

/// Questions an agent may ask in one turn.
const QUESTIONS_MAX: u32 = 10;
/// Time between two looks for an answer.
const ANSWER_INTERVAL: Duration = Duration::from_millis(500);

/// What an agent handed back.
enum Handed<T> {
    Work(T),
    Question(Question),
}

/// What the file of an agent's turn holds.
#[derive(Serialize)]
struct TurnFile<'a> {
    iteration: u32,
    result: Option<&'a AgentResult>,
    error: Option<&'a BuildError>,
}

impl Flow<'_> {
    /// An agent's turn. `check` reads what it handed back; what it refuses is the agent's failure. An agent that asks a
    /// question is called again with the answer.
    pub(super) async fn turn<T>(
        &mut self,
        iteration: &Iteration,
        context: &mut TaskContext,
        check: impl Fn(&AgentResult) -> Result<T, BuildError>,
    ) -> Result<Result<T, BuildError>, Fault> {
        for _ in 0..QUESTIONS_MAX {
            let folder = self.session.artifacts();
            let asked_or = |result: &AgentResult| match agent::read_question(&folder)? {
                Some(question) => Ok(Handed::Question(question)),
                None => check(result).map(Handed::Work),
            };
            match self.call(iteration, context, asked_or).await? {
                Ok(Handed::Work(value)) => return Ok(Ok(value)),
                Ok(Handed::Question(question)) => match self.ask(question).await? {
                    Some(answers) => context.answers = answers,
                    None => return Ok(Err(unanswered())),
                },
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Err(BuildError {
            kind: BuildErrorKind::Protocol,
            message: format!("the agent asked {QUESTIONS_MAX} questions in one turn"),
            exit_code: None,
            log_excerpt: None,
        }))
    }

    /// Asks people and waits; all answers so far, or `None` when nobody answered in time.
    async fn ask(&mut self, asked: Question) -> Result<Option<Vec<(String, String)>>, Fault> {
        let Question { question, options } = asked;
        self.output.text(OutputStream::System, &format!("waiting for an answer: {question}")).await;
        let question_id = QuestionId(Uuid::now_v7());
        let told = Report::QuestionAsked { question_id, question: question.clone(), options };
        self.tell(vec![told]).await?;
        let until = Instant::now() + self.shop.settings.answer_timeout;
        while Instant::now() < until {
            tokio::select! {
                () = self.stop.asked() => return Err(Fault::Stopped),
                () = tokio::time::sleep(ANSWER_INTERVAL) => {}
            }
            self.read_again().await;
            if self.order.answers.iter().any(|(answered, _)| *answered == question) {
                return Ok(Some(self.order.answers.clone()));
            }
        }
        Ok(None)
    }

    async fn call<T>(
        &mut self,
        iteration: &Iteration,
        context: &TaskContext,
        check: impl FnOnce(&AgentResult) -> Result<T, BuildError>,
    ) -> Result<Result<T, BuildError>, Fault> {
        let out_dir = self.session.artifacts();
        files::blocking(move || files::empty_folder(&out_dir)).await?;
        let (task_file, prompt) = context.write(&self.session.context())?;
        let call = Call {
            order: &self.order,
            prompt: &prompt,
            env: environment::for_agent(self.session, &self.order, iteration.number, &task_file),
            view: self.view(),
            sandbox: &self.shop.sandbox,
            output: self.output,
            settings: &self.shop.settings,
            stop: self.stop,
        };
        let ended = match call.start().await {
            Ok(agent) => {
                let (pid, command) = (Some(agent.pid()), agent.command().to_owned());
                let told = Report::AgentStarted { iteration: iteration.number, pid, command };
                if let Err(fault) = self.tell(vec![told]).await {
                    agent.abandon().await;
                    return Err(fault);
                }
                agent.finish(&call).await
            }
            Err(error) => Err(error),
        };
        if self.stop.is_asked() {
            return Err(Fault::Stopped);
        }
        let checked = ended.and_then(|result| check(&result).map(|value| (result, value)));
        let (result, error) = match &checked {
            Ok((result, _)) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        let path = self.folder.agent_result(iteration.number);
        files::write_durably(&path, &TurnFile { iteration: iteration.number, result, error })?;
        let result_file = path.to_string_lossy().into_owned();
        self.told_turn(iteration, checked, result_file).await
    }

    async fn told_turn<T>(
        &mut self,
        iteration: &Iteration,
        checked: Result<(AgentResult, T), BuildError>,
        result_file: String,
    ) -> Result<Result<T, BuildError>, Fault> {
        match checked {
            Ok((result, value)) => {
                self.totals.add(&result);
                self.tell(vec![Report::AgentComplete { iteration: iteration.number, result, result_file }]).await?;
                self.keep_artifacts().await?;
                Ok(Ok(value))
            }
            Err(error) => {
                let will_retry = iteration.number < self.max_iterations();
                let told =
                    Report::AgentFailed { iteration: iteration.number, error: error.clone(), result_file, will_retry };
                self.tell(vec![told]).await?;
                Ok(Err(error))
            }
        }
    }

    async fn keep_artifacts(&self) -> Result<(), Fault> {
        let (from, to) = (self.session.artifacts(), self.folder.artifacts());
        let kept = files::blocking(move || artifacts::keep(&from, &to)).await?;
        let reports: Vec<_> = kept
            .into_iter()
            .map(|kept| Report::ArtifactAdded {
                artifact_id: ArtifactId(Uuid::now_v7()),
                kind: ArtifactKind::File,
                path: kept.path.to_string_lossy().into_owned(),
                description: kept.name,
                size_bytes: Some(kept.size_bytes),
                sha256: Some(kept.sha256),
            })
            .collect();
        if reports.is_empty() { Ok(()) } else { self.tell(reports).await }
    }
}

fn unanswered() -> BuildError {
    let message = "nobody answered the agent's question".to_owned();
    BuildError { kind: BuildErrorKind::AgentFailed, message, exit_code: None, log_excerpt: None }
}
