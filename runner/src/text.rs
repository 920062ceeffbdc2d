//! Text made fit for events: shortened at character boundaries. It must never know what the text is about.

/// At most `max_bytes` of `text`; what is cut off its end is said.
pub fn shorten(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let mark = format!("… [{} bytes left off]", text.len() - max_bytes);
    let end = text.floor_char_boundary(max_bytes.saturating_sub(mark.len()));
    format!("{}{mark}", &text[..end])
}

/// The last lines of `text`, at most `max_bytes`.
pub fn tail(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let start = text.ceil_char_boundary(text.len() - max_bytes);
    let rest = &text[start..];
    rest.split_once('\n').map_or(rest, |(_, lines)| lines).to_owned()
}

/// `command` as a person would type it.
pub fn command_line(command: &[String]) -> String {
    let quoted = command.iter().map(|word| {
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_fall_between_characters() {
        let long = "ü".repeat(100);
        let short = shorten(&long, 60);
        assert!(short.len() <= 60 && short.ends_with("bytes left off]"), "{short}");
        assert_eq!(tail("one\ntwo\nthree", 9), "three");
        assert_eq!(shorten("fits", 4), "fits");
    }

    #[test]
    fn a_command_line_can_be_pasted() {
        let command = ["sh", "-c", "echo 'a b'"].map(str::to_owned);
        assert_eq!(command_line(&command), r"sh -c 'echo '\''a b'\'''");
    }
}
