//! Seven beliefs about weights and their updates, each tested by itself.

mod crossed;
mod forward_pass;
mod one_pass;
mod one_weight;
mod share;
mod start;
mod width;

use crate::Failure;
use crate::report::Part;
use crate::study::Study;

pub(crate) fn part(study: &Study) -> Result<Part, Failure> {
    let part = Part::new(
        "Beliefs tested",
        "One pass over the data is enough or is never enough; a single weight hardly matters; more weights are better or \
         overfit; the start matters; every step moves every weight; a better rule is worth more than a better network; \
         weights change while the network computes.",
        "A pass is a number of steps, and what a run needs is steps: of a large data set one pass has enough of them. A \
         gradient is the effect of each weight as long as the change is small, and a network of many weights spreads what it \
         has learned. Width adds functions, and gradient descent prefers the simple ones among those that fit. A weight whose \
         input is zero has no gradient: whether it moves all the same depends on the rule, which may remember or decay. The \
         forward pass writes nothing but the running statistics of normalisation.",
    )
    .setup(format!(
        "Digits and the network 64-32-10 with ReLU where nothing else is said, batches of 32, {} seeds; each table says what is \
         varied. Adam at a rate of 0.01, and of 0.003 in the first table, unless a table says how rates were chosen.",
        study.seeds().end
    ));
    let tests =
        [one_pass::test, one_weight::test, width::test, start::test, share::test, crossed::test, forward_pass::test];
    tests.into_iter().try_fold(part, |part, test| test(study, part))
}
