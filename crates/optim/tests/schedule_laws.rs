//! What every schedule promises, whatever its settings: rates within the bounds that were asked for, the values at its
//! ends and joins, no jump but where one is meant, and nothing remembered between calls.

use gradus_optim::{
    Cosine, CosineRestarts, Cyclic, Exponential, InverseSqrt, Join, MultiStep, OneCycle, Polynomial, RangeTest, Rate,
    RateSchedule, ReduceOnPlateau, StepDecay, WarmUp,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// A schedule with the least and the largest rate that its settings allow.
#[derive(Clone, Debug)]
struct Bounded {
    schedule: Rate,
    low: f64,
    high: f64,
}

fn bounded(schedule: impl RateSchedule, ends: [f64; 2]) -> Bounded {
    Bounded { schedule: Rate::new(schedule), low: ends[0].min(ends[1]), high: ends[0].max(ends[1]) }
}

fn rate() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![6 => 1e-6..2.0, 1 => Just(0.0), 1 => Just(1.0)]
}

fn steps() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![4 => 1..60_u64, 1 => 1..1_000_000_u64]
}

/// Any schedule but for those made of others.
fn simple() -> BoxedStrategy<Bounded> {
    let share = || prop_oneof![0.0..1.0, Just(1.0)];
    prop_oneof![
        rate().prop_map(|rate| bounded(rate, [rate, rate])),
        (rate(), steps(), rate())
            .prop_map(|(rate, steps, end)| bounded(Cosine::new(rate, steps).end(end), [rate, end])),
        (rate(), steps(), 1..4_u64, rate()).prop_map(|(rate, period, multiply, end)| {
            bounded(CosineRestarts::new(rate, period).multiply(multiply).end(end), [rate, end])
        }),
        (rate(), rate(), steps(), steps(), 0..3_u8, share()).prop_map(|(a, b, up, down, scale, gamma)| {
            let cyclic = Cyclic::new(a.min(b), a.max(b), up).down(down);
            let cyclic = match scale {
                0 => cyclic,
                1 => cyclic.halving(),
                _ => cyclic.exponential(gamma),
            };
            bounded(cyclic, [a, b])
        }),
        (rate(), share(), steps())
            .prop_map(|(rate, gamma, every)| bounded(Exponential::new(rate, gamma).every(every), [rate, 0.0])),
        (rate(), steps()).prop_map(|(rate, constant)| bounded(InverseSqrt::new(rate, constant), [rate, 0.0])),
        (rate(), vec(0..100_u64, 0..5), share())
            .prop_map(|(rate, at, gamma)| bounded(MultiStep::new(rate, at).gamma(gamma), [rate, 0.0])),
        (rate(), steps(), share(), 1.0..50.0, 1.0..1e4, any::<[bool; 2]>()).prop_map(
            |(high, steps, rise, first, last, [linear, three])| {
                let cycle = OneCycle::new(high, steps + 1).rise(rise * 0.99).divide(first, last);
                let cycle = if linear { cycle.linear() } else { cycle };
                let cycle = if three { cycle.three_phases() } else { cycle };
                bounded(cycle, [high, high / first / last])
            }
        ),
        (rate(), steps(), 0.0..3.0, rate()).prop_map(|(rate, steps, power, end)| {
            bounded(Polynomial::new(rate, steps).power(power).end(end), [rate, end])
        }),
        (rate(), steps(), share())
            .prop_map(|(rate, every, gamma)| bounded(StepDecay::new(rate, every).gamma(gamma), [rate, 0.0])),
    ]
    .boxed()
}

/// Any schedule, also after a warm-up or joined to another.
fn any_schedule() -> impl Strategy<Value = Bounded> {
    prop_oneof![
        6 => simple(),
        1 => (simple(), steps(), 0.0..1.0).prop_map(|(then, steps, from)| {
            bounded(WarmUp::new(steps, then.schedule).from(from), [0.0, then.high])
        }),
        1 => (simple(), steps(), simple()).prop_map(|(first, start, next)| {
            let ends = [first.low.min(next.low), first.high.max(next.high)];
            bounded(Join::new(first.schedule).then(start, next.schedule), ends)
        }),
    ]
}

/// Whether the numbers are equal but for the rounding of a few operations on numbers of that size.
fn close(a: f64, b: f64, size: f64) -> bool {
    (a - b).abs() <= 1e-12 * size
}

proptest! {
    #[test]
    fn rates_stay_between_those_that_were_asked_for(
        given in any_schedule(),
        done in prop_oneof![0..200_u64, 0..2_000_000_u64, any::<u64>(), Just(u64::MAX)],
    ) {
        let rate = given.schedule.at(done);
        let margin = 1e-12 * given.high;
        prop_assert!(rate >= 0.0 && given.low - margin <= rate && rate <= given.high + margin, "{rate} at {done}");
    }

    #[test]
    fn a_rate_depends_on_the_step_alone(given in any_schedule(), mut steps in vec(0..300_u64, 1..40)) {
        let rates = |steps: &[u64]| steps.iter().map(|&done| given.schedule.at(done).to_bits()).collect::<Vec<_>>();
        let mut before = rates(&steps);
        before.reverse();
        steps.reverse();
        prop_assert_eq!(rates(&steps), before);
    }

    #[test]
    fn a_decay_begins_at_its_rate_and_ends_at_its_end(
        (rate, end, steps, after) in (rate(), rate(), steps(), any::<u64>()),
        power in 0.01..4.0,
    ) {
        let size = rate.max(end);
        let line = Polynomial::new(rate, steps).end(end);
        let bent = Polynomial::new(rate, 2 * steps).power(power).end(end);
        prop_assert!(close(bent.at(steps) - end, (rate - end) * (-power).exp2(), size));
        let power = Polynomial::new(rate, steps).power(power).end(end);
        for decay in [Rate::new(Cosine::new(rate, steps).end(end)), Rate::new(line), Rate::new(power)] {
            prop_assert!(close(decay.at(0), rate, size));
            prop_assert!(close(decay.at(steps), end, size));
            prop_assert_eq!(decay.at(steps.saturating_add(after)), decay.at(steps));
            let middle: Vec<f64> = (0..=steps.min(100)).map(|done| decay.at(done)).collect();
            let towards = |pair: &[f64]| (pair[1] - pair[0]) * (end - rate) >= -1e-12 * size * size;
            prop_assert!(middle.windows(2).all(towards), "{middle:?}");
        }
    }

    /// The steepest slope of half a wave is π/2 times that of the line between its ends.
    #[test]
    fn waves_and_lines_have_no_jumps((a, b, up, down) in (rate(), rate(), 1..80_u64, 1..80_u64), rise in 0.1..0.45) {
        let (low, high) = (a.min(b), a.max(b));
        let steps = up + down + 20;
        // The first of the last two phases of a cycle ends where the second begins, at no step in general.
        let phase = rise * steps as f64 - 1.0;
        let cycle = |three: bool| {
            let cycle = OneCycle::new(high, steps).rise(rise);
            if three { cycle.three_phases() } else { cycle }
        };
        let shortest = |three: bool| {
            let rest = (steps - 1) as f64 - if three { 2.0 * phase } else { phase };
            rest.min(phase)
        };
        let wave = std::f64::consts::FRAC_PI_2;
        let cases = [
            (Rate::new(Cosine::new(a, up).end(b)), wave / up as f64),
            (Rate::new(Polynomial::new(a, up).end(b)), 1.0 / up as f64),
            (Rate::new(Cyclic::new(low, high, up).down(down)), 1.0 / up.min(down) as f64),
            (Rate::new(WarmUp::new(up, Cosine::new(high, down))), wave / up.min(down) as f64),
            (Rate::new(Join::new(Polynomial::new(0.0, up).end(high)).then(up, high)), 1.0 / up as f64),
            (Rate::new(InverseSqrt::new(high, up)), 1.0 / up as f64),
            (Rate::new(cycle(false)), wave / shortest(false).max(1.0)),
            (Rate::new(cycle(true)), wave / shortest(true).max(1.0)),
        ];
        for (number, (schedule, slope)) in cases.into_iter().enumerate() {
            for done in 0..2 * steps {
                let change = (schedule.at(done + 1) - schedule.at(done)).abs();
                prop_assert!(change <= high * slope * (1.0 + 1e-9) + 1e-12, "case {number} at {done}: {change}");
            }
        }
    }

    #[test]
    fn a_warm_up_rises_in_a_line_and_then_gives_way(
        then in simple(),
        (steps, from, later) in (steps(), 0.0..1.0, 0..1000_u64),
    ) {
        let warm_up = WarmUp::new(steps, then.schedule.clone()).from(from);
        let first = then.schedule.at(0);
        prop_assert!(close(warm_up.at(0), from * first, first));
        prop_assert_eq!(warm_up.at(steps), first);
        prop_assert_eq!(warm_up.at(steps + later), then.schedule.at(later));
        let rise = |done: u64| warm_up.at(done + 1) - warm_up.at(done);
        prop_assert!((0..steps.min(50)).all(|done| close(rise(done), first * (1.0 - from) / steps as f64, first)));
    }

    #[test]
    fn joined_schedules_count_from_their_own_beginnings(
        parts in vec((1..50_u64, simple()), 1..5),
        after in 0..100_u64,
    ) {
        let (_, first) = &parts[0];
        let (mut join, mut start) = (Join::new(first.schedule.clone()), 0);
        let mut starts = vec![(0, first)];
        for (gap, part) in &parts[1..] {
            start += gap;
            join = join.then(start, part.schedule.clone());
            starts.push((start, part));
        }
        for pair in starts.windows(2) {
            let [(from, part), (to, _)] = pair else { unreachable!("windows of two") };
            for done in *from..*to {
                prop_assert_eq!(join.at(done), part.schedule.at(done - from));
            }
        }
        let (start, last) = starts[starts.len() - 1];
        prop_assert_eq!(join.at(start + after), last.schedule.at(after));
    }

    /// Restarts come after `period`, `period·(1 + multiply)`, … steps; in between the rate only falls.
    #[test]
    fn restarts_begin_again_at_the_rate((rate, period, multiply) in (1e-6..2.0, 1..20_u64, 1..4_u64)) {
        let restarts = CosineRestarts::new(rate, period).multiply(multiply);
        let (mut start, mut length) = (0, period);
        for _ in 0..5 {
            prop_assert!(close(restarts.at(start), rate, rate));
            for done in start + 1..start + length {
                prop_assert!(restarts.at(done) < restarts.at(done - 1));
            }
            start += length;
            length *= multiply;
        }
    }

    #[test]
    fn a_triangle_has_its_ends_at_its_corners((low, height, up, down, cycle) in (rate(), rate(), 1..50_u64, 1..50_u64, 0..9_u64)) {
        let high = low + height;
        let start = cycle * (up + down);
        let triangle = Cyclic::new(low, high, up).down(down);
        prop_assert!(close(triangle.at(start), low, high) && close(triangle.at(start + up), high, high));
        // The peak of each cycle is half as high as that of the one before.
        let halving = triangle.clone().halving();
        let peak = |cycle: u64| halving.at(cycle * (up + down) + up) - low;
        prop_assert!(close(peak(cycle), 2.0 * peak(cycle + 1), high));
        let fading = triangle.exponential(0.9);
        prop_assert!(close(fading.at(start + up) - low, height * 0.9_f64.powi((start + up) as i32), high));
    }

    #[test]
    fn a_cycle_rises_once_and_ends_after_its_steps(
        (high, steps, rise) in (1e-3..2.0, 10..300_u64, 0.2..0.4),
        (first, last) in (2.0..50.0, 2.0..1e4),
        [linear, three] in any::<[bool; 2]>(),
    ) {
        let cycle = OneCycle::new(high, steps).rise(rise).divide(first, last);
        let cycle = if linear { cycle.linear() } else { cycle };
        let cycle = if three { cycle.three_phases() } else { cycle };
        prop_assert!(close(cycle.at(0), high / first, high));
        prop_assert!(close(cycle.at(steps - 1), high / first / last, high));
        prop_assert_eq!(cycle.at(steps + 1000), cycle.at(steps - 1));
        let rates: Vec<f64> = (0..steps).map(|done| cycle.at(done)).collect();
        let top = (0..rates.len()).max_by(|&a, &b| rates[a].total_cmp(&rates[b])).expect("there are steps");
        prop_assert!((top as f64 - (rise * steps as f64 - 1.0)).abs() <= 1.0, "the top is at {top}");
        prop_assert!(rates[..=top].is_sorted() && rates[top..].is_sorted_by(|a, b| a >= b), "{rates:?}");
    }

    #[test]
    fn a_decay_by_factors_multiplies_at_its_intervals(
        (rate, gamma, every, interval, within) in (rate(), 0.0..1.5, 1..40_u64, 0..20_u64, 0..40_u64),
    ) {
        let within = within % every;
        let (stairs, slope) = (StepDecay::new(rate, every).gamma(gamma), Exponential::new(rate, gamma).every(every));
        let milestones = MultiStep::new(rate, (1..=40).rev().map(|number| number * every)).gamma(gamma);
        let (start, next) = (interval * every, (interval + 1) * every);
        let size = rate * gamma.max(1.0).powi(21);
        prop_assert_eq!(stairs.at(start + within), stairs.at(start));
        prop_assert_eq!(milestones.at(start + within), stairs.at(start + within));
        prop_assert!(close(stairs.at(next), gamma * stairs.at(start), size));
        prop_assert!(close(slope.at(start + within + every), gamma * slope.at(start + within), size));
        prop_assert!(close(slope.at(start), stairs.at(start), size));
        prop_assert_eq!((slope.at(0), stairs.at(0)), (rate, rate));
        // Over a shorter distance as well the rate falls by the same factor everywhere.
        let [first, middle, last] = [0, 1, 2].map(|more| slope.at(start + within + more));
        prop_assert!(close(middle * middle, first * last, size * size));
    }

    #[test]
    fn an_inverse_root_halves_when_steps_are_four_times_as_many((rate, constant, done) in (rate(), steps(), steps())) {
        let root = InverseSqrt::new(rate, constant);
        prop_assert!(root.at(done.min(constant)) == rate && root.at(0) == rate);
        prop_assert!(close(root.at(4 * (constant + done)), root.at(constant + done) / 2.0, rate));
    }

    #[test]
    fn a_range_test_goes_from_the_least_to_the_largest_rate((low, factor, steps) in (1e-8..1.0, 1.5..1e6, 2..500_u64)) {
        let test = RangeTest::new(low, low * factor, steps);
        prop_assert!(close(test.at(0), low, low) && close(test.at(steps - 1), low * factor, low * factor));
        let ratio = |done: u64| test.at(done + 1) / test.at(done);
        prop_assert!((1..steps - 1).all(|done| (ratio(done) - ratio(0)).abs() < 1e-9 * ratio(0)));
        let curve = test.run(|| Ok::<f64, ()>(1.0)).expect("the loss is given");
        prop_assert_eq!(curve.points.len() as u64, steps);
    }

    /// The factor falls only, by γ at a time, not below the least, and not before `patience` values in a row were no
    /// better than the best.
    #[test]
    fn a_watch_cuts_only_after_its_patience(
        metrics in vec(prop_oneof![5 => 0.0..10.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)], 1..80),
        (gamma, patience, cooldown, least) in (0.05..0.95, 0..5_u64, 0..4_u64, 0.0..0.5),
    ) {
        let mut watch = ReduceOnPlateau::new().gamma(gamma).patience(patience).cooldown(cooldown).least(least).eps(0.0);
        let (mut factor, mut best, mut without) = (1.0, f64::INFINITY, 0);
        for metric in metrics {
            let now = watch.report(metric);
            // By the default threshold a better value is better by a ten-thousandth.
            let is_better = metric < best * (1.0 - 1e-4) || (best == f64::INFINITY && metric < best);
            (best, without) = if is_better { (metric, 0) } else { (best, without + 1) };
            prop_assert!(now == factor || close(now, (factor * gamma).max(least), 1.0), "{factor}, then {now}");
            prop_assert!(now <= factor && now >= least.min(factor));
            if now < factor {
                prop_assert!(without > patience, "cut after {without} values");
                without = 0;
            }
            factor = now;
        }
    }
}
