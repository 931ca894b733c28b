//! A model in a file gives the values of the function that was saved, bit for bit, in a program without its code; a file
//! that is not what it should be is an error that says what is wrong.

use std::path::{Path, PathBuf};
use std::process::Command;

use gradus_graph::{AnyTensor, Data, Feed, Graph, Kind, Meta, Ops, Params, Pointwise, Real, Tensor, Var, saved_op};
use gradus_nn::{
    BatchNorm, Conv2d, Conv2dOptions, Dense, Dropout, Embedding, Given, Lstm, Mask, MaxPool2d, Mode,
    TransformerEncoder, TransformerOptions,
};
use gradus_optim::{Adam, Optimizer};
use gradus_train::{Function, Model, Step, checkpoint, weights};

/// A folder of its own for a test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gradus-model-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        Self(folder)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The folder of temporary files is cleared in the end whatever becomes of this.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn bits<T: Real>(value: &AnyTensor<T>) -> Vec<u64> {
    match value {
        AnyTensor::Real(tensor) => tensor.data().iter().map(|x| x.as_f64().to_bits()).collect(),
        AnyTensor::Index(tensor) => tensor.data().iter().map(|&x| x as u64).collect(),
    }
}

/// A value that kind and shape determine; indices are below 5.
fn example<T: Real>(meta: &Meta) -> AnyTensor<T> {
    let number = |k: usize| T::of(((k * 37 + 11) % 101) as f64 / 40.0 - 1.2);
    match meta.kind {
        Kind::Real => Tensor::from_fn(&meta.shape, number).into(),
        Kind::Index => Tensor::from_fn(&meta.shape, |k| ((k * 3) % 5) as i64).into(),
    }
}

/// What the function gives for the examples, and what the model does that is read from its file.
#[track_caller]
fn assert_same<F, T: Real, const N: usize, const M: usize>(
    path: &Path,
    params: &Params<T>,
    mut function: Function<F, N, M, T>,
    metas: &[[Meta; N]],
) where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> [Var<'g>; M],
{
    let names: [String; N] = std::array::from_fn(|number| format!("in{number}"));
    let outputs: [String; M] = std::array::from_fn(|number| format!("out{number}"));
    let examples: Vec<[AnyTensor<T>; N]> = metas.iter().map(|metas| metas.each_ref().map(example)).collect();
    let lists = examples.iter().map(|example| example.each_ref().map(Data::from));
    function
        .save_model(
            path,
            params,
            names.each_ref().map(|name| &name[..]),
            outputs.each_ref().map(|name| &name[..]),
            lists,
        )
        .expect("it can be written");
    let mut model: Model<T> = Model::load(path).expect("it can be read");
    assert_eq!(model.outputs(), outputs);
    for (position, example) in examples.iter().chain(&examples).enumerate() {
        let expected = function.run(params, example.each_ref()).expect("it runs").map(bits);
        let values = example.each_ref().map(Data::from);
        let (seed, step) = (function.random_seed(), position as u64);
        let in_order = model.run(&Feed::in_order(&values).random(seed, step)).expect("it runs");
        assert_eq!(in_order.all().iter().map(bits).collect::<Vec<_>>(), expected);
        let named = names.iter().zip(&values).rev().fold(Feed::new(), |feed, (name, value)| match *value {
            Data::Real(tensor) => feed.with(name, tensor),
            Data::Index(tensor) => feed.with(name, tensor),
        });
        let named = model.run(&named.random(seed, step)).expect("it runs");
        assert_eq!(named.all().iter().map(bits).collect::<Vec<_>>(), expected);
    }
}

/// Images: convolutions, a pool, running statistics that training has moved, dropout in evaluation.
struct Images {
    conv: Conv2d,
    norm: BatchNorm,
    dense: Dense,
}

impl Images {
    fn new(params: &mut Params<impl Real>) -> Self {
        let conv = Conv2d::with(params, "conv", 2, 4, 3, Conv2dOptions::new().padding(1).groups(2));
        let norm = BatchNorm::new(params, "norm", 4);
        Self { conv, norm, dense: Dense::new(params, "dense", 4 * 3 * 3, 5) }
    }

    fn forward<'g>(&self, x: Var<'g>, mode: Mode) -> Var<'g> {
        let x = self.norm.forward_in(self.conv.forward(x), mode).relu();
        let x = Dropout::new(0.3).forward_in(MaxPool2d::new(2).forward(x), mode);
        let batch = x.shape()[0];
        self.dense.forward(x.reshape([batch, 36])).softmax(-1)
    }
}

fn trained<T: Real>() -> (Params<T>, Images) {
    let mut params: Params<T> = Params::new(3);
    let images = Images::new(&mut params);
    let mut step = Step::new(|_, [x]| images.forward(x, Mode::Train).square().mean());
    let mut optimizer = Optimizer::new(Adam::new(0.01));
    let AnyTensor::Real(x) = example::<T>(&Meta::real([4, 2, 6, 6])) else { unreachable!("it is real") };
    for _ in 0..3 {
        let gradients = step.run(&mut params, &x).expect("it runs");
        optimizer.step(&mut params, &gradients).expect("the gradients are right");
    }
    drop(step);
    (params, images)
}

fn images_are_the_same<T: Real>() {
    let folder = Folder::new(&format!("images-{}", T::NAME));
    let (params, images) = trained::<T>();
    for mode in [Mode::Eval, Mode::Train] {
        let predict = Function::new(|_, [x]| {
            let scores = images.forward(x, mode);
            [scores, scores.argmax(-1)]
        });
        let shapes = [[Meta::real([4, 2, 6, 6])], [Meta::real([1, 2, 6, 6])]];
        assert_same(&folder.join("images"), &params, predict.seed(7), &shapes);
    }
}

#[test]
fn a_model_of_images_gives_the_same_bits() {
    images_are_the_same::<f32>();
    images_are_the_same::<f64>();
}

fn text_is_the_same<T: Real>() {
    let folder = Folder::new(&format!("text-{}", T::NAME));
    let mut params: Params<T> = Params::new(4);
    let words = Embedding::new(&mut params, "words", 5, 8);
    let options = TransformerOptions::new().hidden(16);
    let encoder = TransformerEncoder::with(&mut params, "encoder", 2, 8, 2, options).with_norm(&mut params);
    let lstm = Lstm::new(&mut params, "lstm", 8, 6);
    let function = Function::new(|graph, [tokens, lengths]| {
        let x = encoder.forward_in(words.forward(tokens), Mask::causal(), Mode::Eval);
        let given = Given { lengths: Some(lengths), ..Given::default() };
        let sequence = lstm.sequence(x, given, Mode::Eval);
        let noise = graph.normal([3]) + graph.randint(0..9, [3]).to_real();
        let halves = sequence.outputs.split(&[2, 4], -1);
        [sequence.state.hidden, halves[1].cumsum(0), noise, tokens.modulo(3)]
    });
    let shapes = [[Meta::index([5, 3]), Meta::index([3])], [Meta::index([5, 2]), Meta::index([2])]];
    assert_same(&folder.join("text"), &params, function.seed(11), &shapes);
}

#[test]
fn a_model_of_text_gives_the_same_bits() {
    text_is_the_same::<f32>();
    text_is_the_same::<f64>();
}

/// Set where this program is started as the other one.
const MODEL: &str = "GRADUS_TEST_MODEL";

/// Prints what the model gives for the examples of its inputs.
#[test]
#[ignore = "another process, which `another_process_runs_a_model` starts"]
fn other_process() {
    let path = std::env::var_os(MODEL).expect("the path of a model is given");
    let mut model: Model = Model::load(path).expect("it can be read");
    let signatures: Vec<Vec<(String, Meta)>> = model.signatures().map(<[_]>::to_vec).collect();
    for inputs in signatures {
        let values: Vec<AnyTensor<f32>> = inputs.iter().map(|(_, meta)| example(meta)).collect();
        let values: Vec<Data<'_, f32>> = values.iter().map(Data::from).collect();
        let outputs = model.run(&Feed::in_order(&values)).expect("it runs");
        println!("bits {:?}", outputs.all().iter().map(bits).collect::<Vec<_>>());
    }
}

#[test]
fn another_process_runs_a_model() {
    let folder = Folder::new("process");
    let path = folder.join("images.safetensors");
    let (params, images) = trained::<f32>();
    let mut predict = Function::new(|_, [x]| [images.forward(x, Mode::Eval)]);
    let examples = [3, 1].map(|rows| match example::<f32>(&Meta::real([rows, 2, 6, 6])) {
        AnyTensor::Real(x) => x,
        AnyTensor::Index(_) => unreachable!("it is real"),
    });
    predict.save_model(&path, &params, ["image"], ["scores"], &examples).expect("it can be written");
    let mut told = String::new();
    for x in &examples {
        told += &format!("bits {:?}\n", predict.run(&params, x).expect("it runs").map(bits));
    }
    let other = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["other_process", "--exact", "--ignored", "--nocapture"])
        .env(MODEL, &path)
        .output()
        .expect("it can be started");
    let out = String::from_utf8_lossy(&other.stdout);
    let said: String = out.lines().filter_map(|line| Some(format!("{}\n", &line[line.find("bits ")?..]))).collect();
    assert!(other.status.success(), "{out}\n{}", String::from_utf8_lossy(&other.stderr));
    assert_eq!(said, told);
}

#[test]
fn threads_run_clones_of_a_model() {
    let folder = Folder::new("clones");
    let path = folder.join("model");
    let double = Function::new(|_, [x]| [x * 2.0]);
    double
        .save_model(&path, &Params::<f32>::new(0), ["x"], ["y"], [&Tensor::<f32>::zeros([2])])
        .expect("it can be written");
    let model: Model = Model::load(&path).expect("it can be read");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let mut own = model.clone();
            scope.spawn(move || {
                let x = Tensor::from([number as f32, 1.0]);
                for _ in 0..10 {
                    let outputs = own.run(&Feed::new().with("x", &x)).expect("it runs");
                    assert_eq!(outputs.real(0).data(), [2.0 * number as f32, 2.0]);
                }
            });
        }
    });
}

/// x + sin²(a·x)/a for a whole a.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Snake {
    a: u32,
}

impl Pointwise for Snake {
    const NAME: &'static str = "snake";

    fn value<T: Real>(&self, x: &[T]) -> T {
        let a = T::of(f64::from(self.a));
        x[0] + (a * x[0]).sin() * (a * x[0]).sin() / a
    }

    fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
        (x[0] * (2.0 * f64::from(self.a))).sin() + 1.0
    }
}

saved_op!("tests.snake": Snake { a });

#[test]
fn an_op_of_a_user_is_known_by_its_name_or_named() {
    let folder = Folder::new("own-op");
    let path = folder.join("model.safetensors");
    let mut function = Function::new(|graph, [x]| [graph.call(Snake { a: 3 }, &[x])]);
    let (x, params) = (Tensor::from([0.5_f32, -2.0]), Params::new(0));
    let error = function.save_model(&path, &params, ["x"], ["y"], [&x]).expect_err("it is not known").to_string();
    assert!(error.starts_with(&format!("{}: `snake` at crates/train/tests/model.rs:", path.display())), "{error}");
    assert!(error.contains("is not among the `Ops`") && error.contains("Snake"), "{error}");
    assert!(!path.exists(), "a part of a model was written");

    let ops = Ops::builtin().with::<Snake>();
    function.save_model_with(&ops, &path, &params, ["x"], ["y"], [&x]).expect("it can be written");
    let mut model: Model = Model::load_with(&path, &ops).expect("it can be read");
    let expected = function.run(&params, &x).expect("it runs").map(bits);
    let found = model.run(&Feed::new().with("x", &x)).expect("it runs");
    assert_eq!(bits(&found.all()[0]), expected[0]);
    let error = Model::<f32>::load(&path).err().expect("it is not known").to_string();
    let message = "graph 0: node 1: the op `tests.snake` is unknown; `Ops::with` adds one that is not built in";
    assert_eq!(error, format!("{}: {message}", path.display()));

    // A later version of a built-in op, as a later program would write it.
    let relu = Function::new(|_, [x]| [x.relu()]);
    relu.save_model(&path, &params, ["x"], ["y"], [&x]).expect("it can be written");
    edit(&path, r#"\"relu\",\"version\":1"#, r#"\"relu\",\"version\":2"#);
    let error = Model::<f32>::load(&path).err().expect("it is a later version").to_string();
    let message = "graph 0: node 1: the op `relu` has version 2; this program knows it up to 1";
    assert_eq!(error, format!("{}: {message}", path.display()));
}

/// Replaces a part of the header by one of the same length.
#[track_caller]
fn edit(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(path).expect("it is there");
    let places: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, part)| *part == from.as_bytes()).map(|(k, _)| k).collect();
    assert!(!places.is_empty(), "`{from}` is not in the file");
    for place in places {
        bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    std::fs::write(path, bytes).expect("it can be written");
}

fn small(path: &Path) -> Params {
    let mut params: Params = Params::new(0);
    let weight = params.scope("layer", |params| params.add("weight", Tensor::from([0.5, 2.0])));
    let function = Function::new(|graph, [x]| {
        let mask = graph.constant(&Tensor::from([0.25, 0.1]));
        [(x * graph.param(&weight)).exp() + mask, x.sum()]
    });
    function.save_model(path, &params, ["x"], ["y", "total"], [&Tensor::<f32>::zeros([2])]).expect("it can be written");
    params
}

#[test]
fn what_is_fed_wrong_is_named() {
    let folder = Folder::new("fed");
    let path = folder.join("small");
    small(&path);
    let mut model: Model = Model::load(&path).expect("it can be read");
    let (right, long, index) = (Tensor::from([0.0, 1.0]), Tensor::from([0.0; 3]), Tensor::from([1, 2]));
    let path = path.display();
    let cases = [
        (Feed::new(), format!("{path}: input `x` was not fed")),
        (Feed::new().with("y", &right), format!("{path}: input `x` was not fed")),
        (
            Feed::new().with("x", &long),
            format!("{path}: the model was not saved for `x` real [3], but for `x` real [2]"),
        ),
        (
            Feed::new().with("x", &index),
            format!("{path}: the model was not saved for `x` index [2], but for `x` real [2]"),
        ),
        (Feed::new().with("x", &right).with("z", &right), "the graph has no input named `z`".to_owned()),
    ];
    for (feed, message) in cases {
        let error = model.run(&feed).expect_err(&message).to_string();
        assert!(error.starts_with(&message), "{error}\ndoes not begin with\n{message}");
    }
    model.run(&Feed::new().with("x", &right)).expect("it runs");
}

#[test]
fn what_cannot_be_saved_is_refused_and_writes_nothing() {
    let folder = Folder::new("refused");
    let path = folder.join("model");
    let mut other: Params = Params::new(0);
    let weight = other.add("weight", Tensor::from([1.0_f32, 2.0]));
    let mut params: Params = Params::new(0);
    params.add("weight", Tensor::from([1.0_f32, 2.0]));
    let function = Function::new(|graph, [x, y]| [x * graph.param(&weight), y]);
    let (x, y) = (Tensor::from([1.0, 2.0]), Tensor::from([1.0, 2.0]));
    let save = |params: &Params, names: [&str; 2], outputs: [&str; 2]| {
        let saved = function.save_model(&path, params, names, outputs, [(&x, &y)]);
        saved.expect_err("it is refused").to_string()
    };
    let named = |problem: &str| format!("{}: {problem}", path.display());
    assert_eq!(save(&params, ["x", "y"], ["a", "b"]), named("parameter `weight` of the function is not in the store"));
    let twice = |name: &str| named(&format!("two inputs or two outputs of the model are named `{name}`"));
    assert_eq!(save(&other, ["x", "x"], ["a", "b"]), twice("x"));
    assert_eq!(save(&other, ["x", "y"], ["a", "a"]), twice("a"));
    let none: [(&Tensor<f32>, &Tensor<f32>); 0] = [];
    let error = function.save_model(&path, &other, ["x", "y"], ["a", "b"], none).expect_err("there is no example");
    assert_eq!(error.to_string(), named("a model is saved for the shapes of examples, of which there are none"));
    assert!(!path.exists());
}

#[test]
fn each_kind_of_file_names_the_function_that_reads_it() {
    let folder = Folder::new("kinds");
    let [model, bare, run] = ["model", "bare", "run"].map(|name| folder.join(name));
    let mut params = small(&model);
    weights::save(&bare, &params).expect("it can be written");
    checkpoint::save(&run, &params, &[]).expect("it can be written");
    for path in [&bare, &run] {
        let error = Model::<f32>::load(path).err().expect("it is no model").to_string();
        assert!(error.starts_with(&format!("{}: this is no model: ", path.display())), "{error}");
    }
    let error = weights::load(&model, &mut params).expect_err("it is a model").to_string();
    assert!(error.contains("this is a model: `Model::load` reads it, and `weights::load_from`"), "{error}");
    let error = checkpoint::load(&model, &mut params, &mut []).expect_err("it is a model").to_string();
    assert!(error.contains("this is no checkpoint but a model: `Model::load` reads it"), "{error}");
    weights::load_from(&model, &mut params, |name| Some(format!("parameters/{name}"))).expect("so it does");
}

#[test]
fn a_later_format_and_other_numbers_are_refused() {
    let folder = Folder::new("later");
    let path = folder.join("model");
    let refuse = |message: &str| {
        let error = Model::<f32>::load(&path).err().expect(message).to_string();
        assert_eq!(error, format!("{}: {message}", path.display()));
    };
    small(&path);
    edit(&path, r#""version":"1""#, r#""version":"2""#);
    refuse("its format has version 2; this program reads version 1");
    small(&path);
    edit(&path, "parameters/layer.weight", "parameters/layer.height");
    refuse("`parameters/layer.weight` is missing");
    let wide: Params<f64> = small(&path).cast();
    let weight = wide.find("layer.weight").expect("it is there").clone();
    let function = Function::new(|graph, [x]| [x * graph.param(&weight)]);
    function.save_model(&path, &wide, ["x"], ["y"], [&Tensor::<f64>::zeros([2])]).expect("it can be written");
    refuse("`parameters/layer.weight` holds F64, which does not fit into f32");
    small(&path);
    let mut model: Model<f64> = Model::load(&path).expect("f32 widens");
    let outputs = model.run(&Feed::new().with("x", &Tensor::from([0.0, 1.0]))).expect("it runs");
    assert_eq!(outputs.real(0).data(), [1.25, 2.0_f64.exp() + 0.1]);
}

#[test]
fn no_prefix_and_no_flipped_byte_panics() {
    let folder = Folder::new("damaged");
    let path = folder.join("model");
    small(&path);
    let whole = std::fs::read(&path).expect("it is there");
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).expect("it can be written");
        assert!(Model::<f32>::load(&path).is_err(), "{length} bytes are a model");
    }
    let x = Tensor::from([0.5, 1.0]);
    let mut read = 0;
    for place in 0..whole.len() {
        for flip in [1, 2, 0x20, 0x80] {
            let mut bytes = whole.clone();
            bytes[place] ^= flip;
            std::fs::write(&path, &bytes).expect("it can be written");
            if let Ok(mut model) = Model::<f32>::load(&path) {
                // What is read runs, or says why not.
                read += 1;
                let _ = model.run(&Feed::new().with("x", &x));
            }
        }
    }
    assert!(read > 0, "flipped bytes of elements are values as others");
}
