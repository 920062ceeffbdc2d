//! Colours and the safety of a terminal. It must never know what the text says.

/// Colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    Grey,
    Bold,
}

impl Colour {
    const fn code(self) -> &'static str {
        match self {
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Blue => "34",
            Self::Magenta => "35",
            Self::Cyan => "36",
            Self::Grey => "90",
            Self::Bold => "1",
        }
    }
}

/// Whether to colour.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// With colours or without.
    pub const fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    /// The text in that colour.
    pub fn paint(self, colour: Colour, text: impl AsRef<str>) -> String {
        let text = text.as_ref();
        if self.coloured { format!("\x1b[{}m{text}\x1b[0m", colour.code()) } else { text.to_owned() }
    }

    /// The colour of a status on the board or of a run.
    pub fn status(self, status: &str) -> String {
        let colour = match status {
            "done" | "merged" | "succeeded" | "completed" => Colour::Green,
            "failed" | "cancelled" => Colour::Red,
            "blocked" | "plan_review" => Colour::Yellow,
            "in_flight" | "in_progress" | "planning" | "review" | "running" | "working" => Colour::Cyan,
            _ => Colour::Grey,
        };
        self.paint(colour, status)
    }
}

/// One line of text that an agent or a stranger wrote: control characters, which could drive the terminal, replaced.
pub fn safe(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Text of several lines: as [`safe`], line breaks and tabs aside.
pub fn safe_lines(text: &str) -> String {
    let keep = |letter: char| matches!(letter, '\n' | '\t') || !letter.is_control();
    text.chars().map(|letter| if keep(letter) { letter } else { '\u{fffd}' }).collect()
}

/// The first line, at most `max` characters of it.
pub fn shorten(text: &str, max: usize) -> String {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("").trim();
    let cut = first.chars().count() > max;
    let kept: String = first.chars().take(if cut { max.saturating_sub(1) } else { max }).collect();
    safe(&if cut { format!("{}…", kept.trim_end()) } else { kept })
}

/// Milliseconds as a person reads them.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paints_only_when_asked() {
        assert_eq!(Style::new(false).paint(Colour::Red, "no"), "no");
        assert_eq!(Style::new(true).paint(Colour::Red, "no"), "\x1b[31mno\x1b[0m");
    }

    #[test]
    fn a_strangers_text_cannot_drive_the_terminal() {
        assert_eq!(safe("a\x1b[2Jb\r\u{9b}c"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
        assert_eq!(safe_lines("a\n\tb\x07"), "a\n\tb\u{fffd}");
    }

    #[test]
    fn shortens_by_characters() {
        assert_eq!(shorten("\n  häuser am see\nzwei", 20), "häuser am see");
        assert_eq!(shorten("häuser am see", 7), "häuser…");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([999, 1_234, 61_000].map(duration), ["999 ms", "1.2 s", "1 min 1 s"]);
    }
}
