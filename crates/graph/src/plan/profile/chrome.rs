//! A profile in the format of Chrome's traces: a JSON list of events, which Perfetto and `chrome://tracing` show.

use std::fmt::Write;

use super::Profile;

impl Profile {
    /// One run, unit after unit, each as long as its median: the "JSON Array Format" of Chrome's trace events, times in
    /// microseconds.
    pub fn to_chrome_trace(&self) -> String {
        let mut text = "[".to_owned();
        let mut start = 0.0;
        for (number, entry) in self.entries.iter().enumerate() {
            let comma = if number > 0 { ",\n" } else { "" };
            let duration = entry.seconds * 1e6;
            let share = self.share_of_limit(entry);
            write!(
                text,
                "{comma}{{\"name\":{},\"cat\":{},\"ph\":\"X\",\"ts\":{start:.3},\"dur\":{duration:.3},\"pid\":0,\"tid\":0,\
                 \"args\":{{\"line\":{},\"operations\":{},\"bytes\":{},\"share of limit\":{:.3}}}}}",
                json(&entry.name),
                json(&entry.scope),
                json(&entry.line),
                entry.operations,
                entry.bytes,
                if share.is_finite() { share } else { 0.0 },
            )
            .expect("a string takes what is written");
            start += duration;
        }
        text + "]\n"
    }
}

/// A JSON string.
fn json(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            control if control < ' ' => quoted += &format!("\\u{:04x}", u32::from(control)),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn a_string_is_quoted() {
        assert_eq!(json("C:\\a \"b\"\n"), r#""C:\\a \"b\"\u000a""#);
    }
}
