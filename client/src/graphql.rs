//! GraphQL queries and mutations over HTTP.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Client, Error, GraphqlError};

pub(crate) const PATH: &str = "/graphql";

/// A GraphQL answer as it comes.
#[derive(Debug, Deserialize)]
pub(crate) struct Response {
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    errors: Vec<GraphqlError>,
}

impl Response {
    /// The data, or the errors when there are any.
    pub(crate) fn into_data(self) -> Result<Value, Error> {
        if self.errors.is_empty() { Ok(self.data.unwrap_or_default()) } else { Err(Error::Graphql(self.errors)) }
    }
}

impl Client {
    /// Runs a query or mutation; `T` is the shape of `data`.
    pub async fn query<T: DeserializeOwned>(
        &self,
        document: &str,
        variables: impl Serialize + Send,
    ) -> Result<T, Error> {
        let variables = to_value(variables)?;
        let body = json!({ "query": document, "variables": variables });
        let response: Response = self.post_query(PATH, &body).await?;
        shape(response.into_data()?)
    }
}

pub(crate) fn to_value(variables: impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(variables).map_err(|error| Error::Invalid(format!("the variables are no JSON: {error}")))
}

pub(crate) fn shape<T: DeserializeOwned>(data: Value) -> Result<T, Error> {
    serde_json::from_value(data).map_err(|error| Error::Unexpected {
        url: PATH.to_owned(),
        status: 200,
        reason: format!("the data has another shape: {error}"),
    })
}
