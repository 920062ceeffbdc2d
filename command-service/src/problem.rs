//! From refusals to problem documents. It must never tell a stranger whether a project exists.

use muster_domain::id::TaskId;
use muster_domain::rejection::Rejection;
use muster_schemas::api;
use muster_service_kit::{Code, Problem, codes};
use serde_json::Value;

use crate::partition::Refusal;

macro_rules! own_codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal;)+) => {
        $(pub(crate) const $name: Code = Code::new($code, $status, $title);)+

        /// The codes of this service that no other has. Each has its page under `docs/errors/`.
        pub const CODES: &[Code] = &[$($name),+];
    };
}

own_codes! {
    NOT_AN_INSTANCE = "not_an_instance", 403, "The request does not come of another instance";
    QUESTION_NOT_FOUND = "question_not_found", 404, "There is no such question";
    PROJECT_EXISTS = "project_exists", 409, "The project exists already";
    TASK_EXISTS = "task_exists", 409, "The task exists already";
    OUTPUT_GAP = "output_gap", 409, "Lines of output are missing";
    TOO_LONG = "too_long", 422, "A field is too long";
    UNKNOWN_DEPENDENCY = "unknown_dependency", 422, "A dependency is no task of the project";
}

/// What is told to whoever asks as only instances ask each other.
pub(crate) fn not_an_instance() -> Problem {
    Problem::new(NOT_AN_INSTANCE).detail("Only instances of this service may ask so, by the secret they share.")
}

/// The same to everyone who is no member, whether there is such a project or not.
pub(crate) fn not_a_member() -> Problem {
    Problem::new(codes::FORBIDDEN).detail("There is no such project among yours.")
}

/// The same to everyone who is no member, whether there is such a task or not.
pub(crate) fn not_a_members_task() -> Problem {
    Problem::new(codes::FORBIDDEN).detail("There is no such task in any of your projects.")
}

/// What is told to those who may know of the project.
pub(crate) fn task_not_found(task_id: TaskId) -> Problem {
    Problem::new(codes::TASK_NOT_FOUND).detail(format!("There is no task {task_id}.")).with("id", task_id.to_string())
}

/// What is told when requests hold more than they may together.
pub(crate) fn too_many_bytes() -> Problem {
    Problem::new(codes::OVERLOADED).detail("The requests that wait already are too large together.").retry_after_s(1)
}

/// What is told about a partition that is not ready.
pub(crate) fn recovering() -> Problem {
    Problem::new(codes::UNAVAILABLE)
        .detail("The history is being read; commands are taken in a moment.")
        .retry_after_s(1)
}

/// What a member, or an admin, is told.
pub(crate) fn of_refusal(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Rejected(rejection) => of_rejection(&rejection),
        Refusal::KeyReused(key) => Problem::new(codes::IDEMPOTENCY_KEY_REUSED)
            .detail("Another command was sent with this idempotency key; nothing happened now.")
            .with("idempotency_key", key.to_string()),
        Refusal::Overloaded => {
            Problem::new(codes::OVERLOADED).detail("Too many commands wait already.").retry_after_s(1)
        }
        Refusal::Elsewhere { in_doubt } => Problem::new(codes::UNAVAILABLE)
            .detail("The project is changing hands. Send the request again with the same idempotency key.")
            .with("in_doubt", in_doubt)
            .retry_after_s(1),
        Refusal::Unavailable { reason, in_doubt } => Problem::new(codes::UNAVAILABLE)
            .detail(format!("The command was not answered: {reason}. Send it again with the same idempotency key."))
            .with("in_doubt", in_doubt)
            .retry_after_s(1),
        Refusal::Unreadable(reason) => {
            tracing::error!(reason, "a command for a project whose history cannot be read");
            Problem::new(codes::UNAVAILABLE)
                .detail("The project's history cannot be read in whole; the service's log says where.")
        }
        Refusal::TooLarge { size_bytes, limit_bytes } => Problem::new(codes::BODY_TOO_LARGE)
            .detail(format!("An event of the command would have {size_bytes} bytes; {limit_bytes} are allowed."))
            .with("limit_bytes", limit_bytes),
        Refusal::Failed(cause) => Problem::internal(cause),
    }
}

/// What another instance has told.
pub(crate) fn of_document(document: api::Problem) -> Problem {
    let own = CODES.iter().copied().find(|code| code.code == document.code);
    let Some(code) = Code::find(&document.code).or(own) else {
        return Problem::internal(format!("another instance answered {}: {}", document.code, document.detail));
    };
    let problem = Problem::new(code).detail(document.detail);
    let problem = if [429, 503].contains(&code.status) { problem.retry_after_s(1) } else { problem };
    document.extensions.into_iter().fold(problem, |problem, (name, value)| problem.with(&name, value))
}

fn of_rejection(rejection: &Rejection) -> Problem {
    let name = rejection.code();
    let code = Code::find(name).or_else(|| CODES.iter().copied().find(|code| code.code == name));
    let Some(code) = code else { return Problem::internal(format!("no status for {name}: {rejection}")) };
    let problem = Problem::new(code).detail(format!("{rejection}."));
    let with = |name: &str, value: Value| problem.clone().with(name, value);
    match rejection {
        Rejection::SequenceMismatch { expected, current } => {
            with("expected_sequence", (*expected).into()).with("current_sequence", *current)
        }
        Rejection::StaleFencingToken { given, current } => with("fencing_token", (*given).into())
            .with("current_fencing_token", current.map_or(Value::Null, Value::from)),
        Rejection::TooLong { field, limit, actual } => {
            with("field", field.as_str().into()).with("limit_bytes", *limit).with("size_bytes", *actual)
        }
        Rejection::InvalidArgument { field, .. } => with("field", field.as_str().into()),
        Rejection::EvidenceMissing { criteria } => with("criteria", criteria.clone().into()),
        Rejection::PlanDigestMismatch { current } => with("current_digest", current.as_str().into()),
        Rejection::AlreadyDecided { decision, .. } => with("decision", decision.as_str().into()),
        Rejection::InvalidTransition { status, .. } => with("current_status", status.as_str().into()),
        Rejection::Forbidden { needed } => with("needed_role", needed.as_str().into()),
        Rejection::TaskSetAside { task_id } => with("id", task_id.to_string().into()).retry_after_s(1),
        Rejection::TaskNotFound { task_id }
        | Rejection::TaskExists { task_id }
        | Rejection::UnknownDependency { task_id } => with("id", task_id.to_string().into()),
        Rejection::RunNotFound { run_id } => with("id", run_id.to_string().into()),
        Rejection::QuestionNotFound { question_id } => with("id", question_id.to_string().into()),
        Rejection::ProjectNotFound | Rejection::ProjectExists => problem,
    }
}

#[cfg(test)]
mod tests {
    use muster_domain::id::{QuestionId, RunId};
    use muster_domain::model::{MemberRole, TaskStatus};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn every_own_code_has_a_page() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors");
        let index = std::fs::read_to_string(docs.join("README.md")).unwrap();
        for code in CODES {
            assert!(Code::find(code.code).is_none(), "{} is not this service's own", code.code);
            let page = std::fs::read_to_string(docs.join(format!("{}.md", code.code))).expect(code.code);
            assert!(page.starts_with(&format!("# {}\n\n{}: {}.\n", code.code, code.status, code.title)));
            assert!(page.contains("\n## Cause\n") && page.contains("\n## Cure\n"));
            assert!(index.contains(&format!("| [`{0}`]({0}.md) | {1} | {2} |", code.code, code.status, code.title)));
        }
    }

    #[test]
    fn every_rejection_has_a_status() {
        let id = Uuid::nil();
        let rejections = [
            Rejection::ProjectNotFound,
            Rejection::ProjectExists,
            Rejection::TaskNotFound { task_id: TaskId(id) },
            Rejection::TaskSetAside { task_id: TaskId(id) },
            Rejection::TaskExists { task_id: TaskId(id) },
            Rejection::RunNotFound { run_id: RunId(id) },
            Rejection::QuestionNotFound { question_id: QuestionId(id) },
            Rejection::Forbidden { needed: MemberRole::Owner },
            Rejection::StaleFencingToken { given: 1, current: None },
            Rejection::AlreadyDecided { what: String::new(), decision: String::new() },
            Rejection::PlanDigestMismatch { current: String::new() },
            Rejection::InvalidTransition { status: TaskStatus::Done, action: String::new() },
            Rejection::EvidenceMissing { criteria: Vec::new() },
            Rejection::UnknownDependency { task_id: TaskId(id) },
            Rejection::InvalidArgument { field: String::new(), message: String::new() },
            Rejection::TooLong { field: String::new(), limit: 1, actual: 2 },
            Rejection::SequenceMismatch { expected: 1, current: 2 },
            Rejection::SequenceMismatch { expected: 2, current: 1 },
        ];
        for rejection in rejections {
            assert_eq!(of_rejection(&rejection).code().code, rejection.code());
        }
    }
}
