//! Damaged model files: bytes as in all files, and edits of the graphs that leave them JSON. None panics, neither when it is
//! read nor when what was read runs, and none takes memory without bound.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::time::Instant;

use gradus_graph::check::CountingAllocator;
use gradus_graph::{AnyTensor, Data, Feed, Kind, Meta, Ops, Params, Tensor};
use gradus_nn::{
    BatchNorm, Conv2d, Conv2dOptions, Dense, Embedding, Given, Lstm, Mask, MaxPool2d, Mode, TransformerEncoderLayer,
    TransformerOptions,
};
use gradus_train::{Function, Model};
use serde_json::Value;

use super::mutation::{Numbers, mutate};
use crate::folder::Folder;
use crate::table::Table;

/// Bytes that the reader may allocate for a small file, and for each byte of a file: a node of fifty bytes becomes one of a
/// graph and of a plan.
const ROOM: usize = 1 << 20;
const ROOM_EACH: usize = 64;
/// Characters that a message may have.
const MESSAGE: usize = 5_000;
/// The most elements of all values of a model that is run after it was read.
const RUN: usize = 1 << 16;

pub(super) fn run(table: &mut Table, count: usize) -> bool {
    let folder = Folder::new("models");
    let path = folder.join("model");
    let originals = originals(&path);
    let names: Vec<&str> = Ops::builtin().names().collect();
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let mut right = true;
    for (edits, name) in [(false, "model, bytes"), (true, "model, graphs")] {
        let start = Instant::now();
        let (mut wrong, mut refused, mut peak) = (0, 0, 0);
        for case in 0..count.div_ceil(2) {
            let mut numbers = Numbers::new((u64::from(edits) << 32) | case as u64);
            let original = &originals[numbers.below(originals.len())];
            let bytes = match edits {
                true => edited(&mut numbers, original, &names),
                false => mutate(&mut numbers, original, &originals),
            };
            let (outcome, most) = CountingAllocator::peak_of(|| catch_unwind(|| read(&path, &bytes)));
            peak = peak.max(most);
            let fault = match outcome {
                Err(panic) => Some(format!("panicked: {}", super::files::said(&*panic))),
                Ok(_) if most > ROOM + ROOM_EACH * bytes.len() => {
                    Some(format!("allocated {most} bytes for a file of {}", bytes.len()))
                }
                Ok(Err(message)) if message.chars().count() > MESSAGE => {
                    Some(format!("has a message of {} bytes", message.len()))
                }
                Ok(Err(_)) => {
                    refused += 1;
                    None
                }
                Ok(Ok(model)) => match catch_unwind(AssertUnwindSafe(|| run_all(model, &bytes))) {
                    Err(panic) => Some(format!("panicked in a run: {}", super::files::said(&*panic))),
                    Ok(()) => None,
                },
            };
            if let Some(fault) = fault {
                wrong += 1;
                if wrong <= 10 {
                    eprintln!("{name}, case {case}: {fault}");
                }
            }
        }
        let (seconds, peak) = (start.elapsed().as_secs_f64(), peak as f64 / f64::from(1 << 20));
        let cases = count.div_ceil(2) as f64;
        table.row(name, &[cases, f64::from(wrong), f64::from(refused), peak, seconds, cases / seconds]);
        right &= wrong == 0;
    }
    set_hook(hook);
    right &= bombs(table, &path);
    table.note(format!(
        "the reader of models may allocate {} KiB and {ROOM_EACH} bytes for each byte of the file; a model that is read must \
         run, or say why not",
        ROOM >> 10
    ));
    right
}

fn read(path: &Path, bytes: &[u8]) -> Result<Model, String> {
    std::fs::write(path, bytes).expect("it can be written");
    Model::load(path).map_err(|error| error.to_string())
}

/// Runs a model for each of its signatures, unless that takes much.
fn run_all(mut model: Model, bytes: &[u8]) {
    if elements(bytes).is_none_or(|elements| elements > RUN) {
        return;
    }
    let signatures: Vec<Vec<(String, Meta)>> = model.signatures().map(<[_]>::to_vec).collect();
    for inputs in signatures {
        let value = |(_, Meta { kind, shape }): &(String, Meta)| -> AnyTensor<f32> {
            match kind {
                Kind::Real => Tensor::full(shape, 0.5_f32).into(),
                Kind::Index => Tensor::full(shape, 1_i64).into(),
            }
        };
        let values: Vec<AnyTensor<f32>> = inputs.iter().map(value).collect();
        let values: Vec<Data<'_, f32>> = values.iter().map(Data::from).collect();
        // An index may be out of range.
        let _ = model.run(&Feed::in_order(&values));
    }
}

/// The header of a file as JSON, the graphs in it, and the elements behind it.
fn parts(bytes: &[u8]) -> Option<(Value, Value, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (header, elements) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let header: Value = serde_json::from_slice(header).ok()?;
    let graphs = serde_json::from_str(header["__metadata__"]["graphs"].as_str()?).ok()?;
    Some((header, graphs, elements))
}

/// The elements of all values of the graphs of a file.
fn elements(bytes: &[u8]) -> Option<usize> {
    let (_, graphs, _) = parts(bytes)?;
    let mut sum = 0_usize;
    for graph in graphs["graphs"].as_array()? {
        for node in graph["nodes"].as_array()? {
            for value in node["gives"].as_array()? {
                let sizes = value[1].as_array()?.iter().filter_map(Value::as_u64);
                sum = sum.saturating_add(sizes.fold(1, |all, size| all.saturating_mul(size as usize)));
            }
        }
    }
    Some(sum)
}

/// The file with graphs that are changed in a few places and still JSON.
fn edited(numbers: &mut Numbers, file: &[u8], names: &[&str]) -> Vec<u8> {
    let (mut header, mut graphs, elements) = parts(file).expect("the original is a model");
    for _ in 0..=numbers.below(3) {
        let count = places(&mut graphs, usize::MAX, &mut |_| ());
        let chosen = numbers.below(count);
        places(&mut graphs, chosen, &mut |value| change(numbers, value, names));
    }
    header["__metadata__"]["graphs"] = Value::from(graphs.to_string());
    whole(&header.to_string(), elements)
}

fn whole(header: &str, elements: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), elements].concat()
}

/// The number of values within a value; `visit` sees the chosen one.
fn places(value: &mut Value, chosen: usize, visit: &mut dyn FnMut(&mut Value)) -> usize {
    let mut before = 1;
    match value {
        Value::Array(list) => {
            for element in list.iter_mut() {
                before += places(element, chosen.wrapping_sub(before), visit);
            }
        }
        Value::Object(fields) => {
            for (_, element) in fields.iter_mut() {
                before += places(element, chosen.wrapping_sub(before), visit);
            }
        }
        _ => {}
    }
    if chosen == 0 {
        visit(value);
    }
    before
}

/// Numbers that sizes, axes and places may be.
const ODD: [i64; 18] = [0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 255, -1, -2, 1 << 20, 1 << 31, 1 << 44, i64::MAX, i64::MIN];

fn change(numbers: &mut Numbers, value: &mut Value, names: &[&str]) {
    let odd = ODD[numbers.below(ODD.len())];
    match value {
        Value::Number(_) if numbers.below(8) > 0 => *value = Value::from(odd),
        Value::Bool(flag) => *flag = !*flag,
        Value::String(_) => {
            let texts =
                ["", "x", "NaN", "inf", "-0.0", "1e308", "0x7ff0000000000001", "real", "index", "bernoulli", "+"];
            *value = match numbers.below(2) {
                0 => Value::from(texts[numbers.below(texts.len())]),
                _ => Value::from(names[numbers.below(names.len())]),
            };
        }
        Value::Array(list) if !list.is_empty() => {
            let (a, b) = (numbers.below(list.len()), numbers.below(list.len()));
            match numbers.below(5) {
                0 => list.swap(a, b),
                1 => drop(list.remove(a)),
                2 => list.insert(b, list[a].clone()),
                3 => list.truncate(a),
                _ => list[b] = list[a].clone(),
            }
        }
        Value::Array(list) => list.push(Value::from(odd)),
        Value::Object(fields) => {
            let keys: Vec<String> = fields.keys().cloned().collect();
            if !keys.is_empty() {
                let moved = fields.remove(&keys[numbers.below(keys.len())]);
                if numbers.below(2) == 0 {
                    fields.insert(keys[numbers.below(keys.len())].clone(), moved.unwrap_or_default());
                }
            }
        }
        _ => *value = [Value::Null, Value::from(0.5), Value::from(u64::MAX)][numbers.below(3)].clone(),
    }
}

/// Models with ops of many kinds, each for two combinations of shapes.
fn originals(path: &Path) -> Vec<Vec<u8>> {
    let mut params: Params = Params::new(1);
    let conv = Conv2d::with(&mut params, "conv", 2, 4, 3, Conv2dOptions::new().padding(1).groups(2));
    let (norm, dense) = (BatchNorm::new(&mut params, "norm", 4), Dense::new(&mut params, "dense", 16, 3));
    let words = Embedding::new(&mut params, "words", 5, 4);
    let layer = TransformerEncoderLayer::with(&mut params, "layer", 4, 2, TransformerOptions::new().hidden(6));
    let lstm = Lstm::new(&mut params, "lstm", 4, 3);
    let save = |number: usize, function: &dyn Fn() -> Result<(), std::io::Error>| {
        function().unwrap_or_else(|problem| panic!("original {number}: {problem}"));
        std::fs::read(path).expect("it is there")
    };
    let images = || {
        let function = Function::new(|graph, [x]| {
            let dropped = graph.bernoulli(0.5, x.shape()) * x;
            let y = norm.forward_in(conv.forward(dropped), Mode::Eval).relu();
            let batch = y.shape()[0];
            [dense.forward(MaxPool2d::new(2).forward(y).reshape([batch, 16])).softmax(-1)]
        });
        let examples = [3, 1].map(|rows| Tensor::<f32>::ones([rows, 2, 4, 4]));
        function.save_model(path, &params, ["image"], ["scores"], &examples)
    };
    let text = || {
        let function = Function::new(|_, [tokens, lengths]| {
            let x = layer.forward_in(words.forward(tokens), Mask::causal(), Mode::Eval);
            let given = Given { lengths: Some(lengths), ..Given::default() };
            let sequence = lstm.sequence(x, given, Mode::Eval);
            [sequence.outputs, sequence.state.hidden]
        });
        let examples = [2, 1].map(|batch| (Tensor::full([2, batch], 1_i64), Tensor::full([batch], 2_i64)));
        let examples = examples.iter().map(|(tokens, lengths)| (tokens, lengths));
        function.save_model(path, &params, ["tokens", "lengths"], ["outputs", "last"], examples)
    };
    let mixed = || {
        let function = Function::new(|graph, [x, rows]| {
            let mask = graph.constant(&Tensor::from_fn([3, 4], |k| k as f64 / 10.0));
            let table = graph.index_constant(&Tensor::from([2, 0, 1]));
            let chosen = table.index_select(0, rows.modulo(3)) + 1;
            let one_hot = chosen.one_hot(4) + graph.randint(0..3, [3, 4]).to_real();
            let parts = [
                x.pad(1, 1, 2).slice(1, 1, 5) + mask,
                x.flip(0).cumsum(1).cumprod(0).clamp(-2.0, 2.0),
                x.windows(&[gradus_graph::Window { size: 2, stride: 1, dilation: 2 }]).sum_axes(2).pad(1, 0, 2),
                x.powi(3) + x.abs().powf(0.5) + (x + 3).polygamma(1) + x.leaky_relu(0.1) + x.elu(1.5),
                x.tril(1) * x.triu(-1) + x.max_keep(1) + x.norm_keep(0) + x.std_keep(1, 0) + x.prod_keep(0),
                x.scatter_add(1, chosen.reshape([3, 1]) - 1, x.slice(1, 0, 1)).log_softmax(1),
                graph.concat(&[x.slice(1, 0, 2), x.slice(1, 2, 4)], 1).permute([1, 0]).t() * one_hot,
            ];
            let sum = parts.into_iter().sum::<gradus_graph::Var<'_>>().tanh().square().sum();
            let slope = graph.grad(sum, &[x]).expect("it has a gradient")[0];
            [slope, x.argmax(0), x.matmul(x.t())]
        });
        let examples = [(Tensor::<f32>::ones([3, 4]), Tensor::from([0, 1, 2]))];
        let examples = examples.iter().map(|(x, rows)| (x, rows));
        function.save_model(path, &params, ["x", "rows"], ["slope", "place", "product"], examples)
    };
    vec![save(0, &images), save(1, &text), save(2, &mixed)]
}

/// Small files that tell of much.
fn bombs(table: &mut Table, path: &Path) -> bool {
    let start = Instant::now();
    let file = |nodes: String| {
        let graphs = format!(r#"{{"outputs":["y"],"graphs":[{{"nodes":[{nodes}],"outputs":[[0,0]]}}]}}"#);
        let notes = serde_json::json!({ "format": "gradus model", "version": "1", "graphs": graphs });
        whole(&serde_json::json!({ "__metadata__": notes }).to_string(), &[])
    };
    let input =
        |sizes: &str| format!(r#"{{"op":"input","version":1,"attributes":{{"name":"x"}},"gives":[["real",{sizes}]]}}"#);
    let of = |op: &str, attributes: &str, inputs: &str, sizes: &str| {
        format!(
            r#",{{"op":"{op}","version":1,"attributes":{{{attributes}}},"inputs":[{inputs}],"gives":[["real",{sizes}]]}}"#
        )
    };
    let exps: String = (0..100_000).map(|k| of("exp", "", &format!("[{k},0]"), "[2]")).collect();
    let many = "[0,0],".repeat(200_000);
    let (starts, deep) =
        ((0..200_000).map(|k| k.to_string()).collect::<Vec<_>>().join(","), format!("[{}]", vec!["1"; 64].join(",")));
    let concat = |starts: &str| format!(r#""axis":0,"starts":[{starts}]"#);
    let huge: String =
        (0..2_000).map(|_| of("broadcast_to", r#""shape":[4000000000,2]"#, "[0,0]", "[4000000000,2]")).collect();
    let cases = [
        ("a chain of nodes", file(input("[2]") + &exps)),
        (
            "an op of many inputs",
            file(input("[1]") + &of("concat", &concat(&starts), many.trim_end_matches(','), "[200000]")),
        ),
        (
            "an op of many inputs of many axes",
            file(input(&deep) + &of("concat", &concat(&starts), many.trim_end_matches(','), &deep)),
        ),
        (
            "an attribute of many numbers",
            file(input("[2]") + &of("sum", &format!(r#""axes":[{}0]"#, "0,".repeat(1_000_000)), "[0,0]", "[]")),
        ),
        ("values larger than any memory", file(input("[2]") + &huge)),
    ];
    let (mut wrong, mut refused, mut peak) = (0, 0, 0);
    let count = cases.len();
    for (name, bytes) in cases {
        let (outcome, most) = CountingAllocator::peak_of(|| read(path, &bytes).map(drop));
        refused += usize::from(outcome.is_err());
        peak = peak.max(most);
        let message = outcome.err().map_or(0, |message| message.chars().count());
        if most > ROOM + ROOM_EACH * bytes.len() || message > MESSAGE {
            wrong += 1;
            eprintln!("{name}: {most} bytes for a file of {}, a message of {message} characters", bytes.len());
        }
    }
    let (seconds, peak, cases) = (start.elapsed().as_secs_f64(), peak as f64 / f64::from(1 << 20), count as f64);
    table.row("models that tell of much", &[cases, f64::from(wrong), refused as f64, peak, seconds, cases / seconds]);
    wrong == 0
}
