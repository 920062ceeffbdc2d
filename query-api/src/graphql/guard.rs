//! Limits that the schema's own complexity and depth limits do not cover, and the codes of errors.

use std::sync::Arc;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextRequest, NextSubscribe,
};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{ErrorExtensionValues, Response, ServerError, ServerResult, Variables};
use futures::stream::{BoxStream, StreamExt};
use muster_service_kit::{Problem, codes};

use crate::fault::Fault;

/// Refuses documents with too many aliases, and gives every error its `code` and `status`.
pub(super) struct Guard {
    pub(super) max_aliases: usize,
}

impl ExtensionFactory for Guard {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Guarding { max_aliases: self.max_aliases })
    }
}

struct Guarding {
    max_aliases: usize,
}

#[async_trait::async_trait]
impl Extension for Guarding {
    async fn request(&self, ctx: &ExtensionContext<'_>, next: NextRequest<'_>) -> Response {
        coded(next.run(ctx).await)
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        next.run(ctx, stream).map(coded).boxed()
    }

    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        let aliases = aliases(&document);
        if aliases > self.max_aliases {
            let message = format!("The document has {aliases} aliases, {} are allowed.", self.max_aliases);
            return Err(with_fault(ServerError::new(message.clone(), None), &too_complex(&message)));
        }
        Ok(document)
    }
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

fn coded(mut response: Response) -> Response {
    response.errors = response.errors.into_iter().map(with_code).collect();
    response
}

fn with_code(error: ServerError) -> ServerError {
    if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
        return error;
    }
    if let Some(fault) = error.source::<Fault>().cloned() {
        return with_fault(error, &fault);
    }
    match error.message.as_str() {
        message @ ("Query is too complex." | "Query is nested too deep.") => {
            let fault = too_complex(message);
            with_fault(error, &fault)
        }
        message if message.contains("recursion") || message.ends_with("stack limit reached") => {
            // The parser quotes the whole document.
            let message = "The document is nested too deep to be parsed.";
            with_fault(ServerError { message: message.to_owned(), ..error }, &too_complex(message))
        }
        message => {
            let fault = Fault::new(codes::INVALID_ARGUMENT, message);
            with_fault(error, &fault)
        }
    }
}

fn too_complex(message: &str) -> Fault {
    Problem::new(codes::QUERY_TOO_COMPLEX).detail(message).into()
}

fn with_fault(mut error: ServerError, fault: &Fault) -> ServerError {
    let extensions: ErrorExtensionValues = fault.graphql_extensions();
    error.extensions = Some(extensions);
    error
}
