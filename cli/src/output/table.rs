//! Columns of text under a header. It must never know what stands in them.

use super::style::{Colour, Style};

/// Rows of cells, aligned. Widths are of the plain text, colour is added after.
#[derive(Debug)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    status_column: Option<usize>,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: impl IntoIterator<Item = &'static str>) -> Self {
        Self { header: header.into_iter().collect(), rows: Vec::new(), status_column: None }
    }

    /// Colours that column as statuses.
    #[must_use]
    pub const fn with_status_column(mut self, column: usize) -> Self {
        self.status_column = Some(column);
        self
    }

    /// Adds a row with a cell for each column.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, or `nothing` when it has no row.
    pub fn render(&self, style: Style, nothing: &str) -> String {
        if self.rows.is_empty() {
            return nothing.to_owned();
        }
        let widths: Vec<usize> = self
            .header
            .iter()
            .enumerate()
            .map(|(column, name)| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).chain([name.len()]).max().unwrap_or(0)
            })
            .collect();
        let last = self.header.len().saturating_sub(1);
        let join = |cells: Vec<String>| cells.join("  ").trim_end().to_owned();
        let pad = |column: usize, text: &str| {
            let missing = widths.get(column).copied().unwrap_or(0).saturating_sub(text.chars().count());
            if column == last { String::new() } else { " ".repeat(missing) }
        };
        let header = self.header.iter().enumerate().map(|(column, name)| format!("{name}{}", pad(column, name)));
        let mut lines = vec![style.paint(Colour::Bold, join(header.collect()))];
        for row in &self.rows {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let shown = if self.status_column == Some(column) { style.status(cell) } else { cell.clone() };
                format!("{shown}{}", pad(column, cell))
            });
            lines.push(join(cells.collect()));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_whatever_the_colours() {
        let mut table = Table::new(["ID", "STATUS", "TITLE"]).with_status_column(1);
        table.row(["a1", "in_flight", "Grüße"].map(str::to_owned));
        table.row(["b22", "done", "x"].map(str::to_owned));
        let plain = table.render(Style::new(false), "none");
        assert_eq!(plain, "ID   STATUS     TITLE\na1   in_flight  Grüße\nb22  done       x");
        let coloured = table.render(Style::new(true), "none");
        assert!(coloured.contains("\x1b[32mdone\x1b[0m       x"), "{coloured:?}");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(Table::new(["ID"]).render(Style::new(true), "No cards."), "No cards.");
    }
}
