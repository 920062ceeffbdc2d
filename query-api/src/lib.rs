//! muster-query-api.
