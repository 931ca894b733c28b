//! One case: what PyTorch computed, read from a file, and the same with our layer.

use std::collections::BTreeMap;
use std::path::Path;

use gradus::{AnyTensor, Feed, Graph, Kind, Param, Params, Tensor, Var};
use safetensors::tensor::{Dtype, SafeTensors};

/// The variables of a case, by the names that PyTorch's side gives them.
pub(crate) struct Inputs<'g> {
    vars: BTreeMap<String, Var<'g>>,
}

impl<'g> Inputs<'g> {
    pub(crate) fn get(&self, name: &str) -> Var<'g> {
        *self.vars.get(name).unwrap_or_else(|| panic!("the case has no input `{name}`"))
    }
}

/// A layer's outputs from the inputs of a case.
pub(crate) type Forward = Box<dyn for<'g> Fn(&Inputs<'g>) -> Vec<Var<'g>>>;

/// A closure as the outputs of a case.
pub(crate) fn forward(f: impl for<'g> Fn(&Inputs<'g>) -> Vec<Var<'g>> + 'static) -> Forward {
    Box::new(f)
}

/// Makes a layer in a store.
type Build = Box<dyn Fn(&mut Params<f64>) -> Forward>;

/// A case with our layer: it is named `layer`, and its parameters are those of the module's state dict.
pub(crate) struct Case {
    name: &'static str,
    build: Build,
}

impl Case {
    pub(crate) fn new(name: &'static str, build: impl Fn(&mut Params<f64>) -> Forward + 'static) -> Self {
        Self { name, build: Box::new(build) }
    }

    /// A case without parameters.
    #[allow(dead_code)]
    pub(crate) fn of(name: &'static str, f: impl for<'g> Fn(&Inputs<'g>) -> Vec<Var<'g>> + Copy + 'static) -> Self {
        Self::new(name, move |_| forward(f))
    }
}

/// What a comparison found.
pub(crate) struct Found {
    pub(crate) cases: usize,
    /// The largest difference beside `1 + |theirs|`, and where it is.
    pub(crate) largest: (f64, String),
}

/// The arrays of a family's file: by case, then by what they are and of what.
type Arrays = BTreeMap<String, BTreeMap<(String, String), AnyTensor<f64>>>;

fn read(path: &Path) -> Arrays {
    let mut arrays = Arrays::new();
    let Ok(bytes) = std::fs::read(path) else { return arrays };
    let file = SafeTensors::deserialize(&bytes).expect("cases.py writes safetensors");
    for (name, view) in file.iter() {
        let mut parts = name.splitn(3, '/');
        let mut part = || parts.next().expect("a name is case/what/of").to_owned();
        let (case, key) = (part(), (part(), part()));
        let words = || view.data().as_chunks::<8>().0.iter();
        let tensor = match view.dtype() {
            Dtype::F64 => AnyTensor::Real(Tensor::new(view.shape(), words().map(|&b| f64::from_le_bytes(b)).collect())),
            Dtype::I64 => {
                AnyTensor::Index(Tensor::new(view.shape(), words().map(|&b| i64::from_le_bytes(b)).collect()))
            }
            other => panic!("{name} is of type {other:?}"),
        };
        arrays.entry(case).or_default().insert(key, tensor);
    }
    arrays
}

/// Compares the cases of a file with ours; panics at the first that is further apart than the bound.
pub(crate) fn compare(path: &Path, cases: &[Case], bound: f64) -> Found {
    let arrays = read(path);
    let (mut theirs, mut ours): (Vec<&str>, Vec<&str>) =
        (arrays.keys().map(String::as_str).collect(), cases.iter().map(|case| case.name).collect());
    theirs.sort_unstable();
    ours.sort_unstable();
    assert_eq!(theirs, ours, "{}: the cases of PyTorch's side, and ours", path.display());
    let mut found = Found { cases: cases.len(), largest: (0.0, "none".to_owned()) };
    for case in cases {
        for (what, difference) in differences(case, &arrays[case.name]) {
            assert!(difference <= bound, "{}: {what} differs by {difference:e}", case.name);
            if difference >= found.largest.0 {
                found.largest = (difference, format!("{} of {}", what, case.name));
            }
        }
    }
    found
}

/// The arrays of a case of one sort, by name.
fn sort<'a>(
    arrays: &'a BTreeMap<(String, String), AnyTensor<f64>>,
    sort: &'static str,
) -> impl Iterator<Item = (&'a str, &'a AnyTensor<f64>)> + use<'a> {
    arrays.iter().filter(move |((what, _), _)| what == sort).map(|((_, of), tensor)| (of.as_str(), tensor))
}

/// A buffer of integers is one of reals here.
fn as_real(tensor: &AnyTensor<f64>) -> Tensor<f64> {
    match tensor {
        AnyTensor::Real(tensor) => tensor.clone(),
        AnyTensor::Index(tensor) => Tensor::from_fn(tensor.shape().clone(), |k| tensor.data()[k] as f64),
    }
}

/// The name of a parameter in the state dict of the layer's module.
fn own_name(param: &Param) -> &str {
    param.name().strip_prefix("layer.").expect("the layer of a case is named `layer`")
}

/// For everything that PyTorch computed, how far ours is from it.
fn differences(case: &Case, arrays: &BTreeMap<(String, String), AnyTensor<f64>>) -> Vec<(String, f64)> {
    let name = case.name;
    let mut params = Params::new(0);
    let forward = (case.build)(&mut params);
    let signature = |param: &Param| format!("{} {}", own_name(param), param.shape());
    let mut ours: Vec<String> = params.iter().map(|(param, _)| signature(param)).collect();
    let mut theirs: Vec<String> =
        sort(arrays, "param").map(|(of, tensor)| format!("{of} {}", as_real(tensor).shape())).collect();
    ours.sort();
    theirs.sort();
    assert_eq!(theirs, ours, "{name}: PyTorch's state dict, and our store");
    let owned: Vec<Param> = params.iter().map(|(param, _)| param.clone()).collect();
    for param in &owned {
        params.set(param, as_real(&arrays[&("param".to_owned(), own_name(param).to_owned())]));
    }

    let graph = Graph::new();
    let mut feed = Feed::new();
    let mut vars = BTreeMap::new();
    for (of, tensor) in sort(arrays, "input") {
        let var = match tensor {
            AnyTensor::Real(tensor) => graph.input(of, tensor.shape().clone()),
            AnyTensor::Index(tensor) => graph.index_input(of, tensor.shape().clone()),
        };
        feed = match tensor {
            AnyTensor::Real(tensor) => feed.with(of, tensor),
            AnyTensor::Index(tensor) => feed.with(of, tensor),
        };
        vars.insert(of.to_owned(), var);
    }
    let inputs = Inputs { vars };
    let outputs = forward(&inputs);
    assert_eq!(outputs.len(), sort(arrays, "output").count(), "{name}: the number of outputs");
    let mut total = graph.scalar(0.0);
    for (number, output) in outputs.iter().enumerate() {
        let cotangent = arrays[&("cotangent".to_owned(), number.to_string())].real();
        assert_eq!(output.shape(), *cotangent.shape(), "{name}: the shape of output {number}");
        total += (*output * graph.constant(cotangent)).sum();
    }

    let mut wanted: Vec<(String, Var<'_>, Tensor<f64>)> = Vec::new();
    for (number, output) in outputs.iter().enumerate() {
        let theirs = arrays[&("output".to_owned(), number.to_string())].real().clone();
        wanted.push((format!("output {number}"), *output, theirs));
    }
    let mut wrt: Vec<(String, Var<'_>, Tensor<f64>)> = Vec::new();
    for (of, var) in inputs.vars.iter().filter(|(_, var)| var.kind() == Kind::Real) {
        let theirs = arrays[&("input_grad".to_owned(), of.clone())].real().clone();
        wrt.push((format!("the gradient of {of}"), *var, theirs));
    }
    for param in params.trainable() {
        let own = own_name(param);
        let theirs = arrays[&("param_grad".to_owned(), own.to_owned())].real().clone();
        wrt.push((format!("the gradient of {own}"), graph.param(param), theirs));
    }
    let variables: Vec<Var<'_>> = wrt.iter().map(|(_, var, _)| *var).collect();
    let gradients = graph.grad_or_zeros(total, &variables).expect("every op has a derivative");
    wanted.extend(wrt.into_iter().zip(gradients).map(|((what, _, theirs), gradient)| (what, gradient, theirs)));
    let updates = graph.updates();
    for (of, theirs) in sort(arrays, "after") {
        let buffer = owned.iter().find(|param| own_name(param) == of).expect("the state dicts were compared");
        assert!(buffer.is_buffer(), "{name}: `{of}` is a buffer of PyTorch's, and a parameter of ours");
        let own = updates.iter().find(|(param, _)| param == buffer);
        let value = own.map_or_else(|| graph.param(buffer), |(_, value)| *value);
        wanted.push((format!("{of} after the call"), value, as_real(theirs)));
    }

    let roots: Vec<Var<'_>> = wanted.iter().map(|(_, var, _)| *var).collect();
    let values = graph.eval_with(&roots, &params, &feed).unwrap_or_else(|error| panic!("{name}: {error}"));
    let difference = |((what, _, theirs), ours): ((String, Var<'_>, Tensor<f64>), AnyTensor<f64>)| {
        let ours = ours.real();
        assert_eq!(theirs.shape(), ours.shape(), "{name}: the shape of {what}");
        // What is infinite or no number must be so on both sides.
        let apart = |(a, b): (&f64, &f64)| match a == b || (a.is_nan() && b.is_nan()) {
            true => 0.0,
            false => (a - b).abs() / (1.0 + a.abs()),
        };
        let largest = theirs.data().iter().zip(ours.data()).map(apart).fold(0.0, |largest: f64, difference| {
            if difference.is_nan() || difference > largest { difference } else { largest }
        });
        (what, if largest.is_nan() { f64::INFINITY } else { largest })
    };
    wanted.into_iter().zip(values).map(difference).collect()
}
