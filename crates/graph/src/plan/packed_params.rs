//! Right factors of products that are parameters: packed by the second run that finds them as they were, for inference.
//!
//! A weight is stored with a row for each output, so the columns of the right factor of `x·wᵀ` are contiguous, and the
//! kernel packs them into panels in every run or, for a row or two, transposes them in registers. Before, run after run:
//!
//! ```text
//! product  y = x·wᵀ             (packs or transposes w)
//! ```
//!
//! and after, while the store says that `w` has not changed:
//!
//! ```text
//! first run    product  y = x·wᵀ       (packs or transposes w)
//! second run   pack     p = wᵀ
//!              product  y = x·p
//! later runs   product  y = x·p
//! ```
//!
//! Training changes its parameters at every step and packs nothing here. The panels take as much memory as the
//! parameters; they are in the session and not in the arena, whose memory is used again. The bits are the same, since the
//! order of sums does not depend on where the numbers lie.

use super::Inner;
use super::memory::aligned;
use super::unit::{Storage, Unit, product_sizes};
use crate::kernel::gemm::{self, MatrixView, pack};
use crate::real::Real;

/// The panels of the parameters of a plan that are right factors of products.
pub(super) struct PackedParams<T> {
    panels: Vec<Panels<T>>,
    /// The units that read panels, in their order, each with the number of these.
    readers: Vec<(usize, usize)>,
}

/// A matrix of a parameter, and its panels.
struct Panels<T> {
    param: u32,
    size: [usize; 2],
    offset: usize,
    strides: [isize; 2],
    /// The stamp of the parameter in the last run.
    stamp: Option<u64>,
    state: State,
    memory: Vec<T>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The parameter differs from that of the last run.
    Changed,
    /// It does not, but is not packed.
    Same,
    Packed,
}

impl<T: Real> PackedParams<T> {
    pub(super) fn of(inner: &Inner) -> Self {
        let (mut panels, mut readers) = (Vec::<Panels<T>>::new(), Vec::new());
        for (unit, (kind, _)) in (inner.prologue.len()..).zip(&inner.body) {
            let Unit::Product(factors, _) = &inner.units[*kind as usize] else { continue };
            let [_, b] = &**factors;
            let (reads, _) = inner.real.footprint(unit);
            let Storage::Param(param) = inner.real.storage(reads[1]) else { continue };
            let is_one = b.batch.shape.len() == 1;
            if b.is_packed || !is_one || !gemm::is_worth_keeping(product_sizes(factors), b.strides[1] == 1) {
                continue;
            }
            let (size, offset, strides) = (b.size, b.batch.offset, b.strides);
            let is_same = |known: &Panels<T>| {
                (known.param, known.size, known.offset, known.strides) == (param, size, offset, strides)
            };
            let number = panels.iter().position(is_same).unwrap_or_else(|| {
                let (stamp, state, memory) = (None, State::Changed, Vec::new());
                panels.push(Panels { param, size, offset, strides, stamp, state, memory });
                panels.len() - 1
            });
            readers.push((unit, number));
        }
        Self { panels, readers }
    }

    /// Reserves the memory of the panels, so that no later run allocates; pages that nothing touches take none.
    ///
    /// # Errors
    /// The number of bytes, if they could not be allocated.
    pub(super) fn reserve(&mut self) -> Result<(), usize> {
        for panels in &mut self.panels {
            let len = panels.room();
            if panels.memory.capacity() < len {
                panels.memory.try_reserve_exact(len).map_err(|_| len.saturating_mul(size_of::<T>()))?;
            }
        }
        Ok(())
    }

    /// Begins a run: looks which parameters have changed, by their stamps.
    pub(super) fn look(&mut self, stamp: impl Fn(u32) -> u64) {
        for panels in &mut self.panels {
            let now = Some(stamp(panels.param));
            panels.state = match panels.state {
                _ if panels.stamp != now => State::Changed,
                State::Changed => State::Same,
                state => state,
            };
            panels.stamp = now;
        }
    }

    /// The panels of the right factor of a unit, whose parameter has these elements, if there are any in this run.
    pub(super) fn panels(&mut self, unit: usize, elements: &[T]) -> Option<&[T]> {
        let place = self.readers.binary_search_by_key(&unit, |&(unit, _)| unit).ok()?;
        let panels = &mut self.panels[self.readers[place].1];
        if panels.state == State::Changed {
            return None;
        }
        let ([k, n], room) = (panels.size, panels.room());
        panels.memory.resize(room, T::zero());
        let memory = &mut aligned(&mut panels.memory)[..gemm::packed_len(k, n)];
        if panels.state == State::Same {
            let [row, col] = panels.strides;
            pack([k, n], MatrixView { data: elements, offset: panels.offset, row, col }, memory);
            panels.state = State::Packed;
        }
        Some(memory)
    }
}

impl<T> Panels<T> {
    /// The elements of its memory: the panels begin at a cache line.
    fn room(&self) -> usize {
        const LINE: usize = 64;
        gemm::packed_len(self.size[0], self.size[1]).saturating_add(LINE / size_of::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Param, Params};
    use crate::plan::{Feed, Plan, Session};
    use crate::tape::Graph;
    use crate::tensor::Tensor;

    fn numbers<T: Real>(shape: [usize; 2], salt: usize) -> Tensor<T> {
        Tensor::from_fn(shape, |k| T::of(((k * 7919 + salt * 104_729) % 1013) as f64 / 506.0 - 1.0))
    }

    /// A dense layer: the store with its weight `a.weight` and another one of that shape, and an input.
    struct Model<T> {
        params: Params<T>,
        weight: Param,
        x: Tensor<T>,
    }

    impl<T: Real> Model<T> {
        fn new([m, k, n]: [usize; 3]) -> Self {
            let mut params: Params<T> = Params::new(0);
            let [weight, _] = ["a", "b"]
                .map(|scope| params.scope(scope, |params| params.add("weight", numbers([n, k], scope.len()))));
            Self { params, weight, x: numbers([m, k], 2) }
        }

        fn session(&self) -> Session<T> {
            let graph = Graph::new();
            let y = graph.input("x", self.x.shape().clone()).matmul(graph.param(&self.weight).t()).tanh();
            Plan::new(&graph, &[y]).expect("the graph is right").session()
        }

        /// Runs the session and compares it with plain evaluation; the state of its panels then.
        fn run(&self, session: &mut Session<T>, params: &Params<T>) -> State {
            let graph = Graph::new();
            let y = graph.constant(&self.x).matmul(graph.param(&self.weight).t()).tanh();
            let plain = graph.eval_with(&[y], params, &Feed::new()).expect("it can be evaluated");
            let found = session.run(params, &Feed::new().with("x", &self.x)).expect("it can be run");
            assert!(found.all() == &plain[..], "{:?}", session.packed.panels[0].state);
            session.packed.panels[0].state
        }
    }

    #[test]
    fn a_parameter_is_packed_by_the_second_run_that_finds_it_as_it_was() {
        let mut model = Model::<f64>::new([3, 40, 33]);
        let mut session = model.session();
        let weight = model.weight.clone();
        let states =
            |model: &Model<f64>, session: &mut Session<f64>| [(); 3].map(|()| model.run(session, &model.params));
        let all = [State::Changed, State::Packed, State::Packed];
        assert_eq!(states(&model, &mut session), all);
        // Every way to change it is noticed.
        let changes: [&dyn Fn(&mut Params<f64>); 6] = [
            &|params| params.get_mut(&weight).data_mut()[40] = 3.0,
            &|params| params.iter_mut().for_each(|(_, value)| value.data_mut()[0] = 4.0),
            &|params| params.set(&weight, numbers([33, 40], 5)),
            &|params| params.copy_scope("b", "a").expect("both have a weight"),
            &|params| params.blend_scope("b", "a", 0.5).expect("both have a weight"),
            &|params| *params = params.cast::<f32>().cast(),
        ];
        for change in changes {
            change(&mut model.params);
            assert_eq!(states(&model, &mut session), all);
        }
        // Not what leaves it as it is, in the store or in a clone of it.
        let _ = model.params.get_mut(&weight);
        model.params.set_trainable(false, |_| true);
        let mut other = model.params.clone();
        assert_eq!(model.run(&mut session, &model.params), State::Packed);
        assert_eq!(model.run(&mut session, &other), State::Packed);
        other.get_mut(&weight).data_mut()[0] = -2.0;
        for params in [&other, &model.params, &other] {
            assert_eq!(model.run(&mut session, params), State::Changed);
        }
    }

    #[test]
    fn the_bits_are_those_of_products_that_pack_for_themselves() {
        fn compare<T: Real>(sizes: [usize; 3]) {
            let model = Model::<T>::new(sizes);
            for threads in [1, 2, 3, 8] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
                pool.install(|| {
                    let mut session = model.session();
                    for _ in 0..3 {
                        model.run(&mut session, &model.params);
                    }
                });
            }
        }
        for sizes in [[1, 32, 32], [2, 50, 70], [3, 784, 100], [17, 500, 33], [128, 400, 300]] {
            compare::<f32>(sizes);
            compare::<f64>(sizes);
        }
    }

    #[test]
    fn what_is_packed() {
        let graph = Graph::new();
        let mut params: Params<f64> = Params::new(0);
        let [w, v, thin] = [("w", [64, 40]), ("v", [40, 64]), ("thin", [10, 40])]
            .map(|(name, shape)| graph.param(&params.add(name, numbers(shape, 1))));
        let (x, many) = (graph.input("x", [2, 40]), graph.input("many", [300, 40]));
        let packed = |outputs: &[crate::tape::Var<'_>]| {
            let plan = Plan::new(&graph, outputs).expect("the graph is right");
            let PackedParams { panels, readers } = PackedParams::<f64>::of(&plan.inner);
            [panels.len(), readers.len()]
        };
        // A weight that two products read has panels once; different parts of it have their own.
        assert_eq!(packed(&[x.matmul(w.t()), (x * 2.0).exp().matmul(w.t())]), [1, 2]);
        assert_eq!(packed(&[x.matmul(w.slice(0, 0, 32).t()), x.matmul(w.slice(0, 32, 64).t())]), [2, 2]);
        // Not rows that are contiguous, few columns, many rows of the left factor, or what is computed.
        assert_eq!(packed(&[x.matmul(v), x.matmul(thin.t()), many.matmul(w.t()), x.matmul((w * 2.0).t())]), [0, 0]);
    }
}
