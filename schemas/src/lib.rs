//! muster-schemas.
