//! A run that is saved in the middle, and resumed in a new process, continues bit for bit: for every rule.

use std::path::{Path, PathBuf};
use std::process::Command;

use gradus_graph::{Param, Params, Real, Tensor};
use gradus_nn::{BatchNorm, Dense, Dropout, GaussianNoise, Layer, Mode, Relu, loss};
use gradus_optim::*;
use gradus_train::{Function, Step, checkpoint};

const STEPS: u64 = 12;
const SAVED: u64 = 7;
const FOLDER: &str = "GRADUS_RESUME_FOLDER";

/// Every rule under its name, and what composes with rules.
fn rules<T: Real>() -> Vec<(&'static str, Optimizer<T>)> {
    vec![
        ("AdaBelief", Optimizer::new(AdaBelief::new(0.05))),
        ("Adadelta", Optimizer::new(Adadelta::new(1.0))),
        ("Adafactor", Optimizer::new(Adafactor::new(0.05))),
        ("Adagrad", Optimizer::new(Adagrad::new(0.05).lr_decay(1e-3))),
        ("Adam", Optimizer::new(Adam::new(0.05))),
        ("Adamax", Optimizer::new(Adamax::new(0.05))),
        ("AdamW", Optimizer::new(AdamW::new(0.05))),
        ("AmsGrad", Optimizer::new(AmsGrad::new(0.05))),
        ("Asgd", Optimizer::new(Asgd::new(0.05).decay(0.1).start(3))),
        ("DAdaptAdam", Optimizer::new(DAdaptAdam::new(1.0))),
        ("DAdaptSgd", Optimizer::new(DAdaptSgd::new(1.0).momentum(0.9))),
        ("Lamb", Optimizer::new(Lamb::new(0.05))),
        ("Lars", Optimizer::new(Lars::new(0.05))),
        ("Lion", Optimizer::new(Lion::new(0.01))),
        ("Muon", Optimizer::new(Muon::new(0.05))),
        ("NAdam", Optimizer::new(NAdam::new(0.05))),
        ("NovoGrad", Optimizer::new(NovoGrad::new(0.05))),
        ("Prodigy", Optimizer::new(Prodigy::new(1.0))),
        ("RAdam", Optimizer::new(RAdam::new(0.05))),
        ("RmsProp", Optimizer::new(RmsProp::new(0.01).centred().momentum(0.9))),
        ("Rprop", Optimizer::new(Rprop::new(0.01))),
        ("ScheduleFreeAdamW", Optimizer::new(ScheduleFreeAdamW::new(0.05))),
        ("ScheduleFreeSgd", Optimizer::new(ScheduleFreeSgd::new(0.05))),
        ("Sgd", Optimizer::new(Sgd::new(0.05).momentum(0.9).nesterov())),
        ("Shampoo", Optimizer::new(Shampoo::new(0.05).every(3))),
        ("SignSgd", Optimizer::new(SignSgd::new(0.01).momentum(0.9))),
        ("Soap", Optimizer::new(Soap::new(0.05).every(2))),
        ("Sophia", Optimizer::new(Sophia::new(0.05))),
        ("Yogi", Optimizer::new(Yogi::new(0.05))),
        ("schedules", Optimizer::new(Sgd::new(WarmUp::new(5, CosineRestarts::new(0.1, 4))))),
        ("averages", Optimizer::new((Adam::new(0.05), Lookahead::new().every(4), Average::swa(2, 3)))),
        (
            "noise",
            Optimizer::new((AddNoise::new(0.1, 5), LossScale::dynamic().start(2.0).growth(2.0, 5), Adam::new(0.05))),
        ),
        (
            "groups",
            Optimizer::new((
                ClipGlobalNorm::new(1.0),
                Group::new(|name| name.ends_with("bias"), Sgd::new(0.05).momentum(0.5)),
                Group::rest(Adam::new(0.05)),
                Average::ema(0.9),
            )),
        ),
    ]
}

/// A training run.
struct Run<T: Real> {
    params: Params<T>,
    list: [Param; 2],
    optimizer: Optimizer<T>,
    parts: Accumulator<T>,
    plateau: ReduceOnPlateau,
}

impl<T: Real> Run<T> {
    fn new(optimizer: Optimizer<T>) -> Self {
        let mut params = Params::new(0);
        let wave = |k: usize| T::of((1.7 * k as f64 + 0.3).sin());
        let list = params.scope("layer", |params| {
            [params.add("weight", Tensor::from_fn([4, 3], wave)), params.add("bias", Tensor::from_fn([3], wave))]
        });
        let plateau = ReduceOnPlateau::new().gamma(0.5).patience(1);
        Self { params, list, optimizer, parts: Accumulator::new(), plateau }
    }

    /// Goes from one step to another. Each step takes two parts; a run is saved between the two.
    fn steps(&mut self, from: u64, to: u64) {
        for step in from..to {
            if step > from || from == 0 {
                self.add(step, 0);
            }
            if step + 1 == to && to < STEPS {
                return;
            }
            self.add(step, 1);
            self.parts.step(&mut self.optimizer, &mut self.params).expect("the step is made");
            self.optimizer.scale_rate(self.plateau.report(1.0 / (step / 3 + 1) as f64 + 0.1 * (step % 3) as f64));
        }
    }

    fn add(&mut self, step: u64, part: u64) {
        let slope = |x: &T, k: usize| *x - T::of((step as f64 + 3.0 * part as f64 + k as f64).cos());
        let gradients = self.list.each_ref().map(|param| {
            let value = self.params.get(param);
            Tensor::from_fn(param.shape(), |k| slope(&value.data()[k], k))
        });
        if step.is_multiple_of(4) {
            let curvature = gradients.each_ref().map(|gradient| gradient.map(|g| *g * *g));
            self.optimizer.observe(&self.params, self.list.iter().zip(&curvature)).expect("the tensors are right");
        }
        let weight = (part + 1) as f64;
        self.parts.add(&self.params, self.list.iter().zip(&gradients), weight).expect("the gradients are right");
    }

    fn save(&self, path: &Path) {
        let parts: [(&str, &dyn Stateful<T>); 3] =
            [("optimizer", &self.optimizer), ("parts", &self.parts), ("plateau", &self.plateau)];
        checkpoint::save(path, &self.params, &parts).expect("the checkpoint can be written");
    }

    fn load(&mut self, path: &Path) {
        let mut parts: [(&str, &mut dyn Stateful<T>); 3] =
            [("optimizer", &mut self.optimizer), ("parts", &mut self.parts), ("plateau", &mut self.plateau)];
        checkpoint::load(path, &mut self.params, &mut parts).expect("the checkpoint can be read");
    }
}

fn file<T: Real>(folder: &Path, rule: &str, when: &str) -> PathBuf {
    folder.join(format!("{rule}.{}.{when}", T::NAME))
}

/// What the first process does: the whole run, saved on the way and at its end.
fn whole<T: Real>(folder: &Path) {
    for (rule, optimizer) in rules::<T>() {
        let mut run = Run::new(optimizer);
        run.steps(0, SAVED);
        run.save(&file::<T>(folder, rule, "middle"));
        run.steps(SAVED - 1, STEPS);
        run.save(&file::<T>(folder, rule, "end"));
    }
}

/// What the second process does: from the middle to the end.
fn resumed<T: Real>(folder: &Path) {
    for (rule, optimizer) in rules::<T>() {
        let mut run = Run::new(optimizer);
        run.load(&file::<T>(folder, rule, "middle"));
        run.steps(SAVED - 1, STEPS);
        run.save(&file::<T>(folder, rule, "resumed"));
    }
}

#[test]
fn a_run_goes_on_bit_for_bit_in_a_new_process() {
    if let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) {
        resumed::<f32>(&folder);
        return resumed::<f64>(&folder);
    }
    let folder = std::env::temp_dir().join(format!("gradus-resume-{}", std::process::id()));
    whole::<f32>(&folder);
    whole::<f64>(&folder);
    let program = std::env::current_exe().expect("the test has a file");
    let test = ["--exact", "a_run_goes_on_bit_for_bit_in_a_new_process"];
    let child = Command::new(program).args(test).env(FOLDER, &folder).output().expect("a process can be started");
    assert!(
        child.status.success(),
        "{}{}",
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr)
    );
    let read = |path: PathBuf| std::fs::read(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
    for (rule, _) in rules::<f32>() {
        let same = read(file::<f32>(&folder, rule, "end")) == read(file::<f32>(&folder, rule, "resumed"))
            && read(file::<f64>(&folder, rule, "end")) == read(file::<f64>(&folder, rule, "resumed"));
        assert!(same, "{rule}: the resumed run ends otherwise");
        let moved = read(file::<f64>(&folder, rule, "end")) != read(file::<f64>(&folder, rule, "middle"));
        assert!(moved, "{rule}: nothing happened between the middle and the end");
    }
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}

/// What the dropout and the noise of a model draw belongs to the run, as the state of the optimizer does.
#[test]
fn a_run_with_dropout_noise_schedule_and_averages_goes_on_bit_for_bit() {
    const STEPS: u64 = 9;
    let path = std::env::temp_dir().join(format!("gradus-dropout-{}", std::process::id()));
    let batches: Vec<(Tensor<f32>, Tensor<i64>)> = (0..STEPS as usize)
        .map(|batch| {
            let x = Tensor::from_fn([6, 5], |k| ((31 * batch + k) as f32 * 0.7).sin());
            (x, Tensor::from_fn([6], |k| ((k + batch) % 3) as i64))
        })
        .collect();
    // Runs the steps from the one to the other, after loading what is saved or before saving it; gives all bits at the
    // end.
    let run = |seed: u64, from: u64, to: u64| {
        let mut params: Params = Params::new(seed);
        let model = (
            GaussianNoise::new(0.1),
            Dense::new(&mut params, "hidden", 5, 8),
            BatchNorm::new(&mut params, "norm", 8),
            Relu,
            Dropout::new(0.4),
            Dense::new(&mut params, "output", 8, 3),
        );
        let mut step = Step::new(|_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y)).seed(seed);
        let rule = (Adam::new(WarmUp::new(3, CosineRestarts::new(0.05, 4))), Average::ema(0.9));
        let mut optimizer = Optimizer::new(rule);
        // What noise an evaluation draws, here one sample a step, is a part of the run as well.
        let mut sample = Function::new(|graph, []| [graph.normal([3])]).seed(seed);
        if from > 0 {
            let parts: &mut [(&str, &mut dyn Stateful<f32>)] =
                &mut [("step", &mut step), ("optimizer", &mut optimizer), ("sample", &mut sample)];
            checkpoint::load(&path, &mut params, parts).expect("the checkpoint can be read");
        }
        let mut bits = Vec::new();
        for (x, classes) in &batches[from as usize..to as usize] {
            let gradients = step.run(&mut params, (x, classes)).expect("the step runs");
            bits = vec![gradients.loss().to_bits()];
            optimizer.step(&mut params, &gradients).expect("the gradients are finite");
            bits.extend(sample.run(&params, ()).expect("it runs")[0].real().data().iter().map(|x| x.to_bits()));
        }
        let parts: &[(&str, &dyn Stateful<f32>)] = &[("step", &step), ("optimizer", &optimizer), ("sample", &sample)];
        checkpoint::save(&path, &params, parts).expect("the checkpoint can be written");
        assert_eq!((step.position(), sample.position()), (to, to));
        (bits, std::fs::read(&path).expect("the file is there"))
    };
    let whole = run(4, 0, STEPS);
    for saved in 1..STEPS {
        run(4, 0, saved);
        // The seed of the resumed run is that of the file.
        assert!(run(5, saved, STEPS) == whole, "saved after {saved} steps");
    }
    assert!(run(5, 0, STEPS) != whole);
    std::fs::remove_file(&path).expect("the file can be removed");
}

#[test]
fn where_the_random_numbers_stand_is_taken_whole_or_not_at_all() {
    let params: Params = Params::new(0);
    let mut step = Step::new(|graph, []| graph.normal([]).sum()).seed(8);
    step.set_position(5);
    let saved: SavedState<f32> = step.state();
    assert_eq!((saved.counts["seed"], saved.counts["position"], saved.counts.len()), (8, 5, 2));
    let mut wrong = saved.clone();
    wrong.counts.remove("seed");
    wrong.numbers.insert("rate_factor".to_owned(), 1.0);
    let error = step.restore(&params, &wrong).expect_err("it does not fit");
    assert_eq!(
        (&error.missing[..], &error.unexpected[..]),
        (&["seed".to_owned()][..], &["rate_factor".to_owned()][..])
    );
    assert_eq!(step.state(), saved);
    let mut other = Function::new(|graph, []| [graph.normal([])]);
    other.restore(&params, &saved).expect("it fits");
    assert_eq!(Stateful::<f32>::state(&other), saved);
}

#[test]
fn no_rule_is_left_out() {
    let index = include_str!("../../optim/src/rules/mod.rs");
    let names: Vec<&str> = rules::<f32>().into_iter().map(|(name, _)| name).collect();
    for line in index.lines().filter_map(|line| line.strip_prefix("pub use ")) {
        let rule = line.trim_end_matches(';').rsplit(':').next().expect("a path has an end");
        assert!(names.contains(&rule), "{rule} is not resumed by this test");
    }
}
