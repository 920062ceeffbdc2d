//! The codes a caller may meet, with their status and title. They must never say why in particular: that is the detail.
//! Each has a page `docs/errors/<code>.md` with cause and cure.

/// A kind of problem. Other crates may define their own constants of it; each needs its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Stable, in snake case; clients decide by it.
    pub code: &'static str,
    /// HTTP status, 400–599.
    pub status: u16,
    /// Short, the same for each occurrence.
    pub title: &'static str,
}

impl Code {
    /// A code of another crate.
    pub const fn new(code: &'static str, status: u16, title: &'static str) -> Self {
        Self { code, status, title }
    }

    /// The listed code of that name, if there is one.
    pub fn find(code: &str) -> Option<Self> {
        CODES.iter().copied().find(|known| known.code == code)
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal;)+) => {
        $(#[doc = concat!("`", $code, "`, ", stringify!($status), ": ", $title, ".")]
        pub const $name: Code = Code::new($code, $status, $title);)+

        /// Every code listed here.
        pub const CODES: &[Code] = &[$($name,)+];
    };
}

codes! {
    MALFORMED_JSON = "malformed_json", 400, "The body is not valid JSON";
    UNKNOWN_FIELD = "unknown_field", 400, "The body has a field that is not known";
    DUPLICATE_FIELD = "duplicate_field", 400, "The body has a field more than once";
    INVALID_BODY = "invalid_body", 400, "The body does not have the expected shape";
    INVALID_ARGUMENT = "invalid_argument", 400, "An argument is not valid";
    UNAUTHENTICATED = "unauthenticated", 401, "The request carries no valid token";
    FORBIDDEN = "forbidden", 403, "The caller may not do this";
    PROJECT_NOT_FOUND = "project_not_found", 404, "There is no such project";
    TASK_NOT_FOUND = "task_not_found", 404, "There is no such task";
    RUN_NOT_FOUND = "run_not_found", 404, "There is no such run";
    ROUTE_NOT_FOUND = "route_not_found", 404, "There is no such route";
    METHOD_NOT_ALLOWED = "method_not_allowed", 405, "The route does not allow this method";
    BODY_TIMEOUT = "body_timeout", 408, "The body did not arrive in time";
    REQUEST_TIMEOUT = "request_timeout", 408, "The request took too long";
    SEQUENCE_MISMATCH = "sequence_mismatch", 409, "The task has moved on since it was read";
    SEQUENCE_FROM_FUTURE = "sequence_from_future", 409, "The expected sequence lies ahead of the last event";
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", 409, "The idempotency key belongs to another command";
    STALE_FENCING_TOKEN = "stale_fencing_token", 409, "The lease has been given to someone else";
    ALREADY_DECIDED = "already_decided", 409, "The decision has already been made";
    PLAN_DIGEST_MISMATCH = "plan_digest_mismatch", 409, "The plan is not the one that was shown";
    INVALID_TRANSITION = "invalid_transition", 409, "The current status does not allow this";
    EVIDENCE_MISSING = "evidence_missing", 409, "An acceptance criterion lacks evidence";
    BODY_TOO_LARGE = "body_too_large", 413, "The body is too large";
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", 415, "The body is not application/json";
    LIMIT_EXCEEDED = "limit_exceeded", 422, "A limit would be exceeded";
    NOT_A_GIT_REPOSITORY = "not_a_git_repository", 422, "The directory is not a git repository";
    VERIFICATION_COMMAND_NOT_FOUND = "verification_command_not_found", 422, "A verification command does not exist";
    QUERY_TOO_COMPLEX = "query_too_complex", 422, "The query asks for too much at once";
    OVERLOADED = "overloaded", 429, "More is asked than can be handled now";
    TOO_MANY_CONNECTIONS = "too_many_connections", 429, "The user holds too many connections";
    INTERNAL = "internal", 500, "Something failed inside the service";
    UNAVAILABLE = "unavailable", 503, "The service cannot answer now";
    POSITION_NOT_REACHED = "position_not_reached", 503, "The read side has not reached the position yet";
}
