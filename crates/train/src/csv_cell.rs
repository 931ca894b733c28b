//! A text as a cell of comma-separated values.

use std::borrow::Cow;

/// The text, in quotes if it needs them (RFC 4180).
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")).into(),
        false => text.into(),
    }
}
