//! Text within XML.

/// The text with the characters that XML reserves replaced.
pub(crate) fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            // XML has no way to write these.
            '\u{fffe}' | '\u{ffff}' => text.push('\u{fffd}'),
            other if other.is_control() => text.push('\u{fffd}'),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_xml_reserves_or_cannot_write_is_replaced() {
        assert_eq!(super::escaped("a<b> & \"c\"\u{7}\u{fffe}"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}\u{fffd}");
    }
}
