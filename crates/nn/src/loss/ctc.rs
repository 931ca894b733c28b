//! Connectionist temporal classification: the negative logarithm of the probability that a sequence of classes, with
//! repetitions and blanks left out, reads as the labels (Graves et al. 2006).
//!
//! The labels `l` are extended by blanks to `l' = (−, l₁, −, l₂, …, −)` of size `2·labels + 1`. A path through the
//! lattice of times and places of `l'` stays, goes on by one, or skips a blank between unlike labels. With
//! log-probabilities `ℓ`, and all sums of exponentials taken in log space,
//! `α_t(s) = ℓ_t(l'_s) + ln(e^α_{t−1}(s) + e^α_{t−1}(s−1) + [skip] e^α_{t−1}(s−2))` is what leads to a place, `β_t(s)`
//! likewise what leads from it to the end, and the loss is `−ln p` with `p` the sum over the two last places of `e^α`.
//!
//! Derivative for `ℓ_t(k)`: `−Σ_{s: l'_s = k} e^(α_t(s) + β_t(s))/p`, where `p = Σ_s e^(α_t(s) + β_t(s))`. The two lattices are kernels; that derivative is
//! made of them by graph ops, and its own derivative follows from the lattices' definition in graph ops.

use gradus_graph::{
    Accepts, Call, Derivative, Form, Graph, Kind, Meta, Metas, Op, Real, Shape, Signature, Tensor, Var, Vars, Work,
    smallvec,
};

/// Stands for the logarithm of 0 within sums, so that derivatives are numbers.
const NOTHING: f64 = -1e30;
/// What is not above this has the probability 0.
const LIMIT: f64 = -1e29;

/// The labels of a batch, and how much of it counts.
#[derive(Clone, Copy, Debug)]
pub struct CtcTargets<'g> {
    /// Classes `[batch, most labels]`; what stands beyond a sequence's own number of labels is not looked at.
    pub labels: Var<'g>,
    /// The number of labels of each sequence, indices `[batch]`.
    pub label_lengths: Var<'g>,
    /// The number of time steps of each sequence, indices `[batch]`.
    pub input_lengths: Var<'g>,
}

/// Connectionist temporal classification with another blank, or without infinite losses: PyTorch's `CTCLoss(blank,
/// zero_infinity)`.
///
/// # Example
/// Two steps can read as the one label 1 in three ways: 11, −1, 1−.
/// ```
/// use gradus_graph::{Graph, Tensor};
/// use gradus_nn::loss::{Ctc, CtcTargets};
/// let graph = Graph::new();
/// let chances = graph.constant(&Tensor::from([0.25, 0.75, 0.5, 0.5])).reshape([2, 1, 2]);
/// let index = |values: Tensor<i64>| graph.index_constant(&values);
/// let targets = CtcTargets {
///     labels: index(Tensor::from_rows([[1]])),
///     label_lengths: index(Tensor::from([1])),
///     input_lengths: index(Tensor::from([2])),
/// };
/// let loss = Ctc { blank: 0, ..Ctc::default() }.loss(chances.ln(), targets);
/// let ways: f64 = 0.75 * 0.5 + 0.25 * 0.5 + 0.75 * 0.5;
/// assert!((graph.eval(loss)?.item() + ways.ln()).abs() < 1e-15);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ctc {
    /// The class that stands for no label; 0 by default.
    pub blank: usize,
    /// Whether the loss of labels that no path reads as is 0 and not infinite.
    pub zero_infinity: bool,
}

/// The mean over the batch of the losses of connectionist temporal classification, each divided by its number of
/// labels, as PyTorch's `ctc_loss` has it; the blank is class 0.
///
/// # Shapes
/// Log-probabilities of `[time, batch, classes]`, labels as [`CtcTargets`] says; a scalar comes out.
///
/// # Panics
/// If the shapes do not fit, or labels or lengths are real.
///
/// # Reference
/// Graves et al., "Connectionist temporal classification: labelling unsegmented sequence data with recurrent neural
/// networks" (2006).
#[track_caller]
pub fn ctc<'g>(log_probabilities: Var<'g>, targets: CtcTargets<'g>) -> Var<'g> {
    Ctc::default().loss(log_probabilities, targets)
}

/// The losses of connectionist temporal classification, `[batch]`, not divided by the number of labels.
///
/// # Panics
/// As [`ctc`].
#[track_caller]
pub fn ctc_terms<'g>(log_probabilities: Var<'g>, targets: CtcTargets<'g>) -> Var<'g> {
    Ctc::default().terms(log_probabilities, targets)
}

impl Ctc {
    /// The mean over the batch of the losses, each divided by its number of labels (by 1 if it has none).
    ///
    /// This is the `mean` of PyTorch; that of the [`terms`](Ctc::terms) alone weighs long sequences more.
    ///
    /// # Shapes
    /// Log-probabilities of `[time, batch, classes]`, labels as [`CtcTargets`] says; a scalar comes out.
    ///
    /// # Panics
    /// If the shapes do not fit, or labels or lengths are real.
    #[track_caller]
    pub fn loss<'g>(&self, log_probabilities: Var<'g>, targets: CtcTargets<'g>) -> Var<'g> {
        let terms = self.terms(log_probabilities, targets);
        (terms / targets.label_lengths.to_real().maximum(1.0)).mean()
    }

    /// The loss of each sequence, `[batch]`.
    ///
    /// It is infinite, or 0 with `zero_infinity`, where no path reads as the labels, as when there are fewer steps than
    /// labels; the gradient there is 0. A label that is no class or the blank, and a length beyond its axis, are errors
    /// of the run.
    ///
    /// The gradient is that for log-probabilities as they are given. PyTorch's is that for log-probabilities of a
    /// `log_softmax`, with the softmax added: both give the same gradient of the logits.
    ///
    /// # Panics
    /// As [`Ctc::loss`].
    #[track_caller]
    pub fn terms<'g>(&self, log_probabilities: Var<'g>, targets: CtcTargets<'g>) -> Var<'g> {
        let graph = log_probabilities.graph();
        let CtcTargets { labels, label_lengths, input_lengths } = targets;
        let classes = log_probabilities.shape().last().copied().unwrap_or(0);
        let extended = match graph.apply(Extended { blank: self.blank, classes }, &[labels, label_lengths]) {
            Ok(extended) => extended,
            Err(error) => panic!("{error}"),
        };
        let inputs = [log_probabilities, extended[0], extended[1], extended[2], input_lengths];
        let terms = graph.call(CtcLoss, &inputs);
        if self.zero_infinity { terms.equal(f64::INFINITY).where_(0.0, terms) } else { terms }
    }
}

/// From labels and their numbers: the classes of the extended labels, whether a path may come to a place from two
/// before it, and whether it may end there, each `[batch, 2·labels + 1]`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Extended {
    blank: usize,
    classes: usize,
}

impl Op for Extended {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Index, Accepts::Index]);

    fn name(&self) -> &'static str {
        "ctc_labels"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let [batch, labels] = inputs[0].shape[..] else { return Err("labels must be [batch, labels]".into()) };
        if inputs[1].shape[..] != [batch] {
            return Err("there must be one number of labels a sequence".into());
        }
        if self.blank >= self.classes {
            return Err(format!("the blank {} is none of {} classes", self.blank, self.classes));
        }
        // Twice the labels and one more; where that overflows, no shape.
        let places = labels.saturating_mul(2).saturating_add(1);
        let extended = Meta::index(Shape::try_new([batch, places])?);
        Ok(smallvec![extended.clone(), extended.clone(), extended])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let (labels, lengths) = (work.inputs[0].index(), work.inputs[1].index());
        let most = work.input_shapes[0][1];
        let [extended, skips, ends] = work.outputs else { unreachable!("three outputs by the shape rule") };
        let size = 2 * most + 1;
        let (extended, skips, ends) = (extended.index(), skips.index(), ends.index());
        extended.fill(self.blank as i64);
        skips.fill(0);
        ends.fill(0);
        for (sequence, &length) in lengths.iter().enumerate() {
            if length < 0 || length as usize > most {
                return Err(format!("sequence {sequence} cannot have {length} of {most} labels"));
            }
            let row = sequence * size;
            let labels = &labels[sequence * most..][..length as usize];
            for (place, &label) in labels.iter().enumerate() {
                if label < 0 || label as usize >= self.classes || label as usize == self.blank {
                    let (classes, blank) = (self.classes, self.blank);
                    let what = format!("label {label} at position [{sequence}, {place}]");
                    return Err(format!("{what} is none of {classes} classes without the blank {blank}"));
                }
                extended[row + 2 * place + 1] = label;
                skips[row + 2 * place + 1] = i64::from(place > 0 && labels[place - 1] != label);
            }
            let last = row + 2 * length as usize;
            ends[last] = 1;
            if length > 0 {
                ends[last - 1] = 1;
            }
        }
        Ok(())
    }
}

/// From the log-probabilities `[time, batch, places]` of the extended labels, their skips and ends, and the numbers of
/// steps: `α`, or `β`, and whether a path comes to the place, both `[time, batch, places]`. Where none comes, `α` is 0.
/// After a sequence's last step both stay what they were.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Lattice {
    from_the_end: bool,
}

/// `ln(eᵃ + eᵇ + eᶜ)`
#[inline]
fn ln_of_sum<T: Real>(a: T, b: T, c: T) -> T {
    let largest = a.max(b).max(c);
    let sum = (a - largest).exp() + (b - largest).exp() + (c - largest).exp();
    // Not a comparison with the largest, which passes over a NaN.
    if largest <= T::of(LIMIT) && !(a + b + c).is_nan() { T::of(NOTHING) } else { largest + sum.ln() }
}

impl Op for Lattice {
    const INPUTS: Signature = Signature::Fixed(&[Accepts::Real, Accepts::Index, Accepts::Index, Accepts::Index]);

    fn name(&self) -> &'static str {
        "ctc_lattice"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let [_, batch, places] = inputs[0].shape[..] else {
            return Err("log-probabilities must be [time, batch, places]".into());
        };
        let fit = inputs[1].shape[..] == [batch, places] && inputs[2].shape == inputs[1].shape;
        if !fit || inputs[3].shape[..] != [batch] {
            return Err("skips and ends must be [batch, places], and lengths [batch]".into());
        }
        Ok(smallvec![inputs[0].clone(), inputs[0].clone()])
    }

    fn form(&self) -> Form {
        Form::Kernel
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let [log_p, skips, ends, lengths] = inputs[..] else { return None };
        let graph = log_p.graph();
        let [time, batch, places] = log_p.shape()[..] else { return None };
        let (steps, running) = (log_p.maximum(NOTHING).unstack(0), running(lengths, time).unstack(0));
        let skips = skips.to_real();
        // A row by so many places further on, or back.
        let shift = |row: Var<'g>, by: usize| match (by.min(places), self.from_the_end) {
            (by, true) => graph.concat(&[row.slice(1, by as isize, None), graph.full([batch, by], NOTHING)], 1),
            (by, false) => {
                let kept = row.slice(1, 0, (places - by) as isize);
                graph.concat(&[graph.full([batch, by], NOTHING), kept], 1)
            }
        };
        let ways = |row: Var<'g>| {
            let two = match self.from_the_end {
                true => shift(skips.where_(row, NOTHING), 2),
                false => skips.where_(shift(row, 2), NOTHING),
            };
            graph.stack(&[row, shift(row, 1), two], 2).logsumexp_axes(2)
        };
        let mut rows = Vec::new();
        if self.from_the_end {
            let mut row = ends.to_real().where_(graph.zeros([batch, places]), NOTHING);
            for step in (0..time).rev() {
                rows.push(row);
                row = running[step].where_(ways(row + steps[step]), row);
            }
            rows.reverse();
        } else {
            let mut row = start(graph, batch, places);
            for step in 0..time {
                row = running[step].where_(steps[step] + ways(row), row);
                rows.push(row);
            }
        }
        let all = if time == 0 { log_p } else { graph.stack(&rows, 0) };
        let reached = all.less_equal(LIMIT).logical_not();
        Some(smallvec![reached.where_(all, 0.0), reached])
    }

    fn run<T: Real>(&self, work: &mut Work<'_, '_, T>) -> Result<(), String> {
        let [time, batch, places] = work.input_shapes[0][..] else { unreachable!("three axes by the shape rule") };
        let log_p = work.inputs[0].real();
        let [skips, ends, lengths] = [1, 2, 3].map(|input| work.inputs[input].index());
        let [values, reached] = work.outputs else { unreachable!("two outputs by the shape rule") };
        let (values, reached) = (values.real(), reached.real());
        let nothing = T::of(NOTHING);
        for (sequence, &length) in lengths.iter().enumerate() {
            if length < 0 || length as usize > time {
                return Err(format!("sequence {sequence} cannot have {length} of {time} steps"));
            }
            let length = length as usize;
            let row = |step: usize| (step * batch + sequence) * places;
            let skip = |place: usize| skips[sequence * places + place] != 0;
            for step in 0..time {
                let step = if self.from_the_end { time - 1 - step } else { step };
                for place in 0..places {
                    // What the row before this one in the direction of the walk has at a place.
                    let value = if self.from_the_end {
                        let at = |place: usize| match place < places && reached[row(step + 1) + place] != T::zero() {
                            true => values[row(step + 1) + place] + log_p[row(step + 1) + place],
                            false => nothing,
                        };
                        if step + 1 >= length {
                            if ends[sequence * places + place] != 0 { T::zero() } else { nothing }
                        } else {
                            let two = place + 2 < places && skip(place + 2);
                            ln_of_sum(at(place), at(place + 1), if two { at(place + 2) } else { nothing })
                        }
                    } else {
                        let at = |place: Option<usize>| match (place, step) {
                            (Some(0), 0) => T::zero(),
                            (Some(place), 1..) if reached[row(step - 1) + place] != T::zero() => {
                                values[row(step - 1) + place]
                            }
                            _ => nothing,
                        };
                        if step >= length {
                            at(Some(place))
                        } else {
                            let two = if skip(place) { at(place.checked_sub(2)) } else { nothing };
                            log_p[row(step) + place] + ln_of_sum(at(Some(place)), at(place.checked_sub(1)), two)
                        }
                    };
                    // A NaN is no number that is small, and so is shown.
                    let missed = value <= T::of(LIMIT);
                    values[row(step) + place] = if missed { T::zero() } else { value };
                    reached[row(step) + place] = if missed { T::zero() } else { T::one() };
                }
            }
        }
        Ok(())
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Expansion
    }
}

/// Where a path is before the first step: at the first place.
fn start(graph: &Graph, batch: usize, places: usize) -> Var<'_> {
    graph.constant(&Tensor::from_fn([batch, places], |k| if k % places == 0 { 0.0 } else { NOTHING }))
}

/// Whether a sequence is still running, `[time, batch, 1]`.
fn running(lengths: Var<'_>, time: usize) -> Var<'_> {
    let ended = lengths.one_hot(time + 1).cumsum(1).slice(1, 0, time as isize);
    ended.logical_not().t().unsqueeze(2)
}

/// From log-probabilities `[time, batch, classes]`, the extended labels with their skips and ends, and the numbers of
/// steps: the losses `[batch]`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CtcLoss;

/// Both outputs of a lattice over the log-probabilities of the extended labels.
fn lattice<'g>(from_the_end: bool, inputs: &[Var<'g>]) -> [Var<'g>; 2] {
    let [log_p, extended, skips, ends, lengths] = inputs[..] else { unreachable!("five inputs by the shape rule") };
    let of_labels = log_p.take_along(2, everywhere(log_p, extended));
    match log_p.graph().apply(Lattice { from_the_end }, &[of_labels, skips, ends, lengths]) {
        Ok(outputs) => [outputs[0], outputs[1]],
        Err(error) => panic!("{error}"),
    }
}

/// The extended labels for each step.
fn everywhere<'g>(log_p: Var<'g>, extended: Var<'g>) -> Var<'g> {
    let [batch, places] = extended.shape()[..] else { unreachable!("two axes by the shape rule") };
    extended.broadcast_to([log_p.shape()[0], batch, places])
}

impl Op for CtcLoss {
    const INPUTS: Signature =
        Signature::Fixed(&[Accepts::Real, Accepts::Index, Accepts::Index, Accepts::Index, Accepts::Index]);

    fn name(&self) -> &'static str {
        "ctc"
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        let [_, batch, _] = inputs[0].shape[..] else {
            return Err("log-probabilities must be [time, batch, classes]".into());
        };
        let extended = &inputs[1].shape;
        let alike = extended.rank() == 2 && extended[0] == batch && extended[1] % 2 == 1;
        if !alike || inputs[2].shape != *extended || inputs[3].shape != *extended {
            return Err(format!("there must be one row of labels a sequence, and there are {batch} sequences"));
        }
        if inputs[4].shape[..] != [batch] {
            return Err("there must be one number of steps a sequence".into());
        }
        Ok(smallvec![Meta { kind: Kind::Real, shape: inputs[4].shape.clone() }])
    }

    fn expand<'g>(&self, inputs: &[Var<'g>]) -> Option<Vars<'g>> {
        let (log_p, ends) = (inputs[0], inputs[3].to_real());
        let (time, extended) = (log_p.shape()[0] as isize, ends.shape());
        let last = if time == 0 {
            ends.where_(start(log_p.graph(), extended[0], extended[1]), NOTHING)
        } else {
            let [alphas, reached] = lattice(false, inputs).map(|all| all.slice(0, time - 1, time).squeeze(0));
            ends.logical_and(reached).where_(alphas, NOTHING)
        };
        let log_likelihood = last.logsumexp_axes(1);
        Some(smallvec![log_likelihood.less_equal(LIMIT).where_(f64::INFINITY, -log_likelihood)])
    }

    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Rule
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, _input: usize) -> Var<'g> {
        let (log_p, graph) = (call.x(0), call.x(0).graph());
        let time = log_p.shape()[0];
        let [alphas, to] = lattice(false, call.inputs);
        let [betas, from] = lattice(true, call.inputs);
        let each = |x: Var<'g>| x.unsqueeze(1).unsqueeze(0);
        // What no path passes, or comes after the end, has the weight 0, and so has all of an impossible sequence.
        let possible = each(call.y().equal(f64::INFINITY).logical_not());
        let passed = to.logical_and(from).logical_and(running(call.x(4), time)).logical_and(possible);
        // At each step the paths through all places are all paths: their weights sum to 1, and a softmax has no part in
        // the rounding that `α + β` gathers over a long sequence alike at all places.
        let weights = passed.where_(passed.where_(alphas + betas, NOTHING).softmax(2), 0.0);
        let cotangent = -(weights * each(call.g()));
        graph.zeros(log_p.shape()).scatter_add(2, everywhere(log_p, call.x(1)), cotangent)
    }
}

#[cfg(test)]
mod tests {
    use gradus_graph::{AnyTensor, Feed, Params, check};

    use super::*;

    /// A batch: log-probabilities that need not sum to 1, labels, their numbers, and the numbers of steps.
    struct Batch {
        log_p: Tensor<f64>,
        labels: Vec<Vec<i64>>,
        steps: Vec<i64>,
        blank: usize,
    }

    impl Batch {
        fn new(time: usize, classes: usize, blank: usize, sequences: &[(&[i64], i64)]) -> Self {
            let log_p = Tensor::from_fn([time, sequences.len(), classes], |k| ((k * k + 3 * k + 1) as f64).sin() - 1.0);
            let labels = sequences.iter().map(|(labels, _)| labels.to_vec()).collect();
            Self { log_p, labels, steps: sequences.iter().map(|(_, steps)| *steps).collect(), blank }
        }

        fn targets<'g>(&self, graph: &'g Graph) -> CtcTargets<'g> {
            let most = self.labels.iter().map(Vec::len).max().unwrap_or(0);
            // What stands beyond the labels is no class.
            let label = |k: usize| self.labels[k / most].get(k % most).copied().unwrap_or(-9);
            let lengths: Vec<i64> = self.labels.iter().map(|labels| labels.len() as i64).collect();
            CtcTargets {
                labels: graph.index_constant(&Tensor::from_fn([self.labels.len(), most], label)),
                label_lengths: graph.index_constant(&Tensor::from(lengths)),
                input_lengths: graph.index_constant(&Tensor::from(self.steps.clone())),
            }
        }

        fn terms(&self) -> Vec<f64> {
            let graph = Graph::new();
            let loss = Ctc { blank: self.blank, ..Ctc::default() };
            graph.eval(loss.terms(graph.constant(&self.log_p), self.targets(&graph))).unwrap().into_vec()
        }

        /// Over all sequences of classes: those that read as the labels.
        fn enumerated(&self) -> Vec<f64> {
            let [_, batch, classes] = self.log_p.shape()[..] else { unreachable!() };
            let loss = |sequence: usize| {
                let steps = self.steps[sequence] as u32;
                let mut total = 0.0;
                for path in 0..classes.pow(steps) {
                    let class = |step: u32| path / classes.pow(step) % classes;
                    let mut read: Vec<i64> = Vec::new();
                    for step in 0..steps {
                        let repeated = step > 0 && class(step) == class(step - 1);
                        if class(step) != self.blank && !repeated {
                            read.push(class(step) as i64);
                        }
                    }
                    if read == self.labels[sequence] {
                        let log: f64 = (0..steps).map(|t| self.log_p.at(&[t as usize, sequence, class(t)])).sum();
                        total += log.exp();
                    }
                }
                -f64::ln(total)
            };
            (0..batch).map(loss).collect()
        }
    }

    fn batches() -> Vec<Batch> {
        vec![
            Batch::new(5, 3, 0, &[(&[1, 2], 5), (&[1, 1], 4), (&[2], 3), (&[], 4), (&[2, 1], 2)]),
            Batch::new(4, 4, 2, &[(&[0, 3, 1], 4), (&[3, 3], 3), (&[0], 1)]),
            Batch::new(1, 2, 1, &[(&[0], 1), (&[], 1), (&[], 0)]),
        ]
    }

    #[test]
    fn losses_are_those_of_all_paths_together() {
        for batch in batches() {
            for (loss, expected) in batch.terms().into_iter().zip(batch.enumerated()) {
                assert!((loss - expected).abs() < 1e-13 * (1.0 + expected.abs()), "{loss} is not {expected}");
            }
        }
    }

    #[test]
    fn gradients() {
        for batch in batches() {
            let Batch { log_p, blank, .. } = &batch;
            let loss = Ctc { blank: *blank, ..Ctc::default() };
            check::assert_gradients(std::slice::from_ref(log_p), |x| loss.terms(x[0], batch.targets(x[0].graph())));
            check::assert_gradients(std::slice::from_ref(log_p), |x| {
                loss.loss(x[0].log_softmax(-1), batch.targets(x[0].graph()))
            });
        }
    }

    /// Each op by itself, kernel against expansion, on the second batch.
    #[test]
    fn ops_are_right() {
        let index = |rows: usize, values: Vec<i64>| -> AnyTensor<f64> {
            let columns = values.len() / rows;
            AnyTensor::Index(Tensor::new([rows, columns], values))
        };
        let list = |values: &[i64]| -> AnyTensor<f64> { AnyTensor::Index(Tensor::from_slice(values)) };
        let labels = || index(3, vec![1, 2, 1, 1, 2, 0]);
        check::assert_op_at(Extended { blank: 0, classes: 3 }, [labels(), list(&[2, 2, 1])]);
        let extended = index(3, vec![0, 1, 0, 2, 0, 0, 1, 0, 1, 0, 0, 2, 0, 0, 0]);
        let skips = index(3, vec![0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let ends = index(3, vec![0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0]);
        let numbers = |places: usize| -> AnyTensor<f64> {
            AnyTensor::Real(Tensor::from_fn([4, 3, places], |k| ((k * k + 3 * k + 1) as f64).sin() - 1.0))
        };
        let (log_p, steps) = (numbers(5), list(&[4, 3, 2]));
        let inputs = || [log_p.clone(), skips.clone(), ends.clone(), steps.clone()];
        check::assert_op_at(Lattice { from_the_end: false }, inputs());
        check::assert_op_at(Lattice { from_the_end: true }, inputs());
        check::assert_op_at(CtcLoss, [numbers(3), extended, skips, ends, steps]);
    }

    #[test]
    fn impossible_labels_have_no_gradient() {
        // Two equal labels need a blank between them.
        let batch = Batch::new(3, 3, 0, &[(&[1, 1], 2), (&[1, 2], 1), (&[1], 0), (&[1], 3)]);
        let graph = Graph::new();
        let x = graph.constant(&batch.log_p);
        for zero_infinity in [false, true] {
            let terms = Ctc { zero_infinity, ..Ctc::default() }.terms(x, batch.targets(&graph));
            let slope = graph.grad(terms.sum(), &[x]).unwrap()[0];
            let curved = graph.grad(slope.square().sum(), &[x]).unwrap()[0];
            let losses = graph.eval(terms).unwrap().into_vec();
            let impossible = if zero_infinity { 0.0 } else { f64::INFINITY };
            assert_eq!(losses[..3], [impossible; 3]);
            assert!(losses[3].is_finite());
            for derivative in [slope, curved] {
                let derivative = graph.eval(derivative).unwrap();
                assert!(derivative.first_non_finite().is_none());
                for (k, &value) in derivative.data().iter().enumerate() {
                    assert!(value == 0.0 || k / 3 % 4 == 3, "{k}: {value}");
                }
            }
        }
    }

    /// A class of probability 0, and what lies beyond the last step, may be infinite.
    #[test]
    fn infinite_log_probabilities_leave_derivatives_finite() {
        let mut batch = Batch::new(4, 3, 0, &[(&[1], 3)]);
        batch.log_p.data_mut()[2] = f64::NEG_INFINITY;
        batch.log_p.data_mut()[4] = f64::NEG_INFINITY;
        batch.log_p.data_mut()[9..].fill(f64::NAN);
        assert!((batch.terms()[0] - batch.enumerated()[0]).abs() < 1e-13);
        let graph = Graph::new();
        let x = graph.constant(&batch.log_p);
        let slope = graph.grad(Ctc::default().loss(x, batch.targets(&graph)), &[x]).unwrap()[0];
        let slope = graph.eval(slope).unwrap();
        assert!(slope.first_non_finite().is_none() && slope.data()[9..] == [0.0; 3], "{slope:?}");
    }

    /// Sums of logarithms round at each step; the weights of the places of a step do so alike.
    #[test]
    fn a_long_sequence_in_single_precision() {
        let labels: Vec<i64> = (0..60).map(|k| 1 + k % 4).collect();
        let mut batch = Batch::new(500, 5, 0, &[(&labels, 500)]);
        batch.log_p = batch.log_p.cast::<f32>().cast();
        let graph = Graph::new();
        let x = graph.constant(&batch.log_p);
        let loss = ctc_terms(x, batch.targets(&graph));
        let slope = graph.grad(loss.sum(), &[x]).unwrap()[0];
        let exact = graph.eval_with::<f64>(&[loss, slope], &Params::new(0), &Feed::new()).unwrap();
        let single = graph.eval_with::<f32>(&[loss, slope], &Params::new(0), &Feed::new()).unwrap();
        let [loss, slope] = [0, 1].map(|k| single[k].real().cast::<f64>());
        loss.assert_close(exact[0].real(), 500.0 * f64::from(f32::EPSILON), 0.0);
        slope.assert_close(exact[1].real(), 0.0, 1e-3);
        // Each step is at some class.
        for step in slope.data().chunks(5) {
            assert!((step.iter().sum::<f64>() + 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn an_empty_batch_and_no_steps() {
        let empty = Batch::new(3, 2, 0, &[]);
        assert!(empty.terms().is_empty());
        assert_eq!(Batch::new(0, 2, 0, &[(&[], 0), (&[1], 0)]).terms(), [0.0, f64::INFINITY]);
    }

    #[test]
    fn what_is_wrong_is_an_error_of_the_run() {
        let refused = |sequences: &[(&[i64], i64)]| {
            let graph = Graph::new();
            let batch = Batch::new(2, 3, 0, sequences);
            graph.eval(ctc(graph.constant(&batch.log_p), batch.targets(&graph))).unwrap_err().to_string()
        };
        for label in [3, -1, 0] {
            let error = refused(&[(&[1], 2), (&[2, label], 2)]);
            let message = format!("label {label} at position [1, 1] is none of 3 classes without the blank 0");
            assert!(error.ends_with(&message), "{error}");
        }
        assert!(refused(&[(&[1], 3)]).ends_with("sequence 0 cannot have 3 of 2 steps"));
    }

    #[test]
    #[should_panic(expected = "`ctc` of [4, 2, 3] and [1, 3] and [1, 3] and [1, 3] and [1]: there must be one row of \
                               labels a sequence, and there are 2 sequences (at ")]
    fn shapes_that_do_not_fit_are_named() {
        let graph = Graph::new();
        ctc(graph.zeros([4, 2, 3]), Batch::new(4, 3, 0, &[(&[1], 4)]).targets(&graph));
    }
}
