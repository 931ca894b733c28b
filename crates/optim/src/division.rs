//! Division of the work on the tensors of a step over threads.
//!
//! A tensor is cut in halves until its parts are small, in a way that depends on its length alone, and what its parts
//! give is joined in the order of the cuts: so the result is the same, to the bit, with any number of threads. A step
//! with work for several threads makes one list of the parts of all its tensors, and a thread takes the next parts that
//! nobody has begun: threads wait for each other once in a pass, and not once in a tensor.
//!
//! Before: tensors of 401,408, 512 and 262,144 elements. After: eight parts of about 50,000, one of 512, four of 65,536.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use gradus_graph::kernel::parallel::in_parts;
use smallvec::SmallVec;

use crate::tensor_pass::{CHUNK, PIECE};

/// Work on the elements of one tensor.
pub(crate) trait Divide: Sized {
    /// The number of elements.
    fn len(&self) -> usize;

    /// Its two parts, unless it is small.
    fn cut(self) -> Cut<Self>;
}

/// What is not cut, or the two parts of what is.
pub(crate) type Cut<W> = ControlFlow<W, (W, W)>;

/// Runs `run` on the parts that are not cut, and joins the results.
pub(crate) fn in_order<W: Divide, R>(work: W, run: &impl Fn(W) -> R, join: impl Fn(R, R) -> R + Copy) -> R {
    match work.cut() {
        Cut::Continue((left, right)) => {
            let left = in_order(left, run, join);
            join(left, in_order(right, run, join))
        }
        Cut::Break(part) => run(part),
    }
}

/// How often a tensor is cut for the list, at most: into 32 parts.
const CUTS: u32 = 5;

/// Pieces of work for each thread, of which each is four calls: threads that begin late or are slow delay the end by
/// less than one of them.
const PIECES: usize = 4;

/// The parts of all tensors.
pub(crate) struct Division<W, R> {
    parts: Vec<Part<W, R>>,
    /// The number of elements of all parts, where an empty part counts as one.
    len: usize,
}

struct Part<W, R> {
    /// How often it was cut out of its tensor.
    depth: u32,
    /// The number of elements before it.
    start: usize,
    /// What is left to be done, and the result.
    state: Mutex<(Option<W>, Option<R>)>,
}

impl<W, R> Division<W, R> {
    pub(crate) const fn new() -> Self {
        Self { parts: Vec::new(), len: 0 }
    }

    /// The empty list in the memory of another: collecting in place allocates nothing.
    pub(crate) fn within<V>(other: &mut Division<V, R>) -> Self {
        let mut parts = std::mem::take(&mut other.parts);
        parts.clear();
        Self { parts: parts.into_iter().map(|_| unreachable!("the list is empty")).collect(), len: 0 }
    }
}

impl<W: Divide + Send, R: Send> Division<W, R> {
    /// Adds the work on a tensor.
    pub(crate) fn add(&mut self, tensor: W) {
        self.divide(tensor, 0);
    }

    fn divide(&mut self, work: W, depth: u32) {
        let is_listed = depth == CUTS || work.len() <= PIECE;
        match if is_listed { Cut::Break(work) } else { work.cut() } {
            Cut::Continue((left, right)) => {
                self.divide(left, depth + 1);
                self.divide(right, depth + 1);
            }
            Cut::Break(part) => {
                let start = self.len;
                self.len += part.len().max(1);
                self.parts.push(Part { depth, start, state: Mutex::new((Some(part), None)) });
            }
        }
    }

    /// Runs `run` on all parts. What is returned holds the results, and no work.
    pub(crate) fn run<V>(self, run: &(impl Fn(W) -> R + Sync)) -> Division<V, R> {
        let Self { parts, len } = self;
        let threads = rayon::current_num_threads();
        in_parts(len, CHUNK, 1, if threads > 1 { PIECES * threads } else { 1 }, &|_, range| {
            let first = parts.partition_point(|part| part.start < range.start);
            for part in parts[first..].iter().take_while(|part| part.start < range.end) {
                let mut state = part.state.lock().unwrap_or_else(PoisonError::into_inner);
                let work = state.0.take().expect(ONCE);
                state.1 = Some(run(work));
            }
        });
        let done = |part: Part<W, R>| {
            let (_, result) = part.state.into_inner().unwrap_or_else(PoisonError::into_inner);
            Part { depth: part.depth, start: part.start, state: Mutex::new((None, result)) }
        };
        Division { parts: parts.into_iter().map(done).collect(), len }
    }
}

impl<W, R> Division<W, R> {
    /// Takes the result of each tensor, in the order in which they were added.
    pub(crate) fn results(&mut self, join: impl Fn(R, R) -> R) -> impl Iterator<Item = R> {
        self.len = 0;
        let mut parts = self.parts.drain(..);
        // Two neighbours of one depth are the halves of one part.
        let mut open: SmallVec<[(u32, R); 1 + CUTS as usize]> = SmallVec::new();
        std::iter::from_fn(move || {
            loop {
                let part = parts.next()?;
                let (_, result) = part.state.into_inner().unwrap_or_else(PoisonError::into_inner);
                let (mut depth, mut result) = (part.depth, result.expect(ONCE));
                while open.last().is_some_and(|(before, _)| *before == depth) {
                    let (_, left) = open.pop().expect("it is there");
                    (depth, result) = (depth - 1, join(left, result));
                }
                if depth == 0 {
                    return Some(result);
                }
                open.push((depth, result));
            }
        })
    }
}

const ONCE: &str = "each part is run once";

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::tensor_pass::half;

    /// The elements of a tensor.
    struct Elements(Range<usize>);

    impl Divide for Elements {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn cut(self) -> Cut<Self> {
            let Range { start, end } = self.0;
            if end - start <= CHUNK {
                return Cut::Break(self);
            }
            let middle = start + half(end - start, CHUNK);
            Cut::Continue((Self(start..middle), Self(middle..end)))
        }
    }

    #[test]
    fn a_step_becomes_one_list() {
        let mut list = Division::<_, ()>::new();
        for len in [401_408, 512, 262_144, 0, 10] {
            list.add(Elements(0..len));
        }
        let len = |part: Part<Elements, ()>| part.state.into_inner().unwrap().0.unwrap().len();
        let parts: Vec<usize> = list.parts.into_iter().map(len).collect();
        let of_first = [65_536, 49_152, 49_152, 49_152, 49_152, 49_152, 49_152, 40_960];
        assert_eq!(parts, [&of_first[..], &[512, 65_536, 65_536, 65_536, 65_536, 0, 10]].concat());
        assert_eq!(list.len, 401_408 + 512 + 262_144 + 1 + 10);
    }

    /// What is joined, and how, is the same on any number of threads and without a list.
    #[test]
    fn results_are_joined_in_the_order_of_the_cuts() {
        let lengths = [401_408, 512, 0, 262_144, 10_000_000, 16_385];
        let join = |a: String, b: String| format!("({a} {b})");
        let run = |elements: Elements| in_order(elements, &|part: Elements| format!("{:?}", part.0), join);
        let expected: Vec<String> = lengths.iter().map(|&len| run(Elements(0..len))).collect();
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
            let found = pool.install(|| {
                let mut list = Division::new();
                lengths.iter().for_each(|&len| list.add(Elements(0..len)));
                let mut done: Division<(), _> = list.run(&run);
                done.results(join).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{threads} threads");
        }
    }
}
