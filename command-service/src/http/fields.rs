//! Bodies that hold a command's fields, with the rest of the command in the route. It must never know which fields there
//! are: the command's own type does.

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use muster_domain::id::ProjectId;
use muster_schemas::api::CommandRequest;
use muster_service_kit::{Problem, ProblemJson, codes};
use serde_json::{Map, Value};

use super::openapi::shapes;

/// Members of the body that belong to the request and not to the command.
const OF_THE_REQUEST: [&str; 3] = ["expected_sequence", "correlation_id", "causation_id"];

/// A JSON object, or no body at all.
pub(super) struct Fields(Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if http_body_is_empty(&body) {
            return Ok(Self(Map::new()));
        }
        let ProblemJson(fields) = ProblemJson::from_request(Request::from_parts(parts, body), state).await?;
        Ok(Self(fields))
    }
}

fn http_body_is_empty(body: &Body) -> bool {
    body.is_end_stream() || body.size_hint().exact() == Some(0)
}

impl Fields {
    /// The command of that type with these fields and those of the route.
    pub(super) fn command<const N: usize>(
        mut self,
        command_type: &str,
        project_id: Option<ProjectId>,
        of_the_route: [(&str, String); N],
    ) -> Result<CommandRequest, Problem> {
        let mut request = Map::new();
        for name in OF_THE_REQUEST {
            if let Some(value) = self.0.remove(name) {
                request.insert(name.to_owned(), value);
            }
        }
        if let Some(project_id) = project_id {
            self.agrees("project_id", &project_id.to_string())?;
            self.0.remove("project_id");
            request.insert("project_id".to_owned(), project_id.to_string().into());
        }
        for (name, value) in of_the_route {
            self.agrees(name, &value)?;
            self.0.insert(name.to_owned(), value.into());
        }
        self.agrees("type", command_type)?;
        self.0.insert("type".to_owned(), command_type.into());
        request.insert("command".to_owned(), Value::Object(self.0));
        let bytes = serde_json::to_vec(&request).map_err(Problem::internal)?;
        shapes().one("CommandRequest").within("command.").parse(&bytes)
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// A body that names what the route names must name the same.
    fn agrees(&self, name: &str, value: &str) -> Result<(), Problem> {
        match self.0.get(name) {
            Some(given) if given.as_str() != Some(value) => Err(Problem::new(codes::INVALID_ARGUMENT)
                .detail(format!("{name}: the body and the route differ."))
                .with("field", name)),
            _ => Ok(()),
        }
    }
}
