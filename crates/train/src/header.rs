//! The JSON header of a file of the safetensors format: for each array its type, its shape and its bytes, and notes.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::ops::Range;

use serde_core::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// What the header says of the arrays; their byte ranges are counted from its end.
#[derive(Debug, Default)]
pub(crate) struct Header {
    /// The texts under `__metadata__`.
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) arrays: BTreeMap<String, Array>,
}

/// An array of numbers of some type.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// The byte range of its elements.
    pub(crate) bytes: Range<usize>,
}

/// The name under which the notes are: no array can have it.
pub(crate) const NOTES: &str = "__metadata__";

macro_rules! dtypes {
    ($($variant:ident $name:literal $bits:literal),+ $(,)?) => {
        /// The type of the elements of an array.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Dtype { $($variant),+ }

        impl Dtype {
            fn of(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }

            /// The name in a header.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The number of bits of an element.
            pub(crate) fn bits(self) -> usize {
                match self { $(Self::$variant => $bits),+ }
            }
        }
    };
}

dtypes! {
    F64 "F64" 64, I64 "I64" 64, U64 "U64" 64, C64 "C64" 64,
    F32 "F32" 32, I32 "I32" 32, U32 "U32" 32,
    F16 "F16" 16, BF16 "BF16" 16, I16 "I16" 16, U16 "U16" 16,
    F8E5M2 "F8_E5M2" 8, F8E4M3 "F8_E4M3" 8, F8E8M0 "F8_E8M0" 8, I8 "I8" 8, U8 "U8" 8, Bool "BOOL" 8,
    F6E2M3 "F6_E2M3" 6, F6E3M2 "F6_E3M2" 6, F4 "F4" 4,
}

impl fmt::Display for Header {
    /// The JSON text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |text: &str| Value::from(text).to_string();
        write!(f, "{{{}:{{", text(NOTES))?;
        for (number, (name, note)) in self.notes.iter().enumerate() {
            write!(f, "{}{}:{}", if number > 0 { "," } else { "" }, text(name), text(note))?;
        }
        f.write_str("}")?;
        for (name, Array { dtype, shape, bytes: Range { start, end } }) in &self.arrays {
            write!(f, ",{}:{{\"dtype\":\"{}\",\"shape\":[", text(name), dtype.name())?;
            for (number, size) in shape.iter().enumerate() {
                write!(f, "{}{size}", if number > 0 { "," } else { "" })?;
            }
            write!(f, "],\"data_offsets\":[{start},{end}]}}")?;
        }
        f.write_str("}")
    }
}

impl<'de> Deserialize<'de> for Header {
    /// Takes one array after the other, as a header of a million of them may be all that a file has.
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Arrays;
        impl<'de> Visitor<'de> for Arrays {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("named arrays")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == NOTES {
                        header.notes = map.next_value()?;
                        continue;
                    }
                    let array = map.next_value()?;
                    match header.arrays.entry(name) {
                        btree_map::Entry::Vacant(entry) => entry.insert(array),
                        taken => return Err(A::Error::custom(format!("`{}` occurs twice", taken.key()))),
                    };
                }
                Ok(header)
            }
        }
        source.deserialize_map(Arrays)
    }
}

impl<'de> Deserialize<'de> for Array {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Array;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array's dtype, shape and data_offsets")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Array, A::Error> {
                let (mut dtype, mut shape, mut bytes) = (None, None, None);
                while let Some(field) = map.next_key::<String>()? {
                    let twice = match &field[..] {
                        "dtype" => dtype.replace(map.next_value::<String>()?).is_some(),
                        "shape" => shape.replace(map.next_value::<Vec<usize>>()?).is_some(),
                        "data_offsets" => bytes.replace(map.next_value::<(usize, usize)>()?).is_some(),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            false
                        }
                    };
                    if twice {
                        return Err(A::Error::custom(format!("an array has two fields `{field}`")));
                    }
                }
                let name = dtype.ok_or_else(|| A::Error::missing_field("dtype"))?;
                let dtype = Dtype::of(&name)
                    .ok_or_else(|| A::Error::custom(format!("an array has the unknown type `{name}`")))?;
                let mut shape = shape.ok_or_else(|| A::Error::missing_field("shape"))?;
                shape.shrink_to_fit();
                let (start, end) = bytes.ok_or_else(|| A::Error::missing_field("data_offsets"))?;
                Ok(Array { dtype, shape, bytes: start..end })
            }
        }
        source.deserialize_map(Fields)
    }
}
