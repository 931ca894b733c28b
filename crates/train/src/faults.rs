//! All that is wrong with a file, in one message of bounded length.

use std::fmt;

/// The number of faults that are listed; the others are counted.
const LISTED: usize = 20;
/// Characters of one fault that are listed: a damaged file may hold a name of any length.
const LENGTH: usize = 200;

/// The problems of a file.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    listed: Vec<String>,
    more: usize,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: impl FnOnce() -> String) {
        if self.listed.len() < LISTED { self.listed.push(brief(fault())) } else { self.more += 1 }
    }

    /// The result, if there are no faults.
    pub(crate) fn or<R>(self, made: R) -> Result<R, String> {
        if self.listed.is_empty() { Ok(made) } else { Err(self.to_string()) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.listed.join("; "))?;
        if self.more > 0 { write!(f, "; … and {} more", self.more) } else { Ok(()) }
    }
}

/// The text, truncated if it is long.
pub(crate) fn brief(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LENGTH) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_short_whatever_is_wrong() {
        let mut faults = Faults::default();
        for number in 0..1000 {
            faults.add(|| format!("`{number}` is missing"));
        }
        let message = faults.or(()).expect_err("much is wrong");
        assert!(message.starts_with("`0` is missing; `1` is missing; "), "{message}");
        assert!(message.ends_with("`19` is missing; … and 980 more"), "{message}");
        assert_eq!(brief("é".repeat(1000)).chars().count(), 201);
        assert_eq!(brief("é".repeat(200)), "é".repeat(200));
        assert_eq!(Faults::default().or(7), Ok(7));
    }
}
