//! Why a request was not carried out here. It must never tell a caller more than a problem document does.

use axum::response::{IntoResponse, Response};
use muster_service_kit::{Problem, codes};

/// Why a request was not carried out by this instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It was refused, or could not be done. Answered as it is.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// Another instance is to be asked, with the same idempotency key. Answered as `unavailable` where none can be.
    #[error("{0}")]
    Elsewhere(#[from] Elsewhere),
}

/// The partition of the request is not this instance's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("partition {partition} is another instance's")]
pub struct Elsewhere {
    /// The partition.
    pub partition: u32,
    /// Whether the command may be in the log nevertheless: asking its owner with its id tells.
    pub in_doubt: bool,
}

impl Error {
    /// The document for a caller who cannot be passed on.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Problem(problem) => problem,
            Self::Elsewhere(elsewhere) => elsewhere.problem(),
        }
    }
}

impl Elsewhere {
    /// This, and what is known of the same partition from other commands.
    pub(super) fn and(self, known: Option<Self>) -> Self {
        Self { in_doubt: self.in_doubt || known.is_some_and(|known| known.in_doubt), ..self }
    }

    /// What a caller is told when no owner could be found in time.
    pub fn problem(self) -> Problem {
        Problem::new(codes::UNAVAILABLE)
            .detail("The project is changing hands. Send the request again with the same idempotency key.")
            .with("in_doubt", self.in_doubt)
            .retry_after_s(1)
    }
}

impl IntoResponse for Error {
    /// Where the request is to be passed on, the answer says so in its extensions, which stay in this process.
    fn into_response(self) -> Response {
        let elsewhere = if let Self::Elsewhere(elsewhere) = &self { Some(*elsewhere) } else { None };
        let mut response = self.into_problem().into_response();
        if let Some(elsewhere) = elsewhere {
            response.extensions_mut().insert(elsewhere);
        }
        response
    }
}
