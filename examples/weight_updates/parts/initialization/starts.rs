//! A deep network, and the weights that it starts from.

use std::fmt;

use gradus::data::Dataset;
use gradus::nn::{Dense, DenseOptions, Init, Layer, Mode, loss};
use gradus::optim::Adam;
use gradus::train::Trainer;
use gradus::{Params, Var};

use crate::Failure;
use crate::study::Study;

const WIDTH: usize = 32;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Start {
    Zeros,
    Normal(f64),
    Uniform(f64),
    Xavier,
    He,
    Orthogonal,
    /// Hidden layers that were trained to rebuild the images.
    Rebuild,
    /// Hidden layers that were trained to tell odd digits from even ones.
    Parity,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zeros => f.write_str("zeros"),
            Self::Normal(deviation) => write!(f, "normal {deviation}"),
            Self::Uniform(deviation) => write!(f, "uniform {deviation}"),
            Self::Xavier => f.write_str("Xavier"),
            Self::He => f.write_str("He"),
            Self::Orthogonal => f.write_str("orthogonal"),
            Self::Rebuild => f.write_str("pre-trained, rebuild"),
            Self::Parity => f.write_str("pre-trained, parity"),
        }
    }
}

/// The epochs of pre-training.
pub(super) fn epochs(study: &Study) -> u64 {
    study.pick(10, 3)
}

/// The function of the hidden layers.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Hidden {
    Relu,
    Tanh,
}

impl Hidden {
    fn init(self, start: Start) -> Init {
        match start {
            Start::Zeros => Init::zeros(),
            Start::Normal(deviation) => Init::normal(0.0, deviation),
            Start::Uniform(deviation) => Init::uniform(-3.0_f64.sqrt() * deviation, 3.0_f64.sqrt() * deviation),
            Start::Xavier => Init::xavier_normal(),
            Start::He => Init::he_normal(),
            Start::Orthogonal if self == Self::Relu => Init::orthogonal().gain(2.0_f64.sqrt()),
            Start::Orthogonal => Init::orthogonal(),
            Start::Rebuild | Start::Parity if self == Self::Relu => Init::he_normal(),
            Start::Rebuild | Start::Parity => Init::xavier_normal(),
        }
    }
}

/// Hidden layers of 32 units each, and an output layer; all biases start at zero.
pub(super) struct Deep {
    pub(super) hidden: Vec<Dense>,
    pub(super) output: Dense,
    function: Hidden,
}

impl Deep {
    fn new(params: &mut Params, depth: usize, outputs: usize, function: Hidden, start: Start) -> Self {
        let options = DenseOptions::new().weight(function.init(start)).bias(Init::zeros());
        let mut dense = |number: usize| {
            let inputs = if number == 1 { 64 } else { WIDTH };
            Dense::with(params, &format!("hidden{number}"), inputs, WIDTH, options)
        };
        let hidden = (1..=depth).map(&mut dense).collect();
        Self { hidden, output: Dense::with(params, "output", WIDTH, outputs, options), function }
    }

    /// A classifier of digits. Its hidden layers are those of `body`, if there is one.
    pub(super) fn begin(
        depth: usize,
        function: Hidden,
        start: Start,
        seed: u64,
        body: Option<&Params>,
    ) -> (Params, Self) {
        let mut params = Params::new(seed);
        let model = Self::new(&mut params, depth, 10, function, start);
        let layers = body.into_iter().flat_map(Params::iter).filter(|(param, _)| param.name().starts_with("hidden"));
        for (param, value) in layers {
            if let Some(own) = params.find(param.name()).cloned() {
                params.set(&own, value.clone());
            }
        }
        (params, model)
    }

    /// The parameters of a network that was trained with Adam to rebuild the images, or to tell odd digits from even ones.
    pub(super) fn pre_train(
        study: &Study,
        depth: usize,
        function: Hidden,
        start: Start,
        seed: u64,
    ) -> Result<Params, Failure> {
        let (train, epochs) = (&study.digits.train, epochs(study));
        let (mut params, rule) = (Params::new(1000 + seed), Adam::new(0.003));
        let model = Self::new(&mut params, depth, if start == Start::Rebuild { 64 } else { 2 }, function, start);
        if start == Start::Rebuild {
            let mut trainer =
                Trainer::new(rule, |_, [images]| loss::mse(model.forward_in(images, Mode::Train), images))
                    .epochs(epochs);
            trainer.fit(&mut params, |epoch| train.batches(32).shuffled(seed, epoch).map(|batch| batch.inputs))?;
        } else {
            let odd = Dataset::new(train.inputs().clone(), train.targets().map(|digit| digit % 2));
            let mut trainer =
                Trainer::new(rule, |_, [images, odd]| loss::cross_entropy(model.forward_in(images, Mode::Train), odd))
                    .epochs(epochs);
            trainer.fit(&mut params, |epoch| odd.batches(32).shuffled(seed, epoch))?;
        }
        Ok(params)
    }

    /// The outputs of the hidden layers.
    pub(super) fn outputs<'g>(&self, images: Var<'g>) -> Vec<Var<'g>> {
        let next = |x: &mut Var<'g>, layer: &Dense| {
            let sums = layer.forward(*x);
            *x = if self.function == Hidden::Relu { sums.relu() } else { sums.tanh() };
            Some(*x)
        };
        self.hidden.iter().scan(images, next).collect()
    }
}

impl Layer for Deep {
    fn forward_in<'g>(&self, images: Var<'g>, _mode: Mode) -> Var<'g> {
        self.output.forward(self.outputs(images)[self.hidden.len() - 1])
    }
}
