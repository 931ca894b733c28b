//! After its first step an optimizer allocates nothing.

use gradus_graph::check::CountingAllocator;
use gradus_graph::{Params, Tensor};
use gradus_optim::{
    Adafactor, Adam, AddNoise, Average, Centralize, ClipAdaptive, ClipGlobalNorm, ClipNorm, Cosine, DAdaptSgd,
    DecayWeights, Group, Lamb, Lookahead, LossScale, Momentum, Muon, NAdam, NovoGrad, Optimizer, Part, Prodigy,
    RmsProp, ScheduleFreeAdamW, Sgd, Shampoo, Soap, WarmUp,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// The number of allocations in ten steps after the first. What other threads of the program allocate meanwhile, as
/// they start, does not repeat itself: so the least of five times ten.
fn allocations(rule: impl Part, len: usize) -> usize {
    let mut params: Params<f32> = Params::new(0);
    let list = [
        params.add("x", Tensor::full([len], 1.0)),
        params.add("y", Tensor::full([7], 1.0)),
        params.add("matrix", Tensor::full([9, 20], 1.0)),
    ];
    let wave = Tensor::from_fn([9, 20], |k| (k as f32).sin());
    let gradients = [Tensor::full([len], 0.5), Tensor::full([7], 0.25), wave];
    let mut optimizer = Optimizer::new(rule);
    let mut step = || optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
    step();
    let mut ten_steps = || {
        let before = CountingAllocator::allocations_of_all_threads();
        (0..10).for_each(|_| step());
        CountingAllocator::allocations_of_all_threads() - before
    };
    (0..5).map(|_| ten_steps()).min().expect("five is more than none")
}

/// The only test of this program, so that no other allocates meanwhile.
#[test]
fn steps_allocate_nothing() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads can be started");
    // Each thread has taken work from the other before the count: the first time costs the pool memory.
    let both = std::sync::Barrier::new(2);
    pool.install(|| rayon::join(|| both.wait(), || both.wait()));
    pool.install(|| rayon::join(|| rayon::join(|| both.wait(), || ()), || rayon::join(|| both.wait(), || ())));
    for len in [100, 100_000] {
        let count = |allocations: usize, rule: &str| assert_eq!(allocations, 0, "{rule} with {len} elements");
        pool.install(|| {
            count(allocations(Adam::new(1e-3), len), "Adam");
            count(allocations((ClipGlobalNorm::new(1.0), DecayWeights::new(0.1), Sgd::new(0.1)), len), "clipped SGD");
            count(allocations(RmsProp::new(1e-3).centred().momentum(0.9), len), "RMSprop");
            count(allocations((Momentum::new(0.9), ClipGlobalNorm::new(1.0), Sgd::new(0.1)), len), "two passes");
            count(allocations(Prodigy::new(1.0), len), "Prodigy");
            count(allocations(DAdaptSgd::new(1.0), len), "D-Adaptation");
            count(allocations(NovoGrad::new(1e-3), len), "NovoGrad");
            let noisy = (LossScale::dynamic(), AddNoise::new(0.1, 1), Centralize, ClipAdaptive::new(0.1));
            count(allocations((noisy, ClipNorm::new(1.0), Sgd::new(0.1)), len), "transforms before a rule");
            let groups = (
                Group::new(|name| name == "y", Sgd::new(WarmUp::new(5, Cosine::new(0.1, 100)))),
                Group::rest(Adam::new(1e-3)),
            );
            count(allocations((groups, Lookahead::new(), Average::ema(0.9)), len), "transforms after groups");
            count(allocations(NAdam::new(1e-3), len), "NAdam");
            count(allocations(Lamb::new(1e-3), len), "LAMB");
            count(allocations(ScheduleFreeAdamW::new(1e-3), len), "schedule-free AdamW");
            count(allocations(Adafactor::new(1e-3), len), "Adafactor");
            count(allocations(Muon::new(1e-3), len), "Muon");
            count(allocations(Shampoo::new(1e-3), len), "Shampoo");
            count(allocations(Soap::new(1e-3).every(2), len), "SOAP");
        });
    }
}
