//! Relay connections: pages between opaque cursors, which are keys and not counts.

use async_graphql::OutputType;
use async_graphql::connection::{Connection, CursorType, Edge, OpaqueCursor};
use muster_read_store::query::{Page, Slice};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fault::{Fault, Result};

/// Rows of a page when none are asked for, and at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize {
    pub(super) default: u32,
    pub(super) max: u32,
}

impl PageSize {
    /// The rows to give when `first` are asked for.
    pub(super) fn limit(self, argument: &str, asked: Option<i32>) -> Result<u32> {
        let Some(asked) = asked else { return Ok(self.default.min(self.max)) };
        let limit = u32::try_from(asked).map_err(|_| Fault::invalid(argument, "must not be negative"))?;
        if limit > self.max {
            return Err(Fault::invalid(argument, format!("at most {} are given at once", self.max)));
        }
        Ok(limit)
    }
}

/// `first`, `after`, `last` and `before` as they were given.
#[derive(Debug, Default)]
pub(super) struct PageArguments {
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
    pub(super) last: Option<i32>,
    pub(super) before: Option<String>,
}

impl PageArguments {
    /// The page they mean.
    pub(super) fn page<K: Serialize + DeserializeOwned>(&self, size: PageSize) -> Result<Page<K>> {
        if self.first.is_some() && self.last.is_some() {
            return Err(Fault::invalid("last", "give first or last, not both"));
        }
        let from_end = self.last.is_some();
        let limit = if from_end { size.limit("last", self.last)? } else { size.limit("first", self.first)? };
        Ok(Page {
            after: cursor("after", self.after.as_deref())?,
            before: cursor("before", self.before.as_deref())?,
            limit,
            from_end,
        })
    }
}

fn cursor<K: Serialize + DeserializeOwned>(argument: &str, text: Option<&str>) -> Result<Option<K>> {
    let unusable = |_| Fault::invalid(argument, "this is no cursor of this list");
    text.map(|text| OpaqueCursor::decode_cursor(text).map(|cursor: OpaqueCursor<K>| cursor.0).map_err(unusable))
        .transpose()
}

/// What a page of rows cost: ten rows as much as one object, so that a page of two hundred cards stays cheap and
/// lists within lists do not.
pub(super) fn cost(first: Option<i32>, last: Option<i32>, child: usize) -> usize {
    let rows = first.or(last).and_then(|rows| usize::try_from(rows).ok()).unwrap_or(50);
    (1 + rows / 10) * child
}

/// A connection of rows.
pub(super) type Rows<K, N> = Connection<OpaqueCursor<K>, N>;

/// Makes a connection of one page.
pub(super) fn connection<K, R, N>(page: &Page<K>, slice: Slice<R>, key: impl Fn(&R) -> K) -> Rows<K, N>
where
    K: Serialize + DeserializeOwned + Send + Sync,
    N: OutputType + From<R>,
{
    let (previous, next) =
        if page.from_end { (slice.has_more, page.before.is_some()) } else { (page.after.is_some(), slice.has_more) };
    let mut connection = Connection::new(previous, next);
    connection.edges.extend(slice.rows.into_iter().map(|row| Edge::new(OpaqueCursor(key(&row)), N::from(row))));
    connection
}
