//! Bearer tokens to principals, and who a request acts for. It must never know what a principal may do:
//! membership and permission belong to whoever owns the thing asked for.

mod authenticator;
mod caller;
mod instance;

pub use authenticator::{Authenticator, Error, Principal};
pub use caller::{Caller, ON_BEHALF_OF_HEADER, SOURCE_HEADER, require_caller};
pub use instance::{INSTANCE_TOKEN_HEADER, InstanceToken};
