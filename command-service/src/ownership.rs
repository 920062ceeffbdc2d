//! Which partitions this process writes. The seam where several instances will divide them between each other.

/// Who writes which partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// This process writes every partition. Should another process do the same, the log's fencing keeps the events
    /// right: each takes a partition over when it is next asked to write, and commands under way are answered as
    /// `unavailable`, to be sent again.
    #[default]
    All,
}

impl Ownership {
    /// Whether this process should write `partition` now.
    pub fn owns(self, _partition: u32) -> bool {
        match self {
            Self::All => true,
        }
    }
}
