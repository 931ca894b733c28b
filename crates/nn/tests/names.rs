//! Every layer refuses a name that a parameter could not have, or that is taken, at the caller's line.

use std::path::Path;

#[path = "../../optim/tests/refusals/mod.rs"]
mod refusals;

use gradus_graph::{Params, Tensor};
use gradus_nn::*;
use refusals::refusal;

type Make = fn(&mut Params<f64>, &str);

#[rustfmt::skip]
fn layers() -> Vec<(&'static str, Make)> {
    vec![
        ("Dense", |p, name| _ = Dense::new(p, name, 2, 2)),
        ("Bilinear", |p, name| _ = Bilinear::new(p, name, 2, 2, 2)),
        ("Embedding", |p, name| _ = Embedding::new(p, name, 2, 2)),
        ("Maxout", |p, name| _ = Maxout::new(p, name, 2, 2, 2)),
        ("PRelu", |p, name| _ = PRelu::new(p, name, 2)),
        ("Highway", |p, name| { let d = Dense::new(p, "d", 2, 2); _ = Highway::new(p, name, 2, d); }),
        ("BatchNorm", |p, name| _ = BatchNorm::new(p, name, 2)),
        ("InstanceNorm", |p, name| _ = InstanceNorm::new(p, name, 2)),
        ("GroupNorm", |p, name| _ = GroupNorm::new(p, name, 1, 2)),
        ("LayerNorm", |p, name| _ = LayerNorm::new(p, name, 2)),
        ("RmsNorm", |p, name| _ = RmsNorm::new(p, name, 2)),
        ("Conv1d", |p, name| _ = Conv1d::new(p, name, 2, 2, 2)),
        ("Conv2d", |p, name| _ = Conv2d::new(p, name, 2, 2, 2)),
        ("ConvTranspose1d", |p, name| _ = ConvTranspose1d::new(p, name, 2, 2, 2)),
        ("ConvTranspose2d", |p, name| _ = ConvTranspose2d::new(p, name, 2, 2, 2)),
        ("MultiHeadAttention", |p, name| _ = MultiHeadAttention::new(p, name, 2, 1)),
        ("LearnedPositions", |p, name| _ = LearnedPositions::new(p, name, 2, 2)),
        ("TransformerEncoderLayer", |p, name| _ = TransformerEncoderLayer::new(p, name, 2, 1)),
        ("TransformerEncoder", |p, name| _ = TransformerEncoder::new(p, name, 1, 2, 1)),
        ("TransformerDecoderLayer", |p, name| _ = TransformerDecoderLayer::new(p, name, 2, 1)),
        ("TransformerDecoder", |p, name| _ = TransformerDecoder::new(p, name, 1, 2, 1)),
        ("Rnn", |p, name| _ = Rnn::new(p, name, 2, 2)),
        ("Gru", |p, name| _ = Gru::new(p, name, 2, 2)),
        ("Lstm", |p, name| _ = Lstm::new(p, name, 2, 2)),
        ("RnnCell", |p, name| _ = RnnCell::new(p, name, 2, 2)),
        ("GruCell", |p, name| _ = GruCell::new(p, name, 2, 2)),
        ("LstmCell", |p, name| _ = LstmCell::new(p, name, 2, 2)),
    ]
}

/// The file and the message of the panic of a layer that is made with a name.
fn refused(make: Make, params: &mut Params<f64>, name: &str) -> Option<String> {
    refusal(|| make(params, name)).map(|(message, file)| format!("{file}: {message}"))
}

/// One test for all, since a hook for panics is of the whole process.
#[test]
fn names_that_no_parameter_can_have_or_that_are_taken_are_refused_at_the_line_of_the_caller() {
    expect_all_in_the_table();
    let mut wrong = Vec::new();
    for (layer, make) in layers() {
        for name in ["a.b", ".a", "a.", ".", ""] {
            let message = refused(make, &mut Params::new(0), name).unwrap_or_default();
            if !message.contains("tests/names.rs") || !message.contains(&format!("{name:?}")) {
                wrong.push(format!("{layer} of {name:?}: {message}"));
            }
        }
        let mut params = Params::new(0);
        make(&mut params, "name");
        // Each of the parameters may be the one whose name is taken.
        let taken: Vec<String> = params.iter().map(|(param, _)| param.name().to_owned()).collect();
        for taken in taken.iter().filter(|taken| taken.starts_with("name.")) {
            let mut params = Params::new(0);
            let (scopes, own) = taken.rsplit_once('.').expect("a parameter of a layer is in its scope");
            add(&mut params, scopes, own);
            let message = refused(make, &mut params, "name").unwrap_or_default();
            if !message.contains("tests/names.rs") || !message.contains(&format!("`{taken}` exists already")) {
                wrong.push(format!("{layer} with `{taken}` taken: {message}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Adds a parameter within scopes.
fn add(params: &mut Params<f64>, scopes: &str, own: &str) {
    match scopes.split_once('.') {
        Some((first, rest)) => add(&mut params.enter(first), rest, own),
        None => _ = params.enter(scopes).add(own, Tensor::zeros([1])),
    }
}

/// Layers that have other names for each number of axes or each cell: those are in the table.
const GENERAL: [&str; 3] = ["Conv", "ConvTranspose", "Recurrent"];

fn expect_all_in_the_table() {
    let mut made = Vec::new();
    makers_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut made);
    assert!(made.len() > 15, "the sources have more layers than {made:?}");
    let known: Vec<&str> = layers().iter().map(|(layer, _)| *layer).chain(GENERAL).collect();
    made.retain(|layer| !known.contains(&&layer[..]));
    assert!(made.is_empty(), "no test gives these layers a name that is refused: {made:?}");
}

/// The types whose constructor takes a store and a name.
fn makers_in(folder: &Path, made: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("the sources are here") {
        let path = entry.expect("the sources can be read").path();
        if path.is_dir() {
            makers_in(&path, made);
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("the sources can be read");
        let own = source.split("#[cfg(test)]").next().unwrap_or_default();
        for block in own.split("\nimpl").skip(1).filter_map(|rest| rest.split("\n}\n").next()) {
            let header = block.lines().next().unwrap_or_default();
            let header = header.split_once("> ").filter(|_| header.starts_with('<')).map_or(header, |(_, rest)| rest);
            let owner: String = header.trim_start().chars().take_while(|c| c.is_alphanumeric()).collect();
            let mut constructors = block.split("    pub fn new").skip(1).filter_map(|rest| rest.split('{').next());
            if constructors
                .any(|signature| signature.contains("params: &mut Params") && signature.contains("name: &str"))
            {
                made.push(owner);
            }
        }
    }
}
