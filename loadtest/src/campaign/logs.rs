//! What services say in their own log files, as far as a report tells it. It must never take a line for proof.

use std::path::Path;

use serde_json::Value;

use super::report::Takeovers;

/// What an instance says when it has taken a partition over.
const TAKEN_OVER: &str = "the partition is taken over";
/// What it says when it had to end another writer's transaction.
const TRANSACTION_ENDED: &str = "a transaction was left undecided";

/// What all services said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Milliseconds that each takeover took, in rising order.
    takeovers_ms: Vec<u64>,
    /// Transactions that hung and were ended.
    pub hanging_ended: u64,
}

impl Told {
    /// Reads the log files in `folder`.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        let mut told = Self::default();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let text = std::fs::read(&path)?;
                String::from_utf8_lossy(&text).lines().for_each(|line| told.add(line));
            }
        }
        told.takeovers_ms.sort_unstable();
        Ok(told)
    }

    fn add(&mut self, line: &str) {
        if line.contains(TAKEN_OVER) {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            // Wide numbers are written as text.
            let read_ms = &line["read_ms"];
            self.takeovers_ms.extend(read_ms.as_u64().or_else(|| read_ms.as_str()?.parse().ok()));
        } else if line.contains(TRANSACTION_ENDED) {
            self.hanging_ended += 1;
        }
    }

    /// The takeovers; none when there was none.
    pub fn takeovers(&self) -> Option<Takeovers> {
        let count = self.takeovers_ms.len();
        let at = |of_a_hundred: usize| self.takeovers_ms.get((count * of_a_hundred / 100).min(count.saturating_sub(1)));
        Some(Takeovers { count: count as u64, p50_ms: *at(50)?, p99_ms: *at(99)?, max_ms: *at(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takeovers_are_found_among_other_lines() {
        let mut told = Told::default();
        for line in [
            r#"{"level":"INFO","message":"the partition is taken over","partition":1,"read_ms":7}"#,
            r#"{"level":"INFO","message":"the partition is taken over","partition":2,"read_ms":"5"}"#,
            r#"{"level":"INFO","message":"listening"}"#,
            "not JSON",
        ] {
            told.add(line);
        }
        assert_eq!(told.takeovers_ms, [7, 5]);
        told.takeovers_ms.sort_unstable();
        assert_eq!(told.takeovers().map(|takeovers| takeovers.max_ms), Some(7));
        assert!(Told::default().takeovers().is_none());
    }
}
