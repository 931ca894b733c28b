//! Elementwise functions.

use std::fmt::Debug;
use std::hash::Hash;

use super::{Accepts, Arithmetic, Call, Derivative, Domain, Form, Kinks, Meta, Metas, Op, Signature};
use crate::kernel::simd::{Loop, vectorized};
use crate::real::Real;
use crate::tape::Var;

/// An elementwise function: each element of the output is computed from the elements of the inputs at the same index,
/// all of one shape.
///
/// # Example
/// ```
/// use gradus_graph::{Graph, Pointwise, Real, Tensor, Var};
///
/// /// x / (1 + |x|)
/// #[derive(Debug, PartialEq, Eq, Hash)]
/// struct Squash;
///
/// impl Pointwise for Squash {
///     const NAME: &'static str = "squash";
///     fn value<T: Real>(&self, x: &[T]) -> T {
///         x[0] / (T::one() + x[0].abs())
///     }
///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
///         (x[0].abs() + 1.0).square().recip()
///     }
/// }
///
/// let graph = Graph::new();
/// let x = graph.constant(&Tensor::from([1.0, -3.0]));
/// let y = graph.call(Squash, &[x]);
/// assert_eq!(graph.eval(y)?.data(), [0.5, -0.75]);
/// let slope = graph.grad(y.sum(), &[x])?[0];
/// assert_eq!(graph.eval(slope)?.data(), [0.25, 0.0625]);
/// # Ok::<(), gradus_graph::Error>(())
/// ```
pub trait Pointwise: Debug + PartialEq + Eq + Hash + Send + Sync + 'static {
    /// The name that messages and pictures use.
    const NAME: &'static str;
    /// The number of inputs: 1, 2, 3 or 4.
    const ARITY: usize = 1;
    /// The arithmetic that the value is: [`Op::arithmetic`].
    const ARITHMETIC: Option<Arithmetic> = None;

    /// The value at `x`, one number for each input. It is vectorised if it and the functions that it calls are marked
    /// `#[inline(always)]`.
    fn value<T: Real>(&self, x: &[T]) -> T;

    /// The partial derivative with respect to input number `input`, from the inputs `x` and the output `y`.
    fn slope<'g>(&self, x: &[Var<'g>], y: Var<'g>, input: usize) -> Var<'g>;

    /// The kind of the derivative with respect to an input; by default a rule, that of [`vjp`](Pointwise::vjp).
    fn derivative(&self, _input: usize) -> Derivative {
        Derivative::Rule
    }

    /// The cotangent of an input; by default the output's cotangent times [`slope`](Pointwise::slope), which is 0 for a
    /// cotangent of 0 whatever the slope: [`Var::cotangent_times`].
    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        call.g().cotangent_times(self.slope(call.inputs, call.y(), input))
    }

    /// Whether [`usual_value`](Pointwise::usual_value) computes the value at `x`.
    #[doc(hidden)]
    #[inline(always)]
    fn is_usual<T: Real>(&self, _x: &[T]) -> bool {
        true
    }

    /// The value at an `x` that [is usual](Pointwise::is_usual), with the bits of [`value`](Pointwise::value), where
    /// that has branches and this has none. Of a block all values are computed in this way, and then the others again.
    #[doc(hidden)]
    #[inline(always)]
    fn usual_value<T: Real>(&self, x: &[T]) -> T {
        self.value(x)
    }

    /// The domain of the input.
    fn domain(&self, _input: usize) -> Domain {
        Domain::REAL
    }

    /// The points where the op is not differentiable with respect to the input.
    fn kinks(&self, _input: usize) -> Kinks {
        Kinks::None
    }

    /// Whether the slope is deliberately not the derivative of the value: [`Op::is_surrogate`].
    ///
    /// # Example
    /// A neuron that fires above a threshold, with the slope of a smooth function (Zenke and Ganguli, "SuperSpike",
    /// 2018):
    /// ```
    /// use gradus_graph::{Graph, Pointwise, Real, Tensor, Var};
    ///
    /// #[derive(Debug, PartialEq, Eq, Hash)]
    /// struct Spike;
    ///
    /// impl Pointwise for Spike {
    ///     const NAME: &'static str = "spike";
    ///     fn value<T: Real>(&self, x: &[T]) -> T {
    ///         if x[0] > T::zero() { T::one() } else { T::zero() }
    ///     }
    ///     fn slope<'g>(&self, x: &[Var<'g>], _y: Var<'g>, _input: usize) -> Var<'g> {
    ///         (x[0].abs() + 1).pow(-2)
    ///     }
    ///     fn is_surrogate(&self) -> bool {
    ///         true
    ///     }
    /// }
    ///
    /// let graph = Graph::new();
    /// let x = graph.constant(&Tensor::from([-1.0, 3.0]));
    /// let y = graph.call(Spike, &[x]);
    /// let slope = graph.grad(y.sum(), &[x])?[0];
    /// assert_eq!((graph.eval(y)?.data(), graph.eval(slope)?.data()), (&[0.0, 1.0][..], &[0.25, 0.0625][..]));
    /// # Ok::<(), gradus_graph::Error>(())
    /// ```
    fn is_surrogate(&self) -> bool {
        false
    }
}

impl<P: Pointwise> Op for P {
    const INPUTS: Signature = Signature::Fixed([Accepts::Real; 4].split_at(P::ARITY).0);

    fn name(&self) -> &'static str {
        P::NAME
    }

    fn infer(&self, inputs: &[Meta]) -> Result<Metas, String> {
        const { assert!(P::ARITY >= 1 && P::ARITY <= 4, "a pointwise op has 1 to 4 inputs") }
        like_inputs(inputs)
    }

    fn form(&self) -> Form {
        Form::Pointwise
    }

    fn block<T: Real>(&self, x: &[&[T]], y: &mut [T]) {
        vectorized(Block { op: self, x, y });
    }

    fn scalar<T: Real>(&self, x: T, others: &[T]) -> T {
        if P::ARITY == 1 { vectorized(OfOne { op: self, x }) } else { vectorized(OfMore { op: self, x, others }) }
    }

    fn derivative(&self, input: usize) -> Derivative {
        Pointwise::derivative(self, input)
    }

    fn vjp<'g>(&self, call: Call<'_, 'g>, input: usize) -> Var<'g> {
        Pointwise::vjp(self, call, input)
    }

    fn domain(&self, input: usize) -> Domain {
        Pointwise::domain(self, input)
    }

    fn kinks(&self, input: usize) -> Kinks {
        Pointwise::kinks(self, input)
    }

    fn arithmetic(&self) -> Option<Arithmetic> {
        P::ARITHMETIC
    }

    fn is_surrogate(&self) -> bool {
        Pointwise::is_surrogate(self)
    }
}

/// The output of inputs of one shape: that shape.
fn like_inputs(inputs: &[Meta]) -> Result<Metas, String> {
    match inputs.iter().all(|input| input.shape == inputs[0].shape) {
        true => Ok(smallvec::smallvec![inputs[0].clone()]),
        false => Err("the shapes differ (broadcast them first)".into()),
    }
}

struct Block<'a, P, T> {
    op: &'a P,
    x: &'a [&'a [T]],
    y: &'a mut [T],
}

impl<P: Pointwise, T: Real> Loop for Block<'_, P, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { op, x, y } = self;
        let n = y.len();
        // Slices of one length, so that the loops below need no bounds checks and are vectorised.
        match P::ARITY {
            1 => {
                let a = &x[0][..n];
                let mut usual = true;
                for i in 0..n {
                    y[i] = op.usual_value(&[a[i]]);
                    usual &= op.is_usual(&[a[i]]);
                }
                if !usual {
                    for i in 0..n {
                        if !op.is_usual(&[a[i]]) {
                            y[i] = op.value(&[a[i]]);
                        }
                    }
                }
            }
            2 => {
                let (a, b) = (&x[0][..n], &x[1][..n]);
                for i in 0..n {
                    y[i] = op.value(&[a[i], b[i]]);
                }
            }
            3 => {
                let (a, b, c) = (&x[0][..n], &x[1][..n], &x[2][..n]);
                for i in 0..n {
                    y[i] = op.value(&[a[i], b[i], c[i]]);
                }
            }
            4 => {
                let (a, b, c, d) = (&x[0][..n], &x[1][..n], &x[2][..n], &x[3][..n]);
                for i in 0..n {
                    y[i] = op.value(&[a[i], b[i], c[i], d[i]]);
                }
            }
            arity => unreachable!("a pointwise op has 1 to 4 inputs, not {arity}"),
        }
    }
}

/// The value for one number, which is small enough to be passed in registers.
struct OfOne<'a, P, T> {
    op: &'a P,
    x: T,
}

impl<P: Pointwise, T: Real> Loop for OfOne<'_, P, T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        let Self { op, x } = self;
        if op.is_usual(&[x]) { op.usual_value(&[x]) } else { op.value(&[x]) }
    }
}

/// The value for several numbers.
struct OfMore<'a, P, T> {
    op: &'a P,
    x: T,
    others: &'a [T],
}

impl<P: Pointwise, T: Real> Loop for OfMore<'_, P, T> {
    type Output = T;

    #[inline(always)]
    fn run(self) -> T {
        let Self { op, x, others } = self;
        match P::ARITY {
            2 => op.value(&[x, others[0]]),
            3 => op.value(&[x, others[0], others[1]]),
            _ => op.value(&[x, others[0], others[1], others[2]]),
        }
    }
}
