//! The summary lines of known test runners, one function for each. A line is trimmed and without colours.

/// Counts of one line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub passed: u32,
    pub failed: u32,
    pub skipped: u32,
}

impl Sum {
    const fn of(passed: u32, failed: u32, skipped: u32) -> Self {
        Self { passed, failed, skipped }
    }
}

/// The number that stands before `word` in `line`, as in "3 passed".
pub(super) fn number_before(line: &str, word: &str) -> Option<u32> {
    let is_separator = |c: char| !c.is_alphanumeric() && c != '_';
    let mut words = line.split(is_separator).filter(|part| !part.is_empty()).peekable();
    while let Some(part) = words.next() {
        if let Ok(number) = part.parse()
            && words.peek().is_some_and(|next| *next == word)
        {
            return Some(number);
        }
    }
    None
}

/// The number that stands after `label` in `line`, as in "Failures: 3".
fn number_after(line: &str, label: &str) -> Option<u32> {
    let rest = line[line.find(label)? + label.len()..].trim_start();
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; …`
pub(super) fn cargo(line: &str) -> Option<Sum> {
    let rest = line.strip_prefix("test result: ")?;
    Some(Sum::of(number_before(rest, "passed")?, number_before(rest, "failed")?, number_before(rest, "ignored")?))
}

/// `== 1 failed, 2 passed, 1 skipped in 0.03s ==`, with or without the rules around it.
pub(super) fn pytest(line: &str) -> Option<Sum> {
    let line = line.trim_matches('=').trim();
    let (counts, duration) = line.rsplit_once(" in ")?;
    if !duration.starts_with(|c: char| c.is_ascii_digit()) || !counts.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let words = ["passed", "failed", "skipped", "error", "errors", "xfailed", "xpassed", "deselected", "warning"];
    let count = |word: &str| number_before(counts, word);
    if !words.iter().any(|word| count(word).is_some()) {
        return None;
    }
    let sum = |words: &[&str]| words.iter().filter_map(|word| count(word)).fold(0, u32::saturating_add);
    Some(Sum::of(sum(&["passed", "xpassed"]), sum(&["failed", "error", "errors"]), sum(&["skipped", "xfailed"])))
}

/// Jest's `Tests: 1 failed, 7 passed, 8 total` and Vitest's `Tests  1 failed | 10 passed (11)`.
pub(super) fn jest(line: &str) -> Option<Sum> {
    let rest = line.strip_prefix("Tests")?;
    let rest = rest.strip_prefix(':').or_else(|| rest.strip_prefix("  "))?;
    let count = |word: &str| number_before(rest, word);
    if count("passed").is_none() && count("failed").is_none() {
        return None;
    }
    let skipped = [count("skipped"), count("todo")].into_iter().flatten().fold(0, u32::saturating_add);
    Some(Sum::of(count("passed").unwrap_or(0), count("failed").unwrap_or(0), skipped))
}

/// `Tests run: 3, Failures: 1, Errors: 0, Skipped: 1`; with a time for a class, without for the total.
pub(super) fn surefire(line: &str) -> Option<(Sum, bool)> {
    let run = number_after(line, "Tests run:")?;
    let failed = number_after(line, "Failures:")?.saturating_add(number_after(line, "Errors:")?);
    let skipped = number_after(line, "Skipped:")?;
    let sum = Sum { passed: run.saturating_sub(failed).saturating_sub(skipped), failed, skipped };
    Some((sum, !line.contains("Time elapsed")))
}

/// `--- PASS: TestAdd (0.00s)`
pub(super) fn go_test(line: &str) -> Option<Sum> {
    match line.strip_prefix("--- ")?.split(':').next()? {
        "PASS" => Some(Sum::of(1, 0, 0)),
        "FAIL" => Some(Sum::of(0, 1, 0)),
        "SKIP" => Some(Sum::of(0, 0, 1)),
        _ => None,
    }
}

/// `ok  TAB package TAB 0.003s` and `FAIL TAB package TAB 0.1s`
pub(super) fn go_package(line: &str) -> Option<Sum> {
    let mut parts = line.split('\t').map(str::trim);
    let (word, _package, _time) = (parts.next()?, parts.next()?, parts.next()?);
    match word {
        "ok" => Some(Sum::of(1, 0, 0)),
        "FAIL" => Some(Sum::of(0, 1, 0)),
        _ => None,
    }
}

/// `# pass 3`, as TAP and `node --test` end.
pub(super) fn tap(line: &str) -> Option<Sum> {
    let rest = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
    let (word, number) = rest.split_once(' ')?;
    let number = number.parse().ok()?;
    match word {
        "pass" => Some(Sum::of(number, 0, 0)),
        "fail" | "cancelled" => Some(Sum::of(0, number, 0)),
        "skipped" | "todo" => Some(Sum::of(0, 0, number)),
        _ => None,
    }
}
