//! A closure compiled for the shapes that it is called with.

use std::io;
use std::path::Path;

use gradus_graph::{AnyTensor, Error, Graph, GraphDescription, Inputs, Ops, Params, Profile, Real, Summary, Var};
use gradus_optim::{RestoreError, SavedState, Stateful};

use crate::archive::wrong;
use crate::compiled::{Compiled, compiled_methods};
use crate::model;
use crate::traces::{Declared, Traced, as_array, key};

/// A closure from `N` inputs to `M` outputs, traced and compiled once for each combination of input shapes.
///
/// The values that the closure captures are constants of the trace, as in a [`Step`](crate::Step).
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::Function;
/// let mut powers = Function::new(|_, [x]| [x * x, x * x * x]);
/// let params: Params = Params::new(0);
/// let [square, cube] = powers.run(&params, &Tensor::from([1.0, 2.0]))?;
/// assert_eq!((square.real().data(), cube.real().data()), (&[1.0, 4.0][..], &[1.0, 8.0][..]));
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Function<F, const N: usize, const M: usize, T = f32> {
    trace: F,
    compiled: Compiled<Traced<T>, T>,
}

impl<F, T: Real, const N: usize, const M: usize> Function<F, N, M, T>
where
    F: for<'g> Fn(&'g Graph, [Var<'g>; N]) -> [Var<'g>; M],
{
    /// The function that `trace` builds from a graph and its inputs.
    pub fn new(trace: F) -> Self {
        Self { trace, compiled: Compiled::default() }
    }

    /// The outputs for the given inputs.
    ///
    /// # Errors
    /// If the run fails, as [`Session::run`](gradus_graph::Session::run).
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    #[track_caller]
    pub fn run<'a>(&mut self, params: &Params<T>, inputs: impl Inputs<'a, T, N>) -> Result<[&AnyTensor<T>; M], Error> {
        let (inputs, compiled) = (inputs.data(), &mut self.compiled);
        let key = key(&inputs, ());
        if !compiled.traces.has(key, |traced| traced.fits(&inputs)) {
            let (declared, graph) = (Declared::of(&inputs), Graph::new());
            let outputs = (self.trace)(&graph, as_array(&declared.declare(&graph)));
            let traced = compiled.compile(declared, &graph, &outputs)?;
            compiled.traces.add(key, traced);
        }
        let outputs = compiled.traces.recall(key).run(params, &inputs, compiled.random.next())?.all();
        Ok(std::array::from_fn(|number| &outputs[number]))
    }

    /// Writes a model file, from which [`Model::load`](crate::Model::load) makes the same values without this closure, bit for bit: what the
    /// closure records for the shapes of each of the examples (their values do not matter), and the parameters and
    /// buffers that it reads. `inputs` and `outputs` name the inputs and outputs. Shapes are fixed: a model runs with
    /// those of the examples. The file is complete or is not changed.
    ///
    /// # Errors
    /// If the file cannot be written, there is no example, two inputs or two outputs have one name, or the closure records
    /// an op that is not built in ([`Function::save_model_with`]): the message names it.
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    ///
    /// # Example
    /// See [`Model`](crate::Model).
    #[track_caller]
    pub fn save_model<'a, I: Inputs<'a, T, N>>(
        &self,
        path: impl AsRef<Path>,
        params: &Params<T>,
        inputs: [&str; N],
        outputs: [&str; M],
        examples: impl IntoIterator<Item = I>,
    ) -> Result<(), io::Error> {
        self.save_model_with(&Ops::builtin(), path, params, inputs, outputs, examples)
    }

    /// [`Function::save_model`] with ops of other crates, which are among `ops`.
    ///
    /// # Errors
    /// As [`Function::save_model`].
    ///
    /// # Panics
    /// As [`Function::save_model`].
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Feed, Ops, Params, Pointwise, Real, Tensor, Var, saved_op};
    /// use gradus_train::{Function, Model};
    ///
    /// /// x·|x|
    /// #[derive(Debug, PartialEq, Eq, Hash)]
    /// struct SignedSquare;
    ///
    /// impl Pointwise for SignedSquare {
    ///     const NAME: &'static str = "signed_square";
    ///     fn value<T: Real>(&self, x: &[T]) -> T {
    ///         x[0] * x[0].abs()
    ///     }
    ///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
    ///         x[0].abs() * 2.0
    ///     }
    /// }
    ///
    /// saved_op!("signed_square": SignedSquare {});
    ///
    /// let path = std::env::temp_dir().join(format!("gradus-own-op-{}.safetensors", std::process::id()));
    /// let ops = Ops::builtin().with::<SignedSquare>();
    /// let function = Function::new(|graph, [x]| [graph.call(SignedSquare, &[x])]);
    /// let x = Tensor::from([3.0_f32, -2.0]);
    /// function.save_model_with(&ops, &path, &Params::new(0), ["x"], ["y"], [&x])?;
    ///
    /// let mut model: Model = Model::load_with(&path, &ops)?;
    /// assert_eq!(model.run(&Feed::new().with("x", &x))?.real(0).data(), [9.0, -4.0]);
    /// let refused = Model::<f32>::load(&path).err().expect("the op is not built in").to_string();
    /// assert!(refused.contains("the op `signed_square` is unknown"));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn save_model_with<'a, I: Inputs<'a, T, N>>(
        &self,
        ops: &Ops,
        path: impl AsRef<Path>,
        params: &Params<T>,
        inputs: [&str; N],
        outputs: [&str; M],
        examples: impl IntoIterator<Item = I>,
    ) -> Result<(), io::Error> {
        let path = path.as_ref();
        for names in [&inputs[..], &outputs[..]] {
            if let Some(name) = (1..names.len()).find(|&number| names[..number].contains(&names[number])) {
                return Err(wrong(
                    path,
                    &format!("two inputs or two outputs of the model are named `{}`", names[name]),
                ));
            }
        }
        let (mut made, mut graphs): (Vec<Declared>, Vec<GraphDescription>) = (Vec::new(), Vec::new());
        for example in examples {
            let (declared, graph) = (Declared::of(&example.data()), Graph::new());
            if made.contains(&declared) {
                continue;
            }
            let vars = declared.declare_as(&graph, |number| inputs[number].to_owned());
            let traced = (self.trace)(&graph, as_array(&vars));
            if let Some((param, _)) = graph.params().iter().find(|(param, _)| !params.contains(param)) {
                return Err(wrong(path, &format!("parameter `{}` of the function is not in the store", param.name())));
            }
            graphs.push(graph.describe(&traced, ops).map_err(|error| wrong(path, &error.to_string()))?);
            made.push(declared);
        }
        if graphs.is_empty() {
            return Err(wrong(path, "a model is saved for the shapes of examples, of which there are none"));
        }
        model::write(path, ops, params, &outputs, graphs)
    }

    /// Where the time of a run goes: each unit of its plan, measured over `runs` runs after a first one. The function is
    /// traced and compiled anew for it, and its position in the random streams stays as it is.
    ///
    /// # Errors
    /// As [`Function::run`].
    ///
    /// # Panics
    /// If the number of runs is 0, and where the closure does.
    ///
    /// # Example
    /// ```
    /// use gradus_graph::{Params, Tensor};
    /// use gradus_train::Function;
    /// let square = Function::new(|_, [x]| [x.matmul(x)]);
    /// let profile = square.profile(&Params::new(0), &Tensor::<f32>::ones([64, 64]), 3)?;
    /// assert_eq!(profile.units().len(), 1);
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    #[track_caller]
    pub fn profile<'a>(
        &self,
        params: &Params<T>,
        inputs: impl Inputs<'a, T, N>,
        runs: usize,
    ) -> Result<Profile, Error> {
        let inputs = inputs.data();
        let (declared, graph) = (Declared::of(&inputs), Graph::new());
        let outputs = (self.trace)(&graph, as_array(&declared.declare(&graph)));
        self.compiled.profile(&graph, &outputs, params, &inputs, runs)
    }
}

compiled_methods!(Function<F, N, M, T>, compiled);
