//! A closure compiled for the shapes that it is called with.

use gradus_graph::{Data, Error, Feed, Graph, Kind, Meta, Outputs, Params, Plan, Real, Session, Var};

/// A closure from inputs to outputs, traced and compiled once for each list of input shapes.
///
/// # Example
/// ```
/// use gradus_graph::{Params, Tensor};
/// use gradus_train::Function;
/// let mut double = Function::new(|_, x| vec![x[0] * 2.0]);
/// let params: Params = Params::new(0);
/// let outputs = double.run(&params, &[(&Tensor::from([1.0, 2.0])).into()])?;
/// assert_eq!(outputs.real(0).data(), [2.0, 4.0]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub struct Function<F, T = f32> {
    trace: F,
    traced: Vec<Traced<T>>,
    seed: u64,
    step: u64,
}

impl<F, T: Real> Function<F, T>
where
    F: for<'g> Fn(&'g Graph, &[Var<'g>]) -> Vec<Var<'g>>,
{
    /// The function that `trace` builds from a graph and its inputs.
    pub fn new(trace: F) -> Self {
        Self { trace, traced: Vec::new(), seed: 0, step: 0 }
    }

    /// With a seed for the random leaves; each run takes the next step of their streams.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The outputs for the given inputs.
    ///
    /// # Errors
    /// If the run fails, as [`Session::run`].
    ///
    /// # Panics
    /// Where the closure does, if the shapes do not fit it.
    pub fn run(&mut self, params: &Params<T>, inputs: &[Data<'_, T>]) -> Result<Outputs<'_, T>, Error> {
        let place = match self.traced.iter().position(|traced| traced.fits(inputs)) {
            Some(place) => place,
            None => {
                let traced = Traced::new(inputs, |graph, x| Ok((self.trace)(graph, x)))?;
                self.traced.push(traced);
                self.traced.len() - 1
            }
        };
        let step = self.step;
        self.step += 1;
        self.traced[place].run(params, inputs, self.seed, step)
    }
}

/// One trace of a closure: the shapes it was made for, and its compiled form.
pub(crate) struct Traced<T> {
    metas: Vec<Meta>,
    names: Vec<String>,
    session: Session<T>,
}

impl<T: Real> Traced<T> {
    pub(crate) fn new(
        inputs: &[Data<'_, T>],
        trace: impl for<'g> FnOnce(&'g Graph, &[Var<'g>]) -> Result<Vec<Var<'g>>, Error>,
    ) -> Result<Self, Error> {
        let metas: Vec<Meta> = inputs.iter().map(Data::meta).collect();
        let names: Vec<String> = (0..metas.len()).map(|number| format!("input{number}")).collect();
        let graph = Graph::new();
        let declare = |(meta, name): (&Meta, &String)| match meta.kind {
            Kind::Real => graph.input(name, meta.shape.clone()),
            Kind::Index => graph.index_input(name, meta.shape.clone()),
        };
        let vars: Vec<Var<'_>> = metas.iter().zip(&names).map(declare).collect();
        let outputs = trace(&graph, &vars)?;
        let session = Plan::new(&graph, &outputs)?.session();
        Ok(Self { session, metas, names })
    }

    pub(crate) fn fits(&self, inputs: &[Data<'_, T>]) -> bool {
        let same = |(meta, input): (&Meta, &Data<'_, T>)| match input {
            Data::Real(tensor) => meta.kind == Kind::Real && meta.shape == *tensor.shape(),
            Data::Index(tensor) => meta.kind == Kind::Index && meta.shape == *tensor.shape(),
        };
        self.metas.len() == inputs.len() && self.metas.iter().zip(inputs).all(same)
    }

    pub(crate) fn run(
        &mut self,
        params: &Params<T>,
        inputs: &[Data<'_, T>],
        seed: u64,
        step: u64,
    ) -> Result<Outputs<'_, T>, Error> {
        let mut feed = Feed::new().random(seed, step);
        for (name, input) in self.names.iter().zip(inputs) {
            feed = feed.with(name, *input);
        }
        self.session.run(params, &feed)
    }
}
