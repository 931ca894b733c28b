//! The built-in ops, one file per op or family of ops, written in the same way as a user's op.

mod activation;
mod argmax;
mod arithmetic;
mod broadcast_to;
mod compare;
mod concat;
mod conv;
mod conv_input;
mod conv_weight;
mod cotangent;
mod cross_entropy;
mod cumsum;
mod cumulative;
mod einsum;
mod exponential;
mod extremes;
mod identity;
mod index_select;
mod integer;
mod matmul;
mod max_pool;
mod moments;
mod norm;
mod normalize;
mod one_hot;
mod outer;
mod permute;
mod power;
mod prod;
mod reshape;
mod rounding;
mod slice;
mod softmax;
mod special;
mod split;
mod stop_gradient;
mod sum;
mod take_along;
mod to_index;
mod to_real;
mod triangle;
mod trigonometric;
mod windows;

impl crate::tape::op::Ops {
    /// The built-in ops that a graph can hold.
    pub fn builtin() -> Self {
        let files: [fn(Self) -> Self; 40] = [
            activation::saved,
            argmax::saved,
            arithmetic::saved,
            broadcast_to::saved,
            compare::saved,
            concat::saved,
            conv::saved,
            conv_input::saved,
            conv_weight::saved,
            cotangent::saved,
            cross_entropy::saved,
            cumsum::saved,
            cumulative::saved,
            exponential::saved,
            extremes::saved,
            identity::saved,
            index_select::saved,
            integer::saved,
            matmul::saved,
            max_pool::saved,
            moments::saved,
            norm::saved,
            normalize::saved,
            one_hot::saved,
            permute::saved,
            power::saved,
            prod::saved,
            reshape::saved,
            rounding::saved,
            slice::saved,
            softmax::saved,
            special::saved,
            stop_gradient::saved,
            sum::saved,
            take_along::saved,
            to_index::saved,
            to_real::saved,
            triangle::saved,
            trigonometric::saved,
            windows::saved,
        ];
        files.into_iter().fold(Self::default(), |ops, saved| saved(ops))
    }
}

/// Every built-in op with its samples, as the suite checks them and the table of ops lists them.
#[cfg(any(test, feature = "proptest"))]
pub fn registry() -> Vec<crate::check::Entry> {
    by_file().into_iter().flat_map(|(_, entries)| entries).collect()
}

/// The entries of each file that has ops.
#[cfg(any(test, feature = "proptest"))]
fn by_file() -> Vec<(&'static str, Vec<crate::check::Entry>)> {
    vec![
        ("activation", activation::entries()),
        ("argmax", argmax::entries()),
        ("arithmetic", arithmetic::entries()),
        ("broadcast_to", broadcast_to::entries()),
        ("compare", compare::entries()),
        ("concat", concat::entries()),
        ("conv", conv::entries()),
        ("conv_input", conv_input::entries()),
        ("conv_weight", conv_weight::entries()),
        ("cotangent", cotangent::entries()),
        ("cross_entropy", cross_entropy::entries()),
        ("cumsum", cumsum::entries()),
        ("cumulative", cumulative::entries()),
        ("exponential", exponential::entries()),
        ("extremes", extremes::entries()),
        ("identity", identity::entries()),
        ("index_select", index_select::entries()),
        ("integer", integer::entries()),
        ("matmul", matmul::entries()),
        ("max_pool", max_pool::entries()),
        ("moments", moments::entries()),
        ("norm", norm::entries()),
        ("normalize", normalize::entries()),
        ("one_hot", one_hot::entries()),
        ("permute", permute::entries()),
        ("power", power::entries()),
        ("prod", prod::entries()),
        ("reshape", reshape::entries()),
        ("rounding", rounding::entries()),
        ("slice", slice::entries()),
        ("softmax", softmax::entries()),
        ("special", special::entries()),
        ("split", split::entries()),
        ("stop_gradient", stop_gradient::entries()),
        ("sum", sum::entries()),
        ("take_along", take_along::entries()),
        ("to_index", to_index::entries()),
        ("to_real", to_real::entries()),
        ("triangle", triangle::entries()),
        ("trigonometric", trigonometric::entries()),
        ("windows", windows::entries()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;

    use crate::check::{Entry, Sample};
    use crate::shape::Shape;
    use crate::tape::Graph;
    use crate::tape::op::{AnyOp, Kind, Kinks, Meta, number};
    use crate::tensor::AnyTensor;

    fn drawn(entry: &Entry, count: usize) -> Vec<Sample> {
        let mut runner = TestRunner::deterministic();
        (0..count).map(|_| entry.samples.new_tree(&mut runner).expect("nothing is refused").current()).collect()
    }

    /// Every sample is of the entry's op, and the op accepts it and runs.
    #[test]
    fn samples_are_of_the_op_and_run() {
        for entry in super::registry() {
            for sample in drawn(&entry, 64) {
                assert_eq!(sample.op.name(), entry.name);
                let graph = Graph::new();
                let inputs: Vec<_> = (sample.inputs.iter())
                    .map(|input| match input {
                        AnyTensor::Real(x) => graph.constant(x),
                        AnyTensor::Index(x) => graph.index_constant(x),
                    })
                    .collect();
                let outputs =
                    graph.apply_any(&sample.op, &inputs).unwrap_or_else(|error| panic!("{sample:?}: {error}"));
                let values = graph.eval_with::<f64>(&outputs, &crate::Params::new(0), &crate::Feed::new());
                values.unwrap_or_else(|error| panic!("{sample:?}: {error}"));
            }
        }
    }

    /// The samples of every op include shapes and values that a wrong derivative may depend on: no elements, one,
    /// several, few axes and many, numbers of either sign.
    #[test]
    fn samples_are_of_every_kind() {
        for entry in super::registry() {
            let samples = drawn(&entry, 512);
            let shapes: Vec<&Shape> = samples.iter().flat_map(|sample| &sample.inputs).map(AnyTensor::shape).collect();
            let has = |what: &str, found: bool| assert!(found, "no sample of `{}` has {what}", entry.name);
            has("no elements", shapes.iter().any(|shape| shape.contains(&0)));
            has("an axis of size 1", shapes.iter().any(|shape| shape.contains(&1)));
            has("an axis of size 3", shapes.iter().any(|shape| shape.contains(&3)));
            let ranks: BTreeSet<usize> = shapes.iter().map(|shape| shape.rank()).collect();
            let list = ["index_select", "index_select_vjp", "index_add"].contains(&entry.name);
            // Convolutions are of planes: their inputs have four axes.
            let planes = entry.name.starts_with("conv");
            has("three ranks or more", (ranks.len() >= 3 && ranks.last() >= Some(&4)) || planes);
            has("an input of few axes", ranks.first() <= Some(&2) || list || planes);
            for input in 0..samples.iter().map(|sample| sample.inputs.len()).max().unwrap_or(0) {
                let values: Vec<(&Sample, f64)> = (samples.iter())
                    .filter_map(|sample| match sample.inputs.get(input) {
                        Some(AnyTensor::Real(x)) => Some(x.data().iter().map(move |&x| (sample, x))),
                        _ => None,
                    })
                    .flatten()
                    .collect();
                let below = values.iter().any(|(sample, _)| sample.op.domain(input).low < 0.0);
                has("a number below 0", values.iter().any(|(_, x)| *x < 0.0) || !below);
                has("a number above 0", values.iter().any(|(_, x)| *x > 0.0) || values.is_empty());
                let within = values.iter().all(|(sample, x)| sample.op.domain(input).contains(*x));
                assert!(within, "a sample of `{}` lies outside of its domain", entry.name);
            }
        }
    }

    /// The names of the ops that a source file defines.
    fn names(source: &str) -> BTreeSet<String> {
        let source = source.split("#[cfg(test)]\nmod tests").next().expect("a split has a first part");
        let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let constants = source.lines().filter(|line| line.trim_start().starts_with("const NAME: ")).flat_map(quoted);
        let methods = source
            .split("fn name(&self) -> &'static str {")
            .skip(1)
            .flat_map(|rest| quoted(rest.split("\n    }\n").next().expect("a split has a first part")));
        // `Exp, exp: |x| …` is the first line of a macro's body that is no doc comment.
        let macros = ["unary! {\n", "piecewise_constant! {\n", "mask! {\n"]
            .into_iter()
            .flat_map(|name| source.split(name).skip(1));
        let of_macros = macros.filter_map(|body| {
            let line = body.lines().find(|line| !line.trim_start().starts_with("///"))?;
            let (_, rest) = line.split_once(", ")?;
            Some(rest.split_once(": |")?.0.to_owned())
        });
        constants.chain(methods).chain(of_macros).collect()
    }

    #[test]
    fn names_are_found_in_sources() {
        let source = "unary! {\n    /// `a, b: |`\n    Exp, exp: |x| x.exp(),\n}\n    const NAME: &'static str = \"pow\";\n    \
                      fn name(&self) -> &'static str {\n        if self.largest { \"max\" } else { \"min\" }\n    }\n";
        assert_eq!(names(source), ["exp", "max", "min", "pow"].map(str::to_owned).into());
    }

    /// The names in a file, or in all files of a folder.
    fn names_in(path: &Path) -> BTreeSet<String> {
        if path.is_file() {
            return names(&std::fs::read_to_string(path).expect("a source file is UTF-8"));
        }
        let files = std::fs::read_dir(path).expect("the folder can be listed");
        files.flat_map(|file| names_in(&file.expect("the entry can be read").path())).collect()
    }

    /// An op without an entry would go unchecked.
    #[test]
    fn every_op_has_an_entry() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
        let listed: Vec<(&str, Vec<&str>)> = (super::by_file().into_iter())
            .map(|(file, entries)| (file, entries.iter().map(|entry| entry.name).collect()))
            .collect();
        let mut found = 0;
        for path in std::fs::read_dir(&folder).expect("the folder can be listed") {
            let path = path.expect("the entry can be read").path();
            let file = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            if file == "mod" {
                continue;
            }
            let names = names_in(&path);
            let entries = listed.iter().find(|(other, _)| *other == file).map_or(&[][..], |(_, entries)| entries);
            for name in &names {
                assert!(
                    entries.contains(&name.as_str()),
                    "op `{name}` in crates/graph/src/ops/{file} has no entry: add `Entry::new(\"{name}\", …)` to its \
                     `entries()`, and the file's to `by_file()` in ops/mod.rs"
                );
            }
            for (index, entry) in entries.iter().enumerate() {
                assert!(names.contains(*entry), "ops/{file} has an entry for `{entry}`, but no op of that name");
                assert!(!entries[..index].contains(entry), "ops/{file} has two entries for `{entry}`");
            }
            found += names.len();
        }
        assert_eq!(found, super::registry().len());
    }

    /// The kinks of input `x`, each with the derivative that is taken there.
    fn kinks(x: &str, kinks: Kinks) -> Option<String> {
        match kinks {
            // Kinks of several inputs together are described in words, as a domain.
            Kinks::None | Kinks::Joint => None,
            Kinks::Ties => Some("ties".into()),
            Kinks::At(kinks) => {
                let each = kinks.iter().map(|&(kink, slope)| format!("`{x} = {}`: {}", number(kink), number(slope)));
                Some(each.collect::<Vec<_>>().join(", "))
            }
            Kinks::Every { first, step } => {
                let step = if step == 1.0 { String::new() } else { number(step) };
                let first = if first == 0.0 { String::new() } else { format!(" + {}", number(first)) };
                Some(format!("`{x} = {step}k{first}`: 0"))
            }
        }
    }

    /// The description of each input that all samples of an op agree on, or the words of the entry.
    fn described(
        entry: &Entry,
        words: Option<&str>,
        samples: &[Sample],
        describe: impl Fn(&dyn AnyOp, usize) -> Option<String>,
    ) -> String {
        let all = |sample: &Sample| {
            let mut described: Vec<String> =
                (0..sample.inputs.len()).filter_map(|i| describe(&*sample.op, i)).collect();
            described.dedup();
            described.join("; ")
        };
        let described: BTreeSet<String> = samples.iter().map(all).collect();
        match words {
            Some(words) => words.to_owned(),
            None if described.len() == 1 => described.into_iter().next().expect("there is one"),
            None => panic!("the samples of `{}` differ, {described:?}: describe them in its entry", entry.name),
        }
    }

    /// To which order an op's derivatives are checked.
    fn orders(entry: &Entry, samples: &[Sample]) -> &'static str {
        let differentiable = |sample: &Sample| {
            let meta = |input: &AnyTensor<f64>| match input {
                AnyTensor::Real(x) => Meta::real(x.shape()),
                AnyTensor::Index(x) => Meta::index(x.shape()),
            };
            let metas: Vec<Meta> = sample.inputs.iter().map(meta).collect();
            let outputs = sample.op.infer(&metas).expect("the op accepts its samples");
            let any_real = |metas: &[Meta]| metas.iter().any(|meta| meta.kind == Kind::Real);
            any_real(&metas) && any_real(&outputs)
        };
        if entry.stops || !samples.iter().any(differentiable) { "–" } else { "2" }
    }

    const HEAD: &str = "\
# The built-in ops

Each op of `crates/graph/src/ops`, from its entry in the suite: this page is generated by a test.
An op is defined and differentiable in its domain, which is all numbers if none is given, except at its kinks; there the derivative is the one after the colon, and tied elements share it equally.
Derivatives are checked to the given order; a dash marks ops of or to indices, and the one that stops derivatives.
";

    fn table() -> String {
        let mut page = HEAD.to_owned();
        for (file, entries) in super::by_file() {
            page += &format!("\n## {file}\n\n| op | formula | domain | at kinks | orders |\n|---|---|---|---|---|\n");
            for entry in entries {
                let samples = drawn(&entry, 64);
                let name = |input: usize| ["x", "y", "z"][input.min(2)];
                let domain = described(&entry, entry.domain, &samples, |op, i| {
                    op.domain(i).condition(name(i)).map(|condition| format!("`{condition}`"))
                });
                let kinks = described(&entry, entry.kinks, &samples, |op, i| kinks(name(i), op.kinks(i)));
                // The part after a semicolon is for rustdoc, and in a table a bar is a border.
                let formula = entry.formula.split("; ").next().expect("a split has a first part").trim();
                let filled =
                    |cell: &str| if cell.is_empty() { " ".into() } else { format!(" {} ", cell.replace('|', "\\|")) };
                let cells = [formula, &domain, &kinks, orders(&entry, &samples)].map(filled).join("|");
                page += &format!("| `{}` |{cells}|\n", entry.name);
            }
        }
        page
    }

    #[test]
    fn the_table_of_ops_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ops.md");
        let (table, found) = (table(), std::fs::read_to_string(&path).unwrap_or_default());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, table).expect("the page can be written");
        } else {
            let line = table.lines().zip(found.lines().chain(std::iter::repeat(""))).find(|(new, old)| new != old);
            let command = "UPDATE=1 cargo test -p gradus-graph --lib the_table_of_ops_is_current";
            assert!(table == found, "docs/ops.md is not current, see {line:?}; `{command}` rewrites it");
        }
    }
}
