//! Splits a command line into words, with single quotes, double quotes and backslashes as a shell reads them.
//! It must never expand anything: no variables, no patterns.

/// A command line that cannot be split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a quote is not closed in {0:?}")]
pub struct Error(pub String);

/// The words of a command line.
pub fn split(line: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => quoted(&mut letters, '\'', word.get_or_insert_default()).ok_or_else(|| Error(line.to_owned()))?,
            '"' => quoted(&mut letters, '"', word.get_or_insert_default()).ok_or_else(|| Error(line.to_owned()))?,
            '\\' => word.get_or_insert_default().extend(letters.next()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Reads up to the closing quote; `None` when there is none.
fn quoted(letters: &mut std::str::Chars<'_>, quote: char, word: &mut String) -> Option<()> {
    loop {
        match letters.next()? {
            letter if letter == quote => return Some(()),
            '\\' if quote == '"' => word.push(letters.next()?),
            letter => word.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line).unwrap()
    }

    #[test]
    fn splits_as_a_shell_does() {
        assert_eq!(words("cargo  test --all"), ["cargo", "test", "--all"]);
        assert_eq!(words("sh -c 'echo \"a b\"'"), ["sh", "-c", "echo \"a b\""]);
        assert_eq!(words("a\\ b \"c \\\" d\" ''"), ["a b", "c \" d", ""]);
        assert_eq!(words(""), Vec::<String>::new());
    }

    #[test]
    fn refuses_an_open_quote() {
        assert!(split("sh -c 'echo").is_err());
        assert!(split("\"").is_err());
    }
}
