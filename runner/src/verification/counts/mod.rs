//! Test counts read from what test runners print. A guess that is only shown, never judged by.

mod sums;

use muster_client::domain::model::TestCounts;

use sums::{Sum, number_before};

/// Reads counts line by line.
#[derive(Debug, Default)]
pub struct Counter {
    /// Summaries that add up: one for each test binary (cargo), class (surefire) or session (pytest).
    summed: Option<Sum>,
    /// Lines for single tests (`go test -v`), used where no summary came.
    lines: Option<Sum>,
    /// Packages of `go test` without `-v`, where there is nothing better.
    packages: Option<Sum>,
    /// A TAP or node summary, which comes as one line for each number.
    tap: Option<Sum>,
    /// Whether surefire's closing block began, which repeats the sums.
    surefire_total: Option<Sum>,
}

impl Counter {
    /// Takes a line of output.
    pub fn line(&mut self, line: &str) {
        let plain = without_colours(line);
        let line = plain.trim();
        if let Some(sum) = sums::cargo(line).or_else(|| sums::pytest(line)).or_else(|| sums::jest(line)) {
            add(&mut self.summed, sum);
        } else if let Some((sum, is_total)) = sums::surefire(line) {
            if is_total { self.surefire_total = Some(sum) } else { add(&mut self.summed, sum) }
        } else if let Some(sum) = sums::go_test(line) {
            add(&mut self.lines, sum);
        } else if let Some(sum) = sums::go_package(line) {
            add(&mut self.packages, sum);
        } else if let Some(sum) = sums::tap(line) {
            add(&mut self.tap, sum);
        } else if let Some(sum) = generic(line) {
            add(&mut self.summed, sum);
        }
    }

    /// What was read; `None` when nothing was understood.
    pub fn counts(&self) -> Option<TestCounts> {
        let sum = self.surefire_total.or(self.summed).or(self.tap).or(self.lines).or(self.packages)?;
        Some(TestCounts { passed: sum.passed, failed: sum.failed, skipped: sum.skipped })
    }
}

fn add(total: &mut Option<Sum>, sum: Sum) {
    let before = total.unwrap_or_default();
    *total = Some(Sum {
        passed: before.passed.saturating_add(sum.passed),
        failed: before.failed.saturating_add(sum.failed),
        skipped: before.skipped.saturating_add(sum.skipped),
    });
}

/// "12 passed, 1 failed": a line with at least two such words, so that prose is not taken for a summary.
fn generic(line: &str) -> Option<Sum> {
    // Jest and Vitest count files as well as tests.
    if line.starts_with("Test Suites") || line.starts_with("Test Files") {
        return None;
    }
    let (passed, failed) = (number_before(line, "passed"), number_before(line, "failed"));
    let skipped = number_before(line, "skipped");
    if [passed, failed, skipped].iter().flatten().count() < 2 {
        return None;
    }
    Some(Sum { passed: passed.unwrap_or(0), failed: failed.unwrap_or(0), skipped: skipped.unwrap_or(0) })
}

/// The line without terminal colours.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        if c == '\u{1b}' && characters.peek() == Some(&'[') {
            for c in characters.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(output: &str) -> Option<(u32, u32, u32)> {
        let mut counter = Counter::default();
        output.lines().for_each(|line| counter.line(line));
        counter.counts().map(|counts| (counts.passed, counts.failed, counts.skipped))
    }

    #[test]
    fn cargo_sums_its_binaries() {
        let output = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: ok. 3 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(counts(output), Some((4, 1, 2)));
    }

    #[test]
    fn pytest_in_long_and_in_quiet_form() {
        assert_eq!(counts("=========== 1 failed, 2 passed, 1 skipped in 0.03s ==========="), Some((2, 1, 1)));
        assert_eq!(counts("\u{1b}[32m\u{1b}[1m5 passed\u{1b}[0m\u{1b}[32m in 0.01s\u{1b}[0m"), Some((5, 0, 0)));
        assert_eq!(counts("1 failed, 1 error in 0.20s"), Some((0, 2, 0)));
        assert_eq!(counts("2 passed, 3 xfailed, 1 xpassed in 1.00s"), Some((3, 0, 3)));
    }

    #[test]
    fn go_counts_tests_or_else_packages() {
        let verbose = "=== RUN   TestAdd\n--- PASS: TestAdd (0.00s)\n=== RUN   TestSub\n    a_test.go:9: no\n\
            --- FAIL: TestSub (0.00s)\n--- SKIP: TestMul (0.00s)\nFAIL\nFAIL\texample.com/a\t0.002s";
        assert_eq!(counts(verbose), Some((1, 1, 1)));
        let quiet = "ok  \texample.com/a\t0.003s\n?   \texample.com/b\t[no test files]\nFAIL\texample.com/c\t0.1s";
        assert_eq!(counts(quiet), Some((1, 1, 0)));
    }

    #[test]
    fn node_and_tap() {
        let tap = "TAP version 13\nok 1 - adds\n1..1\n# tests 3\n# suites 0\n# pass 1\n# fail 1\n# cancelled 0\n\
            # skipped 1\n# todo 0\n# duration_ms 45.1";
        assert_eq!(counts(tap), Some((1, 1, 1)));
        let spec = "✔ adds (0.5ms)\nℹ tests 2\nℹ pass 2\nℹ fail 0\nℹ cancelled 0\nℹ skipped 0\nℹ todo 0";
        assert_eq!(counts(spec), Some((2, 0, 0)));
    }

    #[test]
    fn jest_and_vitest() {
        let jest = "Test Suites: 1 failed, 1 passed, 2 total\n\
            Tests:       1 failed, 1 skipped, 7 passed, 9 total\nSnapshots:   0 total";
        assert_eq!(counts(jest), Some((7, 1, 1)));
        let vitest = " Test Files  1 failed | 2 passed (3)\n      Tests  1 failed | 10 passed | 2 skipped (13)";
        assert_eq!(counts(vitest), Some((10, 1, 2)));
    }

    #[test]
    fn surefire_repeats_itself_at_the_end() {
        let output = "[INFO] Tests run: 2, Failures: 0, Errors: 0, Skipped: 0, Time elapsed: 0.05 s - in a.ATest\n\
            [ERROR] Tests run: 3, Failures: 1, Errors: 1, Skipped: 1, Time elapsed: 0.01 s <<< FAILURE! - in a.BTest\n\
            [INFO] Results:\n[ERROR] Tests run: 5, Failures: 1, Errors: 1, Skipped: 1";
        assert_eq!(counts(output), Some((2, 2, 1)));
    }

    #[test]
    fn others_by_their_words_and_prose_not_at_all() {
        assert_eq!(counts("Result: 12 passed, 3 failed"), Some((12, 3, 0)));
        assert_eq!(counts("compiled\nall 3 checks passed"), None);
        assert_eq!(counts(""), None);
        let huge = u32::MAX;
        let lies = format!("Tests run: 1, Failures: {huge}, Errors: {huge}, Skipped: {huge}");
        assert_eq!(counts(&lies), Some((0, huge, huge)));
    }
}
