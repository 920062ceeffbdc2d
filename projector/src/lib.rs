//! muster-projector.
