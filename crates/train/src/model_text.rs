//! The graphs of a model file as JSON text: for each its nodes and its outputs. Tensors are elsewhere in the file.

use std::fmt::{self, Write};

use gradus_graph::{Attribute, Attributes, GraphDescription, Kind, Meta, Metas, NodeDescription, Shape};
use serde_core::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The graphs of a model, without their constants, and the names of their outputs.
#[derive(Debug, PartialEq)]
pub(crate) struct Graphs {
    pub(crate) outputs: Vec<String>,
    pub(crate) graphs: Vec<GraphDescription>,
}

impl fmt::Display for Graphs {
    /// The JSON text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{\"outputs\":")?;
        list(f, &self.outputs, |f, name| f.write_str(&text(name)))?;
        f.write_str(",\"graphs\":")?;
        list(f, &self.graphs, |f, GraphDescription { nodes, outputs, .. }| {
            f.write_str("{\"nodes\":")?;
            list(f, nodes, node)?;
            f.write_str(",\"outputs\":")?;
            list(f, outputs, place)?;
            f.write_char('}')
        })?;
        f.write_char('}')
    }
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

fn list<E>(
    f: &mut fmt::Formatter<'_>,
    list: impl IntoIterator<Item = E>,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, E) -> fmt::Result,
) -> fmt::Result {
    f.write_char('[')?;
    for (number, element) in list.into_iter().enumerate() {
        f.write_str(if number > 0 { "," } else { "" })?;
        write(f, element)?;
    }
    f.write_char(']')
}

fn place(f: &mut fmt::Formatter<'_>, (node, output): &(u32, u32)) -> fmt::Result {
    write!(f, "[{node},{output}]")
}

fn node(f: &mut fmt::Formatter<'_>, node: &NodeDescription) -> fmt::Result {
    write!(f, "{{\"op\":{},\"version\":{}", text(&node.op), node.version)?;
    for (number, (name, value)) in node.attributes.iter().enumerate() {
        write!(f, "{}{}:", if number > 0 { "," } else { ",\"attributes\":{" }, text(name))?;
        attribute(f, value)?;
    }
    f.write_str(if node.attributes.iter().next().is_some() { "}" } else { "" })?;
    if !node.inputs.is_empty() {
        f.write_str(",\"inputs\":")?;
        list(f, &node.inputs, place)?;
    }
    f.write_str(",\"gives\":")?;
    list(f, &node.outputs, |f, Meta { kind, shape }| {
        write!(f, "[\"{}\",", if *kind == Kind::Real { "real" } else { "index" })?;
        list(f, shape.iter(), |f, size| write!(f, "{size}"))?;
        f.write_char(']')
    })?;
    f.write_char('}')
}

fn attribute(f: &mut fmt::Formatter<'_>, value: &Attribute) -> fmt::Result {
    match value {
        Attribute::Integer(integer) => write!(f, "{integer}"),
        Attribute::Flag(flag) => write!(f, "{flag}"),
        Attribute::Text(value) => f.write_str(&text(value)),
        Attribute::List(values) => list(f, values, attribute),
    }
}

/// Defines a struct that is read from a JSON object. A field that is absent has its default; one that is unknown or
/// occurs twice is an error.
macro_rules! object {
    ($object:ident { $($field:ident: $kind:ty),+ $(,)? }) => {
        struct $object { $($field: $kind),+ }

        impl<'de> Deserialize<'de> for $object {
            fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                struct Fields;
                impl<'de> Visitor<'de> for Fields {
                    type Value = $object;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("an object with the fields", $(" `", stringify!($field), "`"),+))
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$object, A::Error> {
                        $(let mut $field: Option<$kind> = None;)+
                        while let Some(name) = map.next_key::<String>()? {
                            match &name[..] {
                                $(stringify!($field) if $field.is_none() => $field = Some(map.next_value()?),)+
                                _ => {
                                    let problem = format!("the field `{name}` is unknown or occurs twice");
                                    return Err(A::Error::custom(problem));
                                }
                            }
                        }
                        Ok($object { $($field: $field.unwrap_or_default()),+ })
                    }
                }
                source.deserialize_map(Fields)
            }
        }
    };
}

object!(File { outputs: Vec<String>, graphs: Vec<GraphText> });
object!(GraphText { nodes: Vec<Node>, outputs: Vec<(u32, u32)> });
object!(NodeText {
    op: String,
    version: u32,
    attributes: AttributesText,
    inputs: Vec<(u32, u32)>,
    gives: Vec<(String, Vec<usize>)>,
});

struct Node(NodeDescription);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let NodeText { op, version, attributes: AttributesText(attributes), mut inputs, gives } =
            NodeText::deserialize(source)?;
        inputs.shrink_to_fit();
        let meta = |(kind, sizes): (String, Vec<usize>)| {
            let shape = Shape::try_new(sizes).map_err(D::Error::custom)?;
            match &kind[..] {
                "real" => Ok(Meta::real(shape)),
                "index" => Ok(Meta::index(shape)),
                _ => Err(D::Error::custom(format!("values are `real` or `index`, not `{kind}`"))),
            }
        };
        let outputs: Metas = gives.into_iter().map(meta).collect::<Result<_, _>>()?;
        Ok(Self(NodeDescription { op, version, attributes, inputs, outputs }))
    }
}

#[derive(Default)]
struct AttributesText(Attributes);

impl<'de> Deserialize<'de> for AttributesText {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Named;
        impl<'de> Visitor<'de> for Named {
            type Value = AttributesText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the attributes of an op by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributesText, A::Error> {
                let mut attributes = Vec::new();
                while let Some((name, AttributeText(value))) = map.next_entry()? {
                    attributes.push((name, value));
                }
                Ok(AttributesText(attributes.into_iter().collect()))
            }
        }
        source.deserialize_map(Named)
    }
}

struct AttributeText(Attribute);

impl<'de> Deserialize<'de> for AttributeText {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct AnyOf;
        impl<'de> Visitor<'de> for AnyOf {
            type Value = AttributeText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer, true or false, a text, or a list of these")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<AttributeText, E> {
                Ok(AttributeText(Attribute::Flag(flag)))
            }

            fn visit_i64<E>(self, integer: i64) -> Result<AttributeText, E> {
                Ok(AttributeText(Attribute::Integer(integer.into())))
            }

            fn visit_u64<E>(self, integer: u64) -> Result<AttributeText, E> {
                Ok(AttributeText(Attribute::Integer(integer.into())))
            }

            fn visit_str<E>(self, text: &str) -> Result<AttributeText, E> {
                Ok(AttributeText(Attribute::Text(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<AttributeText, A::Error> {
                let mut list = Vec::new();
                while let Some(AttributeText(value)) = values.next_element()? {
                    list.push(value);
                }
                Ok(AttributeText(Attribute::List(list)))
            }
        }
        source.deserialize_any(AnyOf)
    }
}

impl Graphs {
    /// Reads the JSON text.
    ///
    /// # Errors
    /// The problem, in one sentence.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let File { outputs, graphs } = serde_json::from_str(text).map_err(|problem| problem.to_string())?;
        let graph = |GraphText { nodes, outputs }| {
            let nodes = nodes.into_iter().map(|Node(node)| node).collect();
            GraphDescription { nodes, outputs, ..GraphDescription::default() }
        };
        Ok(Self { outputs, graphs: graphs.into_iter().map(graph).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gives_back_what_was_written() {
        let attributes = Attributes::new()
            .with("whole", &u64::MAX)
            .with("negative", &i64::MIN)
            .with("flag", &true)
            .with("a \"text\"\n", &"with \u{1F600}".to_owned())
            .with("lists", &vec![[1_usize, 2], [3, 4]])
            .with("empty", &Vec::<bool>::new());
        let outputs: Metas = [Meta::real([2, 3]), Meta::index([])].into_iter().collect();
        let with = NodeDescription { op: "one".into(), version: 7, attributes, inputs: vec![(0, 1), (2, 0)], outputs };
        let bare = NodeDescription {
            op: "bare".into(),
            version: 1,
            attributes: Attributes::new(),
            inputs: Vec::new(),
            outputs: Metas::new(),
        };
        let graph = GraphDescription { nodes: vec![with, bare], outputs: vec![(1, 0)], ..GraphDescription::default() };
        let graphs = Graphs { outputs: vec!["y".into()], graphs: vec![graph, GraphDescription::default()] };
        assert_eq!(Graphs::read(&graphs.to_string()), Ok(graphs));
    }

    #[test]
    fn what_is_no_such_text_is_refused() {
        let node = |fields: &str| format!("{{\"graphs\":[{{\"nodes\":[{{{fields}}}]}}]}}");
        let cases = [
            (String::new(), "EOF while parsing a value"),
            ("[]".into(), "invalid type: sequence, expected an object with the fields `outputs` `graphs`"),
            ("{\"graphs\":1}".into(), "invalid type: integer `1`, expected a sequence"),
            ("{\"more\":1}".into(), "the field `more` is unknown or occurs twice"),
            (node("\"op\":\"a\",\"op\":\"b\""), "the field `op` is unknown or occurs twice"),
            (node("\"version\":-1"), "invalid value: integer `-1`, expected u32"),
            (node("\"gives\":[[\"complex\",[]]]"), "values are `real` or `index`, not `complex`"),
            (node("\"gives\":[[\"real\",[4294967296,4294967296]]]"), "a shape of [4294967296, 4294967296] has more"),
            (node("\"attributes\":{\"a\":0.5}"), "invalid type: floating point `0.5`, expected an integer, true or"),
            (node("\"attributes\":{\"a\":null}"), "invalid type: null, expected an integer, true or"),
            (node(&format!("\"attributes\":{{\"a\":{}", "[".repeat(100_000))), "recursion limit exceeded"),
        ];
        for (text, message) in cases {
            let error = Graphs::read(&text).expect_err(message);
            assert!(error.starts_with(message), "{error}\ndoes not begin with\n{message}");
        }
    }
}
