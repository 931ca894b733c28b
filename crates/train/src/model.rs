//! A model in one file: what a function computes and the parameters that it reads, for a program without its code.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use gradus_graph::{
    AnyTensor, Arena, Data, Error, ErrorKind, Feed, Graph, GraphDescription, Kind, Meta, Ops, Outputs, Param, Params,
    Plan, Real, Session,
};

use crate::archive::{Archive, wrong};
use crate::checkpoint::PARAMETERS;
use crate::faults::brief;
use crate::model_text::Graphs;

/// The format in the header.
pub(crate) const FORMAT: &str = "gradus model";
/// The version of the format that is written, and the latest that is read.
const VERSION: u32 = 1;
/// The notes of the header that hold the version and the graphs.
const VERSION_NOTE: &str = "version";
const GRAPHS_NOTE: &str = "graphs";

/// A model that was read from a file: what a [`Function`](crate::Function) computed in the program that wrote it, with the
/// parameters, and without the code that built it. [`Function::save_model`](crate::Function::save_model) writes the file.
///
/// Values are those of the function, bit for bit, in the precision of the file.
///
/// # The file
/// It is a safetensors file. Parameters and buffers are under `parameters/` and their names; constants are under
/// `constants/`, the number of the graph and their own number. The notes of the header hold the version of the format
/// (`version`, now 1) and JSON text (`graphs`): the names of the outputs, and for each combination of input shapes the
/// nodes, each with op, version of the op, attributes, what it reads (number of a node, number of its output) and what it
/// gives. It holds what gives the values; derivatives, scopes and lines of source are left out. An op that is no longer
/// what a file says it is gets another version, so that it is refused and not run.
///
/// # Example
/// ```
/// use gradus_graph::{Feed, Params, Tensor};
/// use gradus_train::{Function, Model};
/// let path = std::env::temp_dir().join(format!("gradus-model-{}.safetensors", std::process::id()));
/// # {
/// // One program writes what a function computes for four rows, and for one.
/// let mut params: Params = Params::new(0);
/// let weight = params.add("weight", Tensor::from_rows([[1.0], [2.0]]));
/// let predict = Function::new(|graph, [x]| [x.matmul(graph.param(&weight)).tanh()]);
/// let examples: [Tensor<f32>; 2] = [Tensor::zeros([4, 2]), Tensor::zeros([1, 2])];
/// predict.save_model(&path, &params, ["features"], ["score"], &examples)?;
/// # }
///
/// // Another one knows nothing of it but the file.
/// let mut model: Model = Model::load(&path)?;
/// let features = Tensor::from_rows([[0.5, -0.25]]);
/// let outputs = model.run(&Feed::new().with("features", &features))?;
/// assert_eq!(outputs.real(0).data(), [0.0]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Model<T = f32> {
    path: PathBuf,
    params: Params<T>,
    outputs: Vec<String>,
    traces: Vec<Trace<T>>,
}

/// The model for one combination of input shapes.
struct Trace<T> {
    inputs: Vec<(String, Meta)>,
    plan: Plan,
    session: Session<T>,
}

impl<T: Real> Trace<T> {
    fn fits(&self, feed: &Feed<'_, T>) -> bool {
        self.inputs.iter().enumerate().all(|(number, (name, meta))| {
            feed.value(number, name).is_some_and(|value| match value {
                Data::Real(tensor) => meta.kind == Kind::Real && meta.shape == *tensor.shape(),
                Data::Index(tensor) => meta.kind == Kind::Index && meta.shape == *tensor.shape(),
            })
        })
    }
}

impl<T: Real> Model<T> {
    /// Reads a model of built-in ops. Parameters of a smaller type than `T` are widened; those of a larger one are refused.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged or no model, is of a later version, or holds an op that is not built in or
    /// of a later version: the message names it. The memory that is taken is a small multiple of the file's size.
    #[track_caller]
    pub fn load(path: impl AsRef<Path>) -> Result<Self, io::Error> {
        Self::load_with(path, &Ops::builtin())
    }

    /// [`Model::load`] of a model with ops of other crates, which are among `ops`.
    ///
    /// # Errors
    /// As [`Model::load`].
    ///
    /// # Example
    /// See [`Function::save_model_with`](crate::Function::save_model_with).
    #[track_caller]
    pub fn load_with(path: impl AsRef<Path>, ops: &Ops) -> Result<Self, io::Error> {
        let path = path.as_ref();
        let archive = Archive::read(path)?;
        match Self::of(&archive, path, ops) {
            Ok(model) => Ok(model),
            Err(problem) => Err(wrong(path, &brief(problem))),
        }
    }

    #[track_caller]
    fn of(archive: &Archive, path: &Path, ops: &Ops) -> Result<Self, String> {
        let Graphs { outputs, graphs } = read_graphs(archive)?;
        let mut known: BTreeSet<String> = BTreeSet::new();
        let mut params = Params::new(0);
        let mut by_name: HashMap<String, Param> = HashMap::new();
        let arena = Arena::new();
        let mut traces: Vec<Trace<T>> = Vec::new();
        for (number, mut description) in graphs.into_iter().enumerate() {
            for name in description.parameters() {
                let stored = format!("{PARAMETERS}{name}");
                if known.contains(&stored) {
                    continue;
                }
                let value = archive.tensor(&stored)?;
                // Within the store, names have rules that those of a file may not follow.
                by_name.insert(name, params.add(&by_name.len().to_string(), value));
                known.insert(stored);
            }
            for constant in 0.. {
                let name = constant_name(number, constant);
                let Some(value) = archive.constant(&name)? else { break };
                description.constants.push(value);
                known.insert(name);
            }
            let graph = Graph::new();
            let built = description.build(&graph, ops, |name| by_name.get(name).cloned());
            let built = built.map_err(|error| format!("graph {number}: {error}"))?;
            let inputs: Vec<(String, Meta)> = description.inputs().map(|(name, meta)| (name, meta.clone())).collect();
            if built.len() != outputs.len() {
                return Err(format!("graph {number} has {} outputs, of {} names", built.len(), outputs.len()));
            }
            let named = |inputs: &[(String, Meta)]| inputs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            if traces.first().is_some_and(|first: &Trace<T>| named(&first.inputs) != named(&inputs)) {
                return Err(format!("graph {number} has other inputs than graph 0"));
            }
            let plan = Plan::new(&graph, &built).map_err(|error| format!("graph {number}: {error}"))?;
            traces.push(Trace { inputs, session: plan.session_in(&arena), plan });
        }
        if traces.is_empty() {
            return Err("it holds no graph".into());
        }
        match archive.names("").find(|name| !known.contains(*name)) {
            Some(name) => Err(format!("`{name}` belongs to no graph of it")),
            None => Ok(Self { path: path.to_owned(), params, outputs, traces }),
        }
    }

    /// The outputs for the inputs that are fed, by name or in order, and the seed and step of random leaves, if the model
    /// has any: those of a function are its seed and position.
    ///
    /// # Errors
    /// If no input shapes of the model fit, and as [`Session::run`].
    pub fn run(&mut self, feed: &Feed<'_, T>) -> Result<Outputs<'_, T>, Error> {
        match self.traces.iter().position(|trace| trace.fits(feed)) {
            Some(fitting) => self.traces[fitting].session.run(&self.params, feed),
            None => Err(Error::new(ErrorKind::Feed, self.misfit(feed))),
        }
    }

    /// What does not fit, and what would.
    fn misfit(&self, feed: &Feed<'_, T>) -> String {
        let path = self.path.display();
        let inputs = &self.traces[0].inputs;
        let fed: Vec<Option<Data<'_, T>>> =
            inputs.iter().enumerate().map(|(number, (name, _))| feed.value(number, name)).collect();
        if let Some(missing) = fed.iter().position(Option::is_none) {
            return format!("{path}: input `{}` was not fed", inputs[missing].0);
        }
        let names = inputs.iter().map(|(name, _)| name.as_str());
        let given = listed(names.zip(fed.into_iter().flatten().map(|value| value.meta())));
        let known = self.signatures().map(|inputs| listed(inputs.iter().map(|(name, meta)| (&name[..], meta.clone()))));
        let known = brief(known.collect::<Vec<_>>().join(", or for "));
        format!("{path}: the model was not saved for {given}, but for {known}")
    }

    /// Names, kinds and shapes of the inputs, in order: one list for each combination that the model was saved for.
    pub fn signatures(&self) -> impl Iterator<Item = &[(String, Meta)]> {
        self.traces.iter().map(|trace| &trace.inputs[..])
    }

    /// The names of the outputs, in order.
    pub fn outputs(&self) -> &[String] {
        &self.outputs
    }
}

impl<T: Real> Clone for Model<T> {
    /// A model of its own, for another thread: parameters and plans are shared, the memory of runs is not.
    fn clone(&self) -> Self {
        let arena = Arena::new();
        let trace = |Trace { inputs, plan, .. }: &Trace<T>| Trace {
            inputs: inputs.clone(),
            session: plan.session_in(&arena),
            plan: plan.clone(),
        };
        let traces = self.traces.iter().map(trace).collect();
        Self { path: self.path.clone(), params: self.params.clone(), outputs: self.outputs.clone(), traces }
    }
}

/// "`x` real [2, 3] and `y` index [2]".
fn listed<'a>(inputs: impl Iterator<Item = (&'a str, Meta)>) -> String {
    let one = |(name, Meta { kind, shape }): (&str, Meta)| {
        format!("`{name}` {} {shape}", if kind == Kind::Real { "real" } else { "index" })
    };
    inputs.map(one).collect::<Vec<_>>().join(" and ")
}

fn constant_name(graph: usize, number: usize) -> String {
    format!("constants/{graph}/{number}")
}

fn read_graphs(archive: &Archive) -> Result<Graphs, String> {
    if archive.format() != Some(FORMAT) {
        return Err(
            "this is no model: `Function::save_model` writes one; `weights::load` and `checkpoint::load` read \
                    parameters and runs"
                .into(),
        );
    }
    let version = archive.note(VERSION_NOTE).and_then(|version| version.parse::<u32>().ok());
    let version = version.ok_or("the version of its format is missing")?;
    if version != VERSION {
        return Err(format!("its format has version {version}; this program reads version {VERSION}"));
    }
    let text = archive.note(GRAPHS_NOTE).ok_or("its graphs are missing")?;
    Graphs::read(text).map_err(|problem| format!("its graphs cannot be read: {problem}"))
}

/// Writes a model, whose parameters are in the store. The file is complete or is not changed.
///
/// # Errors
/// If the file cannot be written, or could not be read with the same ops.
pub(crate) fn write<T: Real>(
    path: &Path,
    ops: &Ops,
    params: &Params<T>,
    outputs: &[&str],
    graphs: Vec<GraphDescription>,
) -> Result<(), io::Error> {
    let mut archive = Archive::default();
    let names: BTreeSet<String> = graphs.iter().flat_map(GraphDescription::parameters).collect();
    for (param, value) in params.iter().filter(|(param, _)| names.contains(param.name())) {
        archive.put_tensor(format!("{PARAMETERS}{}", param.name()), value);
    }
    for (number, description) in graphs.iter().enumerate() {
        for (constant, value) in description.constants.iter().enumerate() {
            let name = constant_name(number, constant);
            match value {
                AnyTensor::Real(tensor) => archive.put_exact(name, tensor),
                AnyTensor::Index(tensor) => archive.put_indices(name, tensor),
            }
        }
    }
    let graphs = Graphs { outputs: outputs.iter().map(|&name| name.to_owned()).collect(), graphs };
    archive.put_note(VERSION_NOTE, VERSION.to_string());
    archive.put_note(GRAPHS_NOTE, graphs.to_string());
    archive.put_note(crate::archive::FORMAT, FORMAT.to_owned());
    Model::<T>::of(&archive, path, ops).map_err(|problem| wrong(path, &brief(problem)))?;
    archive.write(path, FORMAT)
}
