//! Limits that the schema's own complexity and depth limits do not cover, or that have to be kept before those can be
//! looked at, and the codes of errors.

use std::sync::Arc;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest, NextRequest, NextSubscribe,
};
use async_graphql::parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet};
use async_graphql::{ErrorExtensionValues, Request, Response, ServerError, ServerResult};
use futures::stream::{BoxStream, StreamExt};
use muster_service_kit::config::QueryConfig;
use muster_service_kit::{Problem, codes};

use super::document::{self, NESTING_MAX, SIZE_BYTES_MAX, check_size, check_text};
use crate::fault::Fault;

/// Refuses documents that are too large or have too many aliases, and gives every error its `code` and `status`. It has
/// to be the first of the extensions: others parse documents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guard {
    max_complexity: usize,
    max_depth: usize,
    max_aliases: usize,
    parse_depth_max: usize,
}

impl Guard {
    /// Limits as configured; selections may be nested `parse_depth_max` deep where fragments are spread.
    pub(super) const fn new(config: &QueryConfig, parse_depth_max: usize) -> Self {
        Self {
            max_complexity: config.max_complexity,
            max_depth: config.max_depth,
            max_aliases: config.max_aliases,
            parse_depth_max,
        }
    }

    /// Fields and fragments that a document may select. A field costs 1 or more, so that what has more of them is too
    /// complex anyway; as many spreads are allowed beside them.
    const fn selections_max(self) -> usize {
        self.max_complexity.saturating_mul(2)
    }

    fn check_parsed(self, document: &ExecutableDocument) -> ServerResult<()> {
        check_size(document, self.selections_max(), self.parse_depth_max).map_err(|error| self.too_large(&error))?;
        let aliases = aliases(document);
        if aliases > self.max_aliases {
            let message = format!("The document has {aliases} aliases, {} are allowed.", self.max_aliases);
            return Err(refused(&too_complex(&message, "query.max_aliases", self.max_aliases)));
        }
        check_subscriptions(document)
    }

    fn too_large(self, error: &document::Error) -> ServerError {
        let message = error.to_string();
        let fault = match error {
            document::Error::TooLong => too_complex(&message, "size_bytes", SIZE_BYTES_MAX),
            document::Error::TooDeep => too_complex(&message, "nesting", NESTING_MAX.min(self.parse_depth_max)),
            document::Error::Cycle => Fault::new(codes::QUERY_TOO_COMPLEX, message),
            document::Error::TooMany { .. } => too_complex(&message, "query.max_complexity", self.max_complexity),
            document::Error::Unterminated => Fault::new(codes::INVALID_ARGUMENT, message),
        };
        refused(&fault)
    }
}

impl ExtensionFactory for Guard {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(*self)
    }
}

#[async_trait::async_trait]
impl Extension for Guard {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        self.coded(next.run(ctx).await)
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        let guard = *self;
        next.run(ctx, stream).map(move |response| guard.coded(response)).boxed()
    }

    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        check_text(&request.query).map_err(|error| self.too_large(&error))?;
        let mut request = next.run(ctx, request).await?;
        // Parsed once, here or by its digest: what is checked is what is carried out.
        self.check_parsed(request.parsed_query()?)?;
        Ok(request)
    }
}

/// Refuses a subscription to several fields, as the specification has it. Behind the first of them that has something to
/// tell, the others would be left halfway until the client takes it.
fn check_subscriptions(document: &ExecutableDocument) -> ServerResult<()> {
    let mut operations = document.operations.iter().map(|(_, operation)| &operation.node);
    let subscribes_to_several = operations.any(|operation| {
        operation.ty == OperationType::Subscription && fields_of(document, &operation.selection_set.node) > 1
    });
    if subscribes_to_several {
        let message = "A subscription selects one field; use several subscriptions.";
        return Err(refused(&Fault::new(codes::INVALID_ARGUMENT, message)));
    }
    Ok(())
}

/// The fields of a selection, with those of fragments, of which none spreads itself.
fn fields_of(document: &ExecutableDocument, set: &SelectionSet) -> usize {
    set.items
        .iter()
        .map(|item| match &item.node {
            Selection::Field(_) => 1,
            Selection::InlineFragment(fragment) => fields_of(document, &fragment.node.selection_set.node),
            Selection::FragmentSpread(spread) => document
                .fragments
                .get(&spread.node.fragment_name.node)
                .map_or(0, |fragment| fields_of(document, &fragment.node.selection_set.node)),
        })
        .sum()
}

fn aliases(document: &ExecutableDocument) -> usize {
    let operations = document.operations.iter().map(|(_, operation)| aliases_in(&operation.node.selection_set.node));
    let fragments = document.fragments.values().map(|fragment| aliases_in(&fragment.node.selection_set.node));
    operations.chain(fragments).sum()
}

fn aliases_in(set: &SelectionSet) -> usize {
    set.items
        .iter()
        .map(|item| match &item.node {
            Selection::Field(field) => {
                usize::from(field.node.alias.is_some()) + aliases_in(&field.node.selection_set.node)
            }
            Selection::InlineFragment(fragment) => aliases_in(&fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => 0,
        })
        .sum()
}

impl Guard {
    fn coded(self, mut response: Response) -> Response {
        response.errors = response.errors.into_iter().map(|error| self.with_code(error)).collect();
        response
    }

    fn with_code(self, error: ServerError) -> ServerError {
        if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
            return error;
        }
        if let Some(fault) = error.source::<Fault>().cloned() {
            return with_fault(error, &fault);
        }
        let fault = match error.message.as_str() {
            message @ "Query is too complex." => too_complex(message, "query.max_complexity", self.max_complexity),
            message @ "Query is nested too deep." => too_complex(message, "query.max_depth", self.max_depth),
            message if message.contains("recursion") || message.ends_with("stack limit reached") => {
                // The parser quotes the whole document.
                let error = ServerError { message: document::Error::TooDeep.to_string(), ..error };
                let fault = too_complex(&error.message, "nesting", self.parse_depth_max);
                return with_fault(error, &fault);
            }
            message => Fault::new(codes::INVALID_ARGUMENT, message),
        };
        with_fault(error, &fault)
    }
}

fn too_complex(message: &str, limit: &str, limit_value: usize) -> Fault {
    let problem = Problem::new(codes::QUERY_TOO_COMPLEX).detail(message);
    problem.with("limit", limit).with("limit_value", limit_value).into()
}

/// The error of a request that is refused before any field is looked at.
pub fn refused(fault: &Fault) -> ServerError {
    with_fault(ServerError::new(fault.to_string(), None), fault)
}

fn with_fault(mut error: ServerError, fault: &Fault) -> ServerError {
    let extensions: ErrorExtensionValues = fault.graphql_extensions();
    error.extensions = Some(extensions);
    error
}
