//! A trainer does what the loop that it replaces does, bit for bit, whether or not it is interrupted.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::path::PathBuf;

use gradus_data::{Dataset, Split, digits};
use gradus_graph::{Params, Tensor};
use gradus_nn::{BatchNorm, Dense, Dropout, Layer, Mode, Relu, loss};
use gradus_optim::{Accumulator, Adam, ClipGlobalNorm, Cosine, Optimizer, ReduceOnPlateau, ScheduleFree, Sgd};
use gradus_train::logs::{CsvLog, Logger};
use gradus_train::metrics::{Accuracy, Mse};
use gradus_train::{Checkpoints, EarlyStopping, Ending, Evaluation, Event, Step, TrainError, Trainer};

type Model = (Dense, BatchNorm, Relu, Dropout, Dense);

fn model() -> (Params, Model) {
    let mut params: Params = Params::new(3);
    let hidden = Dense::new(&mut params, "hidden", 64, 16);
    let norm = BatchNorm::new(&mut params, "norm", 16);
    let output = Dense::new(&mut params, "output", 16, 10);
    (params, (hidden, norm, Relu, Dropout::new(0.3), output))
}

/// A few digits, so that a run takes a moment.
fn data() -> Split {
    let few = digits::load().reshaped([64]).train.select(&(0..180).collect::<Vec<_>>());
    few.split(40, 1)
}

fn bits(params: &Params) -> Vec<u32> {
    params.iter().flat_map(|(_, value)| value.data().iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect()
}

fn rule() -> (ClipGlobalNorm, Adam) {
    (ClipGlobalNorm::new(1.0), Adam::new(Cosine::new(0.01, 20)))
}

#[test]
fn a_trainer_is_the_open_loop() {
    let Split { train, test } = data();
    let (mut params, model) = model();
    let mut step = Step::new(|_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y)).seed(5);
    let mut optimizer = Optimizer::new(rule());
    let (mut accumulator, mut losses) = (Accumulator::new(), Vec::new());
    for epoch in 0..3 {
        let (mut sum, mut rows) = (0.0, 0);
        for (number, batch) in train.batches(32).shuffled(7, epoch).enumerate() {
            let gradients = step.run(&mut params, (&batch.inputs, &batch.targets)).expect("it runs");
            sum += f64::from(gradients.loss()) * batch.len() as f64;
            rows += batch.len();
            accumulator.add(&params, &gradients, batch.len() as f64).expect("they fit");
            // Five batches an epoch: two, two and one.
            if number % 2 == 1 || number == 4 {
                accumulator.step(&mut optimizer, &mut params).expect("it steps");
            }
        }
        losses.push(sum / rows as f64);
    }
    let (mut trained, model) = self::model();
    let evaluation = Evaluation::new(|_, [x, y]| {
        let logits = model.forward_in(x, Mode::Eval);
        [loss::cross_entropy(logits, y), logits]
    });
    let mut trainer = Trainer::new(rule(), |_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y))
        .seed(5)
        .epochs(3)
        .accumulate(2)
        .validation(evaluation.metric(Accuracy::new()), || test.batches(17));
    let history = trainer.fit(&mut trained, |epoch| train.batches(32).shuffled(7, epoch)).expect("it trains");
    assert_eq!(history.column("loss"), losses);
    assert_eq!(history.ending(), Some(Ending::Finished));
    assert_eq!(bits(&trained), bits(&params));
    // The validation is that of all rows at once.
    let mut whole = Evaluation::new(|_, [x, y]| {
        let logits = model.forward_in(x, Mode::Eval);
        [loss::cross_entropy(logits, y), logits]
    })
    .metric(Accuracy::new());
    let scores = whole.run(&trained, [test.full_batch()]).expect("it runs");
    assert_eq!(history.last("validation accuracy"), scores.get("accuracy"));
    assert!((history.last("validation loss") - scores.get("loss")).abs() < 1e-6, "{history}\n{scores}");
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("gradus-trainer-{name}-{}", std::process::id())))
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the folder is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("it is read").file_name().into_string().expect("it is text")).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The folder of temporary files is cleared in the end whatever becomes of this.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs until `stop` batches are done in this process; returns the bits of the end, or nothing if it was interrupted.
fn run(folder: &Folder, stop: u64) -> Option<(Vec<u32>, String)> {
    let Split { train, test } = data();
    let (mut params, model) = model();
    let done = Cell::new(0);
    let evaluation = Evaluation::new(|_, [x, y]| {
        let logits = model.forward_in(x, Mode::Eval);
        [loss::cross_entropy(logits, y), logits]
    });
    let mut trainer = Trainer::new(rule(), |_, [x, y]| loss::cross_entropy(model.forward_in(x, Mode::Train), y))
        .epochs(6)
        .accumulate(2)
        .validation(evaluation.metric(Accuracy::new()), || test.batches(40))
        .reduce_on_plateau("validation loss", ReduceOnPlateau::new().patience(0).gamma(0.5))
        .early_stopping(EarlyStopping::new("validation accuracy", 1))
        .checkpoints(Checkpoints::new(&folder.0).every_epochs(2).every_steps(3).keep(2))
        .stop_when(|| {
            done.set(done.get() + 1);
            done.get() == stop
        });
    trainer.resume(&mut params).expect("the checkpoint fits");
    let history = trainer.fit(&mut params, |epoch| train.batches(32).shuffled(7, epoch)).expect("it trains");
    let text = history.to_csv();
    match history.ending() {
        Some(Ending::Interrupted) => None,
        _ => Some((bits(&params), text)),
    }
}

#[test]
fn an_interrupted_run_ends_as_one_that_was_not() {
    let undisturbed = Folder::new("undisturbed");
    let whole = run(&undisturbed, u64::MAX).expect("nothing stops it");
    assert!(whole.1.lines().count() > 3, "{}", whole.1);
    for stop in [1, 2, 3, 5, 7] {
        let folder = Folder::new(&format!("every-{stop}"));
        let mut parts = 1;
        let end = loop {
            match run(&folder, stop) {
                Some(end) => break end,
                None if parts < 100 => parts += 1,
                None => panic!("the run makes no progress"),
            }
        };
        assert!(parts > 2, "it was never interrupted");
        assert_eq!(end, whole, "interrupted after each {stop} batches");
        assert_eq!(folder.names().last(), undisturbed.names().last());
    }
}

#[test]
fn the_latest_checkpoints_and_the_best_are_kept() {
    let folder = Folder::new("kept");
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    // The loss falls, then rises: the target moves away from the third epoch on.
    let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [t]| (graph.param(&w) - t).square())
        .epochs(10)
        .early_stopping(EarlyStopping::new("loss", 2))
        .checkpoints(Checkpoints::new(&folder.0).keep(2));
    let target = |epoch: u64| if epoch < 3 { 0.0 } else { epoch as f64 * 10.0 };
    let history = trainer.fit(&mut params, |epoch| [Tensor::scalar(target(epoch))]).expect("it trains");
    assert_eq!(history.ending(), Some(Ending::Stopped));
    assert_eq!(history.column("loss")[..3], [1.0, 0.25, 0.0625]);
    assert_eq!(history.epochs(), 6);
    assert_eq!(params.get(&w).item(), 0.125);
    assert_eq!(folder.names(), ["best.safetensors", "step-0000000005.safetensors", "step-0000000006.safetensors"]);
    let mut best = params.clone();
    best.set(&w, Tensor::scalar(0.0));
    gradus_train::weights::load(Checkpoints::new(&folder.0).best(), &mut best).expect("it is read");
    assert_eq!(best.get(&w).item(), 0.125);
}

#[test]
fn averaged_parameters_are_evaluated() {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let evaluation = Evaluation::new(|graph, [t]| [(graph.param(&w) - t).square(), graph.param(&w) * 1.0]);
    let mut trainer = Trainer::new((Sgd::new(0.25), ScheduleFree::new()), |graph, [t]| (graph.param(&w) - t).square())
        .epochs(4)
        .validation(evaluation, || [Tensor::scalar(0.0)]);
    let history = trainer.fit(&mut params, |_| [Tensor::scalar(0.0)]).expect("it trains").clone();
    let averaged = trainer.optimizer().averaged(&params).get(&w).item();
    assert_ne!(averaged, params.get(&w).item());
    assert_eq!(history.last("validation loss"), averaged * averaged);
}

/// A trainer of one number, for what goes wrong.
fn fit<B: gradus_train::BatchInputs<f64, 1>>(batches: impl Fn(u64) -> Vec<B>) -> Result<f64, TrainError> {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [x]| (graph.param(&w) * x).sum()).epochs(3);
    trainer.fit(&mut params, batches)?;
    Ok(params.get(&w).item())
}

#[test]
fn an_error_says_where_the_run_was() {
    let nan = fit(|epoch| vec![Tensor::scalar(1.0), Tensor::scalar(if epoch == 1 { f64::NAN } else { 1.0 })]);
    let error = nan.expect_err("a gradient is NaN");
    assert_eq!((error.epoch(), error.batch()), (Some(1), Some(1)));
    assert_eq!(
        error.to_string(),
        "epoch 2, batch 2: the gradient of `w` is NaN at [] in step 4; no parameter was changed"
    );
    let broken = fit(|_| vec![Ok(Tensor::scalar(1.0)), Err("rows.csv: line 7 has two columns")]);
    assert_eq!(broken.expect_err("the data end").to_string(), "epoch 1, batch 2: rows.csv: line 7 has two columns");
    let none = fit(|epoch| vec![Tensor::scalar(1.0); if epoch == 2 { 0 } else { 1 }]);
    assert_eq!(none.expect_err("there is nothing").to_string(), "epoch 3, batch 1: the iterator gave no batch");
}

#[test]
fn a_column_that_is_not_there_is_refused_before_the_first_batch() {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [x]| graph.param(&w) * x)
        .early_stopping(EarlyStopping::new("validation loss", 1));
    let error = trainer.fit(&mut params, |_| [Tensor::scalar(1.0)]).expect_err("there is no validation");
    assert_eq!(
        error.to_string(),
        "`Trainer::early_stopping` watches `validation loss`, which the history does not have; it has `loss`, \
         `learning rate`"
    );
    assert_eq!((error.epoch(), params.get(&w).item()), (None, 1.0));
    let error = trainer.resume(&mut params).expect_err("there is no folder");
    assert_eq!(error.to_string(), "`Trainer::resume` needs the folder that `Trainer::checkpoints` takes");
}

#[test]
fn events_come_in_their_order() {
    let seen = RefCell::new(Vec::new());
    let folder = Folder::new("events");
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [x]| graph.param(&w) * x)
        .epochs(3)
        .batches_per_epoch(2)
        .checkpoints(Checkpoints::new(&folder.0))
        .on_event(|event| {
            let text = match event {
                Event::EpochStart { epoch, batches, .. } => format!("epoch {epoch} of {batches:?}"),
                Event::Gradients { batch, gradients, params, .. } => {
                    format!("gradients {batch} loss {} w {}", gradients.loss(), params.get(&w).item())
                }
                Event::Step { step, loss, params, .. } => {
                    format!("step {step} loss {loss} w {}", params.get(&w).item())
                }
                Event::EpochEnd { epoch, history, .. } => format!("end of {epoch} loss {}", history.last("loss")),
                Event::Checkpoint { step, .. } => format!("checkpoint {step}"),
                Event::End { ending, .. } => format!("{ending:?}"),
                _ => "another".to_owned(),
            };
            seen.borrow_mut().push(text);
            match event {
                Event::Step { step: 3, .. } => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
    // An iterator without an end.
    trainer.fit(&mut params, |_| std::iter::repeat(Tensor::scalar(1.0))).expect("it trains");
    drop(trainer);
    assert_eq!(
        seen.into_inner(),
        [
            "epoch 0 of Some(2)",
            "gradients 0 loss 1 w 1",
            "step 1 loss 1 w 0.75",
            "gradients 1 loss 0.75 w 0.75",
            "step 2 loss 0.75 w 0.5",
            "end of 0 loss 0.875",
            "checkpoint 2",
            "epoch 1 of Some(2)",
            "gradients 0 loss 0.5 w 0.5",
            "step 3 loss 0.5 w 0.25",
            "checkpoint 3",
            "Interrupted",
        ]
    );
}

#[test]
fn targets_may_be_real_numbers() {
    let line =
        Dataset::new(Tensor::from_fn([32, 1], |k| k as f32 / 32.0), Tensor::from_fn([32, 1], |k| k as f32 / 16.0));
    let mut params: Params = Params::new(0);
    let model = Dense::new(&mut params, "line", 1, 1);
    let mut trainer = Trainer::new(Adam::new(0.1), |_, [x, y]| loss::mse(model.forward(x), y)).epochs(60);
    let history = trainer.fit(&mut params, |epoch| line.batches(8).shuffled(0, epoch)).expect("it trains");
    assert!(history.last("loss") < 1e-3, "{history}");
}

#[test]
fn a_run_is_logged_and_its_updates_are_watched() {
    let folder = Folder::new("logged");
    let table = folder.0.join("run.csv");
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::from_rows([[1.0, -3.0]]));
    let evaluation = Evaluation::new(|graph, [x]| [(graph.param(&w) * x).sum(), graph.param(&w) * 1.0]);
    let seen = RefCell::new(Vec::new());
    let mut trainer = Trainer::new(Sgd::new(0.5), |graph, [x]| (graph.param(&w) * x).sum())
        .epochs(2)
        .validation(evaluation, || [Tensor::scalar(1.0)])
        .log(CsvLog::create(&table).expect("it is made"))
        .watch_updates(2)
        .on_event(|event| {
            if let Event::Updates { step, report } = event {
                seen.borrow_mut().push((*step, report.weight_update(), report.gradient_norm()));
            }
            ControlFlow::Continue(())
        });
    trainer.fit(&mut params, |_| vec![Tensor::scalar(1.0); 3]).expect("it trains");
    drop(trainer);
    // Each step takes half of a gradient of ones.
    assert_eq!(seen.into_inner(), [(2, 0.5, 2.0_f64.sqrt()), (4, 0.5, 2.0_f64.sqrt()), (6, 0.5, 2.0_f64.sqrt())]);
    let text = std::fs::read_to_string(&table).expect("it is there");
    for line in
        ["1,loss,-2.0", "1,learning rate,0.5", "4,weight update,0.5", "2,weight update/w,0.5", "3,validation loss,-5.0"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_last_parameters_stay_if_they_are_asked_for() {
    let run = |stopping: EarlyStopping| {
        let mut params: Params<f64> = Params::new(0);
        let w = params.add("w", Tensor::scalar(1.0));
        let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [t]| (graph.param(&w) - t).square())
            .epochs(10)
            .early_stopping(stopping);
        let target = |epoch: u64| if epoch < 2 { 0.0 } else { 10.0 };
        let history = trainer.fit(&mut params, |epoch| [Tensor::scalar(target(epoch))]).expect("it trains");
        (history.epochs(), params.get(&w).item())
    };
    assert_eq!(run(EarlyStopping::new("loss", 1)), (4, 0.25));
    let (epochs, last) = run(EarlyStopping::new("loss", 1).restore_best(false));
    assert_eq!(epochs, 4);
    assert!(last > 5.0, "{last}");
    // From 1 to 0.25 is no improvement by 0.9: the first epoch is the best, after which two were not better.
    assert_eq!(run(EarlyStopping::new("loss", 1).min_delta(0.9)), (3, 0.5));
}

/// A run of one number towards 0 that is checkpointed and watched, resumed if there is a checkpoint.
fn watched(folder: &Folder, column: &str, patience: u64, epochs: u64) -> Result<(usize, Option<Ending>), TrainError> {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    // The loss of the validation grows while that of the training falls; the score, an error of 1 − w, grows too.
    let evaluation = Evaluation::new(|graph, [t]| [(graph.param(&w) - 2.0).square() + t, graph.param(&w) * 1.0]);
    let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [t]| (graph.param(&w) - t).square())
        .epochs(epochs)
        .validation(evaluation.metric_as("score", Mse::new()), || [Tensor::scalar(0.0)])
        .early_stopping(EarlyStopping::new(column, patience))
        .checkpoints(Checkpoints::new(&folder.0));
    trainer.resume(&mut params)?;
    let history = trainer.fit(&mut params, |_| [Tensor::scalar(0.0)])?;
    Ok((history.epochs(), history.ending()))
}

#[test]
fn another_column_and_more_patience_begin_anew() {
    let folder = Folder::new("column");
    assert_eq!(watched(&folder, "validation loss", 1, 10).expect("it trains"), (3, Some(Ending::Stopped)));
    // More patience: it goes on from where it was.
    assert_eq!(watched(&folder, "validation loss", 3, 10).expect("it trains"), (5, Some(Ending::Stopped)));
    // A column that improves has no best yet, and its run goes to the end.
    assert_eq!(watched(&folder, "validation score", 0, 10).expect("it trains"), (10, Some(Ending::Finished)));
}

#[test]
fn a_folder_belongs_to_one_run() {
    let folder = Folder::new("used");
    let fit = |accumulate: u64, resume: bool| {
        let mut params: Params<f64> = Params::new(0);
        let w = params.add("w", Tensor::scalar(1.0));
        let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [x]| graph.param(&w) * x)
            .accumulate(accumulate)
            .checkpoints(Checkpoints::new(&folder.0));
        if resume {
            trainer.resume(&mut params)?;
        }
        trainer.fit(&mut params, |_| [Tensor::scalar(1.0)]).map(|_| ())
    };
    fit(2, false).expect("the folder is new");
    let written = folder.0.join("step-0000000001.safetensors");
    let bytes = std::fs::read(&written).expect("it is there");
    let error = fit(2, false).expect_err("a run is there").to_string();
    let expected =
        "is there already, and the folder of checkpoints belongs to one run: continue it by `Trainer::resume`";
    assert!(error.contains(expected), "{error}");
    assert_eq!(std::fs::read(&written).expect("it is there"), bytes);
    let error = fit(3, true).expect_err("the gradients are accumulated otherwise").to_string();
    assert!(error.contains("accumulate (2 for 3)"), "{error}");
    fit(2, true).expect("it is resumed");

    let file = Folder::new("file");
    std::fs::write(&file.0, "").expect("it can be written");
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let mut trainer =
        Trainer::new(Sgd::new(0.25), |graph, [x]| graph.param(&w) * x).checkpoints(Checkpoints::new(&file.0));
    let error = trainer.fit(&mut params, |_| [Tensor::scalar(1.0)]).expect_err("it is no folder");
    assert_eq!((error.epoch(), params.get(&w).item()), (None, 1.0), "{error}");
    std::fs::remove_file(&file.0).expect("it is there");
}

#[test]
fn a_plateau_knows_which_direction_is_better() {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let trainer = || Trainer::new(Sgd::new(0.25), |graph, [x]| graph.param(&w) * x);
    let mut wrong = trainer().reduce_on_plateau("loss", ReduceOnPlateau::new().maximize());
    let error = wrong.fit(&mut params.clone(), |_| [Tensor::scalar(1.0)]).expect_err("less is better");
    assert_eq!(
        error.to_string(),
        "`Trainer::reduce_on_plateau` watches `loss`, of which less is better: leave out `ReduceOnPlateau::maximize`"
    );
    trainer()
        .reduce_on_plateau("loss", ReduceOnPlateau::new())
        .fit(&mut params, |_| [Tensor::scalar(1.0)])
        .expect("it trains");
}

#[test]
#[should_panic = "two scores are named `accuracy`; `Evaluation::metric_as` gives another name"]
fn two_metrics_of_one_name_are_refused() {
    let _ = Evaluation::<_, 1>::new(|_, [x]| [x.sum(), x]).metric(Accuracy::new()).metric(Accuracy::new());
}

/// A log whose third record fails.
struct Full(u64);

impl Logger for Full {
    fn scalar(&mut self, _step: u64, _name: &str, _value: f64) -> Result<(), std::io::Error> {
        self.0 += 1;
        if self.0 == 3 { Err(std::io::Error::other("the disk is full")) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), std::io::Error> {
        Ok(())
    }
}

#[test]
fn a_batch_that_cannot_be_logged_is_done() {
    let mut params: Params<f64> = Params::new(0);
    let w = params.add("w", Tensor::scalar(1.0));
    let mut trainer = Trainer::new(Sgd::new(0.25), |graph, [x]| graph.param(&w) * x).log(Full(0)).watch_updates(1);
    let batches = |_| vec![Tensor::scalar(1.0); 3];
    let error = trainer.fit(&mut params, batches).expect_err("the log is full");
    assert_eq!(error.to_string(), "epoch 1, batch 1: the disk is full");
    trainer.fit(&mut params, batches).expect("the log has room again");
    assert_eq!(params.get(&w).item(), 0.25);
}
