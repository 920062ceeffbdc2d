//! Pages by key: a page is what lies between two keys, not a count of rows to skip, so that rows which come or go
//! elsewhere neither repeat nor hide one.

/// Which rows of an ordered list are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<K> {
    /// Only rows behind this key.
    pub after: Option<K>,
    /// Only rows before this key.
    pub before: Option<K>,
    /// At most this many rows.
    pub limit: u32,
    /// Whether the rows are taken from the end of what is left. They come in the list's order either way.
    pub from_end: bool,
}

impl<K> Page<K> {
    /// The first rows of the list.
    pub const fn first(limit: u32) -> Self {
        Self { after: None, before: None, limit, from_end: false }
    }

    /// The rows behind a key.
    pub const fn behind(after: K, limit: u32) -> Self {
        Self { after: Some(after), before: None, limit, from_end: false }
    }

    /// One row more than asked for, to learn whether there are more.
    pub(super) fn probe(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

/// Rows of a list, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Whether the list goes on in the direction that was read.
    pub has_more: bool,
}

impl<T> Slice<T> {
    /// Takes the probing row away and puts rows that were read from the end in order.
    pub(super) fn of<K>(mut rows: Vec<T>, page: &Page<K>) -> Self {
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        if page.from_end {
            rows.reverse();
        }
        Self { rows, has_more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probing_row_is_never_shown() {
        let slice = Slice::of(vec![1, 2, 3], &Page::<i32>::first(2));
        assert_eq!(slice, Slice { rows: vec![1, 2], has_more: true });
        let slice = Slice::of(vec![1, 2], &Page::<i32>::first(2));
        assert_eq!(slice, Slice { rows: vec![1, 2], has_more: false });
    }

    #[test]
    fn rows_from_the_end_come_in_order() {
        let page = Page::<i32> { from_end: true, ..Page::first(2) };
        assert_eq!(Slice::of(vec![9, 8, 7], &page), Slice { rows: vec![8, 9], has_more: true });
    }
}
