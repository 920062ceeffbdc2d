//! Bytes of a process made into lines of text: whatever the bytes are, however long the lines.

/// Splits bytes into lines, keeping at most so many bytes of each.
#[derive(Debug)]
pub struct LineSplitter {
    line_max_bytes: usize,
    line: Vec<u8>,
    left_off_bytes: usize,
}

impl LineSplitter {
    /// A splitter that keeps `line_max_bytes` of each line.
    pub fn new(line_max_bytes: usize) -> Self {
        Self { line_max_bytes, line: Vec::new(), left_off_bytes: 0 }
    }

    /// Takes bytes; gives the lines that ended in them.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut parts = bytes.split(|byte| *byte == b'\n');
        if let Some(first) = parts.next() {
            self.extend(first);
        }
        for part in parts {
            lines.push(self.take());
            self.extend(part);
        }
        lines
    }

    /// The line that had no end yet, if any.
    pub fn finish(&mut self) -> Option<String> {
        (!self.line.is_empty() || self.left_off_bytes > 0).then(|| self.take())
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = self.line_max_bytes.saturating_sub(self.line.len());
        let kept = room.min(bytes.len());
        self.line.extend_from_slice(&bytes[..kept]);
        self.left_off_bytes += bytes.len() - kept;
    }

    fn take(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.line);
        let left_off = std::mem::take(&mut self.left_off_bytes);
        if bytes.last() == Some(&b'\r') && left_off == 0 {
            bytes.pop();
        }
        let mut text = String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}");
        if left_off > 0 {
            text = format!("{text}… [{left_off} bytes left off]");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_whatever_the_chunks() {
        let mut splitter = LineSplitter::new(100);
        assert_eq!(splitter.push(b"on"), Vec::<String>::new());
        assert_eq!(splitter.push(b"e\r\ntwo\n\nthr"), ["one", "two", ""]);
        assert_eq!(splitter.finish().as_deref(), Some("thr"));
        assert_eq!(splitter.finish(), None);
    }

    #[test]
    fn binary_and_endless_lines_become_text() {
        let mut splitter = LineSplitter::new(4);
        let lines = splitter.push(b"\x00\xff\xfe1234567\nok\n");
        assert_eq!(lines, ["\u{fffd}\u{fffd}\u{fffd}1… [6 bytes left off]", "ok"]);
    }
}
