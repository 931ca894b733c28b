//! What a program is told when it is wrong: the whole message, word for word.
//!
//! A message must let its reader find and mend the mistake: which op or layer, which shapes or values, which line of
//! the program. Positions in this file are checked to lie within the test and then written `HERE`.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;

use gradus::data::{idx, mnist};
use gradus::nn::{Dense, Layer, Mode, Relu, loss};
use gradus::train::Step;
use gradus::{ErrorKind, Feed, Graph, Params, Plan, Tensor, Var};

/// The message with each position in this file as `HERE`.
#[track_caller]
fn told(message: impl std::fmt::Display, lines: RangeInclusive<u32>) -> String {
    let message = message.to_string();
    let mark = format!("{}:", file!());
    let mut parts = message.split(&mark);
    let mut text = parts.next().expect("there is always a first part").to_owned();
    for part in parts {
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
        let (line, rest) = part.split_at(digits(part));
        let column = &rest[1..];
        assert!(rest.starts_with(':') && digits(column) > 0, "a position has a line and a column: {message}");
        let line: u32 = line.parse().expect("digits are a number");
        assert!(lines.contains(&line), "line {line} is none of {lines:?}: {message}");
        text.push_str("HERE");
        text.push_str(&column[digits(column)..]);
    }
    text
}

thread_local! {
    /// Where the last panic of this thread was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What the closure panics with, and where, as Rust prints both.
fn panic_of<R>(wrong: impl FnOnce() -> R) -> String {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PLACE.set(info.location().map(ToString::to_string).unwrap_or_default());
            usual(info);
        }));
    });
    let Err(payload) = catch_unwind(AssertUnwindSafe(wrong)) else { panic!("nothing was refused") };
    let message = match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => (*payload.downcast::<&str>().expect("a panic has a text")).to_owned(),
    };
    if message.contains(" (at ") { message } else { format!("{message} (at {})", PLACE.take()) }
}

#[test]
fn shapes_that_do_not_fit_a_product() {
    let graph = Graph::new();
    let (a, b) = (graph.input("a", [8, 3]), graph.input("b", [4, 2]));
    let start = line!();
    let message = panic_of(|| a.matmul(b));
    assert_eq!(
        told(message, start..=line!()),
        "`matmul` of [8, 3] and [4, 2]: the inner sizes 3 and 4 differ (at HERE)"
    );
    let start = line!();
    let message = panic_of(|| a + b);
    assert_eq!(
        told(message, start..=line!()),
        "`add` of [8, 3] and [4, 2]: the shapes do not broadcast; aligned at the last axis, two sizes must be equal or \
         one of them 1 (at HERE)"
    );
}

#[test]
fn shapes_that_do_not_fit_a_layer() {
    let mut params: Params = Params::new(0);
    let first = Dense::new(&mut params, "hidden", 64, 16);
    let second = Dense::new(&mut params, "output", 12, 10);
    let graph = Graph::new();
    let images = graph.input("images", [32, 8, 8]);
    let start = line!();
    let message = panic_of(|| first.forward(images));
    let expected = "`Dense` of [32, 8, 8]: the last axis must have size 64, as `hidden.weight` is [16, 64] (at HERE)";
    assert_eq!(told(message, start..=line!()), expected);

    let model = (first, Relu, second);
    let start = line!();
    let message = panic_of(|| model.forward_in(images.reshape([32, 64]), Mode::Train));
    let expected = "`Dense` of [32, 16]: the last axis must have size 12, as `output.weight` is [10, 12] (at HERE)";
    assert_eq!(told(message, start..=line!()), expected);
}

#[test]
fn inputs_that_are_missing_or_do_not_fit() {
    let start = line!();
    let graph = Graph::new();
    let (x, labels) = (graph.input("images", [2, 3]), graph.index_input("labels", [2]));
    let loss = loss::cross_entropy(x, labels);
    let end = line!();
    let mut session = Plan::new(&graph, &[loss]).unwrap().session::<f32>();
    let params = Params::new(0);
    let (images, classes) = (Tensor::<f32>::zeros([2, 3]), Tensor::from([0_i64, 1]));
    let (flat, real) = (Tensor::<f32>::zeros([6]), Tensor::from([0.0_f32, 1.0]));
    let mut fault = |feed: Feed<'_, f32>| {
        let error = session.run(&params, &feed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Feed);
        told(error, start..=end)
    };
    assert_eq!(
        fault(Feed::new()),
        "input `images` was not fed (nothing was); it is declared as real numbers of shape [2, 3] at HERE"
    );
    assert_eq!(
        fault(Feed::new().with("images", &images)),
        "input `labels` was not fed (`images` was); it is declared as indices of shape [2] at HERE"
    );
    assert_eq!(
        fault(Feed::new().with("images", &flat).with("labels", &classes)),
        "input `images` was fed real numbers of shape [6]; it is declared as real numbers of shape [2, 3] at HERE"
    );
    assert_eq!(
        fault(Feed::new().with("images", &images).with("labels", &real)),
        "input `labels` was fed real numbers of shape [2]; it is declared as indices of shape [2] at HERE"
    );
    assert_eq!(
        fault(Feed::new().with("image", &images).with("labels", &classes)),
        "the graph has no input named `image`, but it was fed; its inputs are: `images`, `labels`"
    );
}

#[test]
fn indices_out_of_range() {
    let start = line!();
    let graph = Graph::new();
    let (table, places) = (graph.input("table", [2, 3]), graph.index_input("places", [2, 1]));
    let taken = {
        let _scope = graph.scope("embedding");
        table.take_along(1, places)
    };
    let losses = loss::cross_entropy(table, graph.index_input("labels", [2]));
    let end = line!();
    let mut session = Plan::new(&graph, &[taken, losses]).unwrap().session::<f64>();
    let params = Params::new(0);
    let table = Tensor::<f64>::zeros([2, 3]);
    let mut fault = |places: [i64; 2], labels: [i64; 2]| {
        let (places, labels) = (Tensor::from_rows([[places[0]], [places[1]]]), Tensor::from(labels));
        let feed = Feed::new().with("table", &table).with("places", &places).with("labels", &labels);
        let error = session.run(&params, &feed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Run);
        told(error, start..=end)
    };
    assert_eq!(
        fault([0, 3], [0, 1]),
        "`take_along` in scope `embedding` at HERE: index 3 at position [1, 0] is out of range for axis 1 of size 3"
    );
    assert_eq!(
        fault([0, -1], [0, 1]),
        "`take_along` in scope `embedding` at HERE: index -1 at position [1, 0] is out of range for axis 1 of size 3"
    );
    assert_eq!(fault([0, 1], [3, 1]), "`cross_entropy` at HERE: label 3 at position [0] is out of range for 3 classes");
}

#[test]
fn values_that_are_not_finite() {
    let mut params: Params<f64> = Params::new(0);
    let scale = params.add("scale", Tensor::from([1.0, 1.0]));
    let start = line!();
    let graph = Graph::new();
    let x = graph.input("x", [2, 2]);
    let y = {
        let _scope = graph.scope("head");
        (x * graph.param(&scale) - 1.0).ln().sum()
    };
    let end = line!();
    let slope = graph.grad(y, &[x]).unwrap()[0];
    let mut session = Plan::with_anomaly_checks(&graph, &[y, slope]).unwrap().session::<f64>();
    let mut fault = |params: &Params<f64>, x: [[f64; 2]; 2]| {
        let error = session.run(params, &Feed::new().with("x", &Tensor::from_rows(x))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Anomaly);
        told(error, start..=end)
    };
    // In the data.
    assert_eq!(
        fault(&params, [[2.0, 3.0], [f64::NAN, 4.0]]),
        "input `x`, declared at HERE, holds NaN at element [1, 0]"
    );
    // Made by an op.
    assert_eq!(
        fault(&params, [[2.0, 3.0], [0.5, 4.0]]),
        "`ln` in scope `head` at HERE gave NaN at element [1, 0]; its inputs range over [-0.5, 3]"
    );
    assert_eq!(
        fault(&params, [[2.0, 3.0], [4.0, 1.0]]),
        "`ln` in scope `head` at HERE gave -inf at element [1, 1]; its inputs range over [0, 3]"
    );
    // In a parameter.
    params.set(&scale, Tensor::from([1.0, f64::INFINITY]));
    assert_eq!(fault(&params, [[2.0, 3.0], [3.0, 4.0]]), "parameter `scale` holds inf at element [1]");
}

#[test]
fn a_derivative_that_is_not_finite() {
    let start = line!();
    let graph = Graph::new();
    let x = graph.input("x", [3]);
    let y = x.sqrt().sum();
    let end = line!();
    let slope = graph.grad(y, &[x]).unwrap()[0];
    let mut session = Plan::with_anomaly_checks(&graph, &[y, slope]).unwrap().session::<f64>();
    let error = session.run(&Params::new(0), &Feed::new().with("x", &Tensor::from([1.0, 0.0, 4.0]))).unwrap_err();
    // A node of a derivative carries the line of the op that was differentiated.
    assert_eq!(
        told(error, start..=end),
        "`div` at HERE gave inf at element [1]; its inputs range over [0.5, 0.5] and [0, 2]"
    );
}

/// A folder of the test's own that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gradus-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("a file can be written");
        path
    }

    /// The message with the folder as `FOLDER`.
    fn told(&self, message: impl std::fmt::Display) -> String {
        let separated = format!("{}{}", self.0.display(), std::path::MAIN_SEPARATOR);
        message.to_string().replace(&separated, "FOLDER/").replace(&self.0.display().to_string(), "FOLDER")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An IDX file of bytes.
fn idx_bytes(sizes: &[u8], elements: &[u8]) -> Vec<u8> {
    let header = sizes.iter().flat_map(|&size| [0, 0, 0, size]);
    [0, 0, 8, sizes.len() as u8].into_iter().chain(header).chain(elements.iter().copied()).collect()
}

#[test]
fn data_files_that_are_damaged() {
    let folder = Folder::new("damaged");
    let fault = |name: &str, bytes: &[u8]| folder.told(idx::read(folder.write(name, bytes)).unwrap_err());
    let whole = idx_bytes(&[2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(
        fault("cut", &whole[..whole.len() - 3]),
        "FOLDER/cut: u8 elements of shape [2, 2, 2] take 8 bytes after the header, where 5 were found: the file is cut \
         short"
    );
    assert_eq!(
        fault("long", &[&whole[..], &[9]].concat()),
        "FOLDER/long: u8 elements of shape [2, 2, 2] take 8 bytes after the header, where 9 were found: something is \
         appended"
    );
    assert_eq!(
        fault("header", &whole[..10]),
        "FOLDER/header: the header of an IDX file like this takes 16 bytes; the file has 10"
    );
    assert_eq!(fault("empty", &[]), "FOLDER/empty: the header of an IDX file like this takes 4 bytes; the file has 0");
    assert_eq!(
        fault("page", b"<!DOCTYPE html>"),
        "FOLDER/page: an IDX file begins with the bytes 00 00; this one begins with 3c 21"
    );
    assert_eq!(
        fault("type", &[0, 0, 7, 1, 0, 0, 0, 0]),
        "FOLDER/type: unknown element type 07; IDX has 08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32) and 0e (f64)"
    );
    let gzip = fault("half.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x63]);
    assert!(gzip.starts_with("FOLDER/half.gz: the gzip data are damaged: "), "{gzip}");
    let gone = folder.told(idx::read(folder.0.join("gone")).unwrap_err());
    assert!(gone.starts_with("FOLDER/gone: cannot be read: "), "{gone}");
}

#[test]
fn data_files_that_do_not_belong_together() {
    let folder = Folder::new("unpaired");
    let images = folder.write("images", &idx_bytes(&[2, 1, 2], &[0, 1, 2, 3]));
    let labels = folder.write("labels", &idx_bytes(&[3], &[7, 8, 9]));
    let fault = |images: &Path, labels: &Path| folder.told(mnist::read(images, labels).unwrap_err());
    assert_eq!(
        fault(&images, &labels),
        "FOLDER/labels: one label for each image is expected; 3 labels were found, and 2 images in FOLDER/images"
    );
    assert_eq!(
        fault(&labels, &images),
        "FOLDER/labels: images are u8 elements with at least three axes (image, row, column); the file holds u8 \
         elements of shape [3]"
    );
    assert_eq!(
        fault(&images, &images),
        "FOLDER/images: labels are integers along one axis; the file holds u8 elements of shape [2, 1, 2]"
    );
    assert_eq!(
        folder.told(mnist::load(&folder.0).unwrap_err()),
        "FOLDER: the folder has no file train-images-idx3-ubyte, plain or with the ending .gz"
    );
}

#[test]
fn a_gradient_of_what_is_no_scalar() {
    let graph = Graph::new();
    let x = graph.input("x", [3]);
    let start = line!();
    let error = graph.grad(x * x, &[x]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Derivative);
    assert_eq!(
        told(error, start..=line!()),
        "`grad` of a value of shape [3], `mul` at HERE: only a real scalar has a gradient; take `sum()` or `mean()` first, or use \
         `vjp` with a cotangent or `jacobian` (at HERE)"
    );
}

#[test]
fn a_gradient_in_what_a_scalar_does_not_depend_on() {
    let start = line!();
    let graph = Graph::new();
    let (x, y) = (graph.input("x", [3]), graph.input("y", [3]));
    let error = graph.grad(x.sum(), &[x, y]).unwrap_err();
    assert_eq!(
        told(error, start..=line!()),
        "`grad`: the scalar does not depend on input `y` at HERE; `grad_or_zeros` gives zeros instead (at HERE)"
    );
}

#[test]
fn a_trainable_parameter_that_the_loss_does_not_use() {
    let mut params: Params = Params::new(0);
    let used = Dense::new(&mut params, "used", 2, 2);
    let _forgotten = Dense::new(&mut params, "forgotten", 2, 2);
    let x = Tensor::<f32>::zeros([4, 2]);
    let mut step = Step::new(|_, [x]| used.forward(x).square().mean());
    let error = step.run(&mut params, &x).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Derivative);
    assert_eq!(
        error.to_string(),
        "the loss does not use the trainable parameter `forgotten.weight` of shape [2, 2]; freeze it with \
         `Params::set_trainable`, or let `Step::allow_unused` give it a gradient of zeros"
    );
    // What the advice says helps.
    params.set_trainable(false, |name| name.starts_with("forgotten."));
    assert_eq!(step.run(&mut params, &x).unwrap().iter().count(), 2);
    params.set_trainable(true, |_| true);
    let mut step = Step::new(|_, [x]| used.forward(x).square().mean()).allow_unused();
    assert_eq!(step.run(&mut params, &x).unwrap().iter().count(), 4);
}

#[test]
fn a_trainable_parameter_that_is_used_but_does_not_reach_the_loss() {
    let mut params: Params = Params::new(0);
    let used = Dense::new(&mut params, "used", 2, 2);
    let aside = Dense::new(&mut params, "aside", 2, 2);
    let x = Tensor::<f32>::zeros([4, 2]);
    let start = line!();
    let mut step = Step::new(|_, [x]| {
        let _lost = aside.forward(x);
        used.forward(x).square().mean()
    });
    let error = step.run(&mut params, &x).unwrap_err();
    let end = line!();
    assert_eq!(
        told(error, start..=end),
        "`grad`: the scalar does not depend on parameter `aside.weight` in scope `aside` at HERE; `grad_or_zeros` gives \
         zeros instead (at HERE)"
    );
}

#[test]
fn an_input_of_another_graph() {
    let start = line!();
    let (one, other) = (Graph::new(), Graph::new());
    let x = one.input("x", [2]);
    let y: Var<'_> = other.input("y", [2]);
    let message = panic_of(|| x * y);
    assert_eq!(
        told(message, start..=line!()),
        "`mul`: variable 1 belongs to another graph: input `y` at HERE (at HERE)"
    );
}
