//! The OpenAPI 3.1 description of the routes.

use serde_json::{Value, json};

/// The document.
pub fn document() -> Value {
    json!({ "openapi": "3.1.0" })
}
