//! One JSON object a line.

use std::fmt;
use std::io::Error;
use std::path::Path;

use serde_core::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::json;

use super::Logger;
use super::records::Records;
use crate::histogram::Histogram;

/// A file of JSON objects, one a line: `{"step":1,"name":"loss","value":0.25}` for a scalar, and for a histogram the same
/// with `"edges"` and `"counts"` in the place of `"value"`. JSON has no numbers that are not finite; they are the texts
/// `"NaN"`, `"inf"` and `"-inf"`.
///
/// # Example
/// ```
/// use gradus_train::logs::{JsonLines, Logger};
/// let path = std::env::temp_dir().join(format!("gradus-json-{}.jsonl", std::process::id()));
/// let mut log = JsonLines::create(&path)?;
/// log.scalar(1, "loss", 0.5)?;
/// log.scalar(2, "loss", f64::NAN)?;
/// let wanted = "{\"step\":1,\"name\":\"loss\",\"value\":0.5}\n{\"step\":2,\"name\":\"loss\",\"value\":\"NaN\"}\n";
/// assert_eq!(std::fs::read_to_string(&path)?, wanted);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonLines(Records);

/// What a line is read for; its other fields are passed over.
struct Record {
    step: u64,
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record with its step")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
                let mut step = None;
                while let Some(field) = map.next_key::<String>()? {
                    if field == "step" {
                        step = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Record { step: step.ok_or_else(|| A::Error::missing_field("step"))? })
            }
        }
        source.deserialize_map(Fields)
    }
}

impl JsonLines {
    /// An empty log, in the place of a file of that path. Missing folders are made.
    ///
    /// # Errors
    /// If it cannot be written, or another logger writes to it.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self(Records::create(path.as_ref(), "")?))
    }

    /// The log of a run that continues after `step`: records of later steps are dropped. Without a file it is empty.
    ///
    /// # Errors
    /// If the file is no such log, cannot be read or written, or another logger writes to it; it is then not changed.
    pub fn resume(path: impl AsRef<Path>, step: u64) -> Result<Self, Error> {
        let step_of = |line: &str| {
            let record: Record = serde_json::from_str(line).map_err(|problem| format!("it is no record: {problem}"))?;
            Ok(record.step)
        };
        Ok(Self(Records::resume(path.as_ref(), "", step, step_of)?))
    }
}

impl Logger for JsonLines {
    fn scalar(&mut self, step: u64, name: &str, value: f64) -> Result<(), Error> {
        let number = if value.is_finite() { format!("{value:?}") } else { format!("\"{value:?}\"") };
        self.0.append(&format!("{{\"step\":{step},\"name\":{},\"value\":{number}}}", json!(name)))
    }

    fn histogram(&mut self, step: u64, name: &str, histogram: &Histogram) -> Result<(), Error> {
        let (name, edges, counts) = (json!(name), json!(histogram.edges()), json!(histogram.counts()));
        let rest = histogram.not_finite();
        self.0.append(&format!(
            "{{\"step\":{step},\"name\":{name},\"edges\":{edges},\"counts\":{counts},\"not_finite\":{rest}}}"
        ))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.0.flush()
    }
}
