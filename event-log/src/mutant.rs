//! Mistakes on purpose, to show that fault campaigns notice them. They exist only with the feature `mutants`, which no build
//! has unless asked for; without it [`is`] is false while compiling, and nothing of a mistake is left in the program.

/// Whether the mistake `name` is to be made: it is the one that the environment variable `MUSTER_MUTANT` names.
#[cfg(feature = "mutants")]
pub(crate) fn is(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("MUSTER_MUTANT").ok()).as_deref() == Some(name)
}

/// No mistake is made on purpose.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_name: &str) -> bool {
    false
}
