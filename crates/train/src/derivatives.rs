//! The derivatives of a loss, compiled: with respect to which parameters and inputs, of which order.

use std::collections::HashSet;
use std::sync::Arc;

use gradus_graph::{Data, Error, ErrorKind, Graph, Kind, Param, Params, Profile, Real, Var};

use crate::compiled::Compiled;
use crate::gradients::{Layout, Table, Values};
use crate::traces::{self, Declared, Traced};

/// A loss and its auxiliary values as a function of a graph and its inputs.
pub(crate) type Trace<'a> = &'a dyn for<'g> Fn(&'g Graph, &[Var<'g>]) -> (Var<'g>, Vec<Var<'g>>);

/// The order of the derivatives.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Order {
    /// Gradients.
    First,
    /// Products of the Hessian with directions, which are fed after the inputs.
    Second,
}

/// The derivatives of one closure.
pub(crate) struct Derivatives<T> {
    pub(crate) compiled: Compiled<Derivative<T>, T>,
    /// The outputs of the traces, which share the list.
    values: Values<T>,
    pub(crate) allow_unused: bool,
    /// The beginnings of the names of the parameters that the gradients are of; any if there are none.
    pub(crate) scopes: Vec<String>,
    /// The inputs that gradients are also of.
    pub(crate) wrt_inputs: Vec<usize>,
    /// The trainable parameters of the store at the last run, and those of them that the gradients are of.
    trainable: Vec<Param>,
    wrt: Arc<[Param]>,
}

/// The derivatives for one combination of input shapes and trainable parameters.
pub(crate) struct Derivative<T> {
    traced: Traced<T>,
    order: Order,
    layout: Layout,
}

impl<T> Default for Derivatives<T> {
    fn default() -> Self {
        Self {
            compiled: Compiled::default(),
            values: Values::default(),
            allow_unused: false,
            scopes: Vec::new(),
            wrt_inputs: Vec::new(),
            trainable: Vec::new(),
            wrt: Arc::default(),
        }
    }
}

impl<T: Real> Derivatives<T> {
    /// Runs the derivatives of the loss that `trace` records from the first `count` of the values; the others are
    /// directions.
    #[track_caller]
    pub(crate) fn run(
        &mut self,
        params: &Params<T>,
        values: &[Data<'_, T>],
        count: usize,
        order: Order,
        trace: Trace<'_>,
    ) -> Result<(&Layout, &Values<T>), Error> {
        check_not_empty(&values[..count])?;
        self.find_wrt(params)?;
        let key = traces::key(values, (Arc::as_ptr(&self.wrt).addr(), order));
        let fits = |known: &Derivative<T>| {
            known.order == order && Arc::ptr_eq(&known.layout.wrt, &self.wrt) && known.traced.fits(values)
        };
        if !self.compiled.traces.has(key, fits) {
            let derivative = self.compile(params, values, count, order, trace)?;
            self.compiled.traces.add(key, derivative);
        }
        let Derivative { traced, layout, .. } = self.compiled.traces.recall(key);
        traced.run_into(params, values, self.compiled.random.next(), &mut self.values.outputs)?;
        self.values.add_rows(layout)?;
        Ok((layout, &self.values))
    }

    /// The parameters that the derivatives are of. As long as nothing is frozen or freed, finding them is a comparison
    /// of pointers.
    pub(crate) fn find_wrt(&mut self, params: &Params<T>) -> Result<&Arc<[Param]>, Error> {
        if !params.trainable().eq(&self.trainable) {
            let is_missing = |scope: &&String| !params.iter().any(|(param, _)| param.name().starts_with(*scope));
            if let Some(scope) = self.scopes.iter().find(is_missing) {
                return Err(no_trainable(params, std::slice::from_ref(scope)));
            }
            self.trainable.clear();
            self.trainable.extend(params.trainable().cloned());
            let is_wanted = |param: &&Param| {
                self.scopes.is_empty() || self.scopes.iter().any(|scope| param.name().starts_with(scope))
            };
            let wanted: Arc<[Param]> = self.trainable.iter().filter(is_wanted).cloned().collect();
            // The traces for these are known by their list.
            let known = self.compiled.traces.iter().map(|derivative| &derivative.layout.wrt).chain([&self.wrt]);
            let known = known.into_iter().find(|list| ***list == *wanted).cloned();
            self.wrt = known.unwrap_or(wanted);
        }
        if self.wrt.is_empty() && self.wrt_inputs.is_empty() {
            return Err(no_trainable(params, &self.scopes));
        }
        Ok(&self.wrt)
    }

    /// Traces the loss and compiles it with its derivatives. Messages name the line that asks for the step.
    #[track_caller]
    fn compile(
        &mut self,
        params: &Params<T>,
        values: &[Data<'_, T>],
        count: usize,
        order: Order,
        trace: Trace<'_>,
    ) -> Result<Derivative<T>, Error> {
        let (declared, graph) = (Declared::of(values), Graph::new());
        let (layout, outputs) = self.record(params, &declared.declare(&graph), count, order, trace, &graph)?;
        let traced = self.compiled.compile(declared, &graph, &outputs)?;
        Ok(Derivative { traced, order, layout })
    }

    /// Measures the units of the plan that gives the loss and its first derivatives; see [`Graph::profile`].
    #[track_caller]
    pub(crate) fn profile(
        &mut self,
        params: &Params<T>,
        values: &[Data<'_, T>],
        trace: Trace<'_>,
        runs: usize,
    ) -> Result<Profile, Error> {
        check_not_empty(values)?;
        self.find_wrt(params)?;
        let (declared, graph) = (Declared::of(values), Graph::new());
        let (_, outputs) = self.record(params, &declared.declare(&graph), values.len(), Order::First, trace, &graph)?;
        self.compiled.profile(&graph, &outputs, params, values, runs)
    }

    /// Records the loss and its derivatives; the inputs are the first `count` variables, the others directions.
    #[track_caller]
    fn record<'g>(
        &self,
        params: &Params<T>,
        declared: &[Var<'g>],
        count: usize,
        order: Order,
        trace: Trace<'_>,
        graph: &'g Graph,
    ) -> Result<(Layout, Vec<Var<'g>>), Error> {
        let (inputs, directions) = declared.split_at(count);
        let (loss, aux) = trace(graph, inputs);
        check_stored(graph, params)?;
        let wrt = Arc::clone(&self.wrt);
        if !self.allow_unused {
            check_used(graph, &wrt)?;
        }
        let mut vars = Vec::with_capacity(wrt.len() + self.wrt_inputs.len());
        // No closure: the line of the caller passes through.
        for param in &*wrt {
            vars.push(graph.param(param));
        }
        let mut layout = Layout { wrt, wrt_inputs: Vec::new(), buffers: Vec::new(), tables: Vec::new() };
        let mut outputs = vec![loss];
        match order {
            Order::First => {
                check_real(inputs, &self.wrt_inputs)?;
                layout.wrt_inputs.clone_from(&self.wrt_inputs);
                vars.extend(self.wrt_inputs.iter().map(|&number| inputs[number]));
                outputs.extend(match self.allow_unused {
                    true => graph.grad_or_zeros(loss, &vars)?,
                    false => graph.grad(loss, &vars)?,
                });
                outputs.extend(aux);
                let (buffers, values): (Vec<Param>, Vec<Var<'_>>) = graph.updates().into_iter().unzip();
                layout.buffers = buffers;
                outputs.extend(values);
                take_rows(&mut layout, &mut outputs);
            }
            Order::Second => outputs.extend(graph.hvp(loss, &vars, directions)?),
        }
        Ok((layout, outputs))
    }
}

/// How many rows a table must have for each that is read, so that its gradient is computed as rows.
const FEW: usize = 4;

/// Takes the parts of gradients that are a few rows of a table as outputs in place of the sums.
fn take_rows(layout: &mut Layout, outputs: &mut Vec<Var<'_>>) {
    for (number, param) in layout.wrt.iter().enumerate() {
        let Some(parts) = outputs[1 + number].as_added_rows() else { continue };
        let count: usize = parts.iter().map(|(indices, _)| indices.shape().len()).sum();
        if count.saturating_mul(FEW) > param.shape()[0] {
            continue;
        }
        layout.tables.push(Table { param: number, first: outputs.len(), parts: parts.len() });
        // The place of the sum is taken by what is an output anyway.
        outputs[1 + number] = outputs[0];
        outputs.extend(parts.into_iter().flat_map(|(indices, rows)| [indices, rows]));
    }
}

/// The error for a store, or scopes of it, without trainable parameters.
fn no_trainable<T: Real>(params: &Params<T>, scopes: &[String]) -> Error {
    let names: Vec<String> = scopes.iter().map(|scope| format!("`{}`", scope.trim_end_matches('.'))).collect();
    let problem = match &names[..] {
        [] if params.len() == 0 => "there is no parameter in the store".to_owned(),
        [] => format!(
            "there is no trainable parameter: all {} tensors of the store are frozen or buffers; \
             `Params::set_trainable` frees parameters, and `Function` evaluates without gradients",
            params.len()
        ),
        [scope] => format!("there is no trainable parameter in the scope {scope}"),
        scopes => format!("there is no trainable parameter in the scopes {}", scopes.join(", ")),
    };
    Error::new(ErrorKind::Derivative, problem)
}

/// Returns an error if an input has no elements.
fn check_not_empty<T: Real>(inputs: &[Data<'_, T>]) -> Result<(), Error> {
    match inputs.iter().position(|input| traces::shape(input).contains(&0)) {
        None => Ok(()),
        Some(number) => {
            let (name, shape) = (traces::name(number), traces::shape(&inputs[number]));
            let problem = format!("input `{name}` of shape {shape} has no elements: there is nothing to learn from");
            Err(Error::new(ErrorKind::Feed, problem))
        }
    }
}

/// Returns an error if one of the inputs that a gradient is asked for is an index.
fn check_real(inputs: &[Var<'_>], numbers: &[usize]) -> Result<(), Error> {
    match numbers.iter().find(|&&number| inputs[number].kind() == Kind::Index) {
        None => Ok(()),
        Some(number) => {
            let problem = format!("input {number} is indices, which have no gradient: `Step::wrt_inputs` asks for it");
            Err(Error::new(ErrorKind::Derivative, problem))
        }
    }
}

/// Returns an error if the trace reads a parameter of another store, with the line that reads it.
fn check_stored<T: Real>(graph: &Graph, params: &Params<T>) -> Result<(), Error> {
    match graph.params().into_iter().find(|(param, _)| !params.contains(param)) {
        None => Ok(()),
        Some((param, var)) => {
            let read = graph.view().describe((var.node().index() as u32).into());
            let problem = format!("{read}, of shape {}, is not in this store", param.shape());
            let advice = "a store that was built apart is another, also if its names are the same";
            Err(Error::new(ErrorKind::Feed, format!("{problem}: {advice}")))
        }
    }
}

/// Returns an error if the trace has not touched a parameter that is to be trained.
fn check_used(graph: &Graph, wrt: &[Param]) -> Result<(), Error> {
    let used: HashSet<Param> = graph.params().into_iter().map(|(param, _)| param).collect();
    match wrt.iter().find(|param| !used.contains(param)) {
        None => Ok(()),
        Some(param) => {
            let problem =
                format!("the loss does not use the trainable parameter `{}` of shape {}", param.name(), param.shape());
            let advice =
                "freeze it with `Params::set_trainable`, or let `Step::allow_unused` give it a gradient of zeros";
            Err(Error::new(ErrorKind::Derivative, format!("{problem}; {advice}")))
        }
    }
}
