//! Learns to continue a text, character by character:
//! `cargo run --release --example char_lstm -- [--cell lstm|gru] [--temperature NUMBER] [FILE]`.
//!
//! The text is this repository's own documentation, or a file of yours. Its last tenth is held out. Sixteen streams of
//! the rest are read in parts of 50 characters; the state after one part is an input of the next, and no derivative
//! passes from one to the next: truncated backpropagation through time. The figure is the held-out text's
//! cost in bits a character, beside that of counting: a mixture of the frequencies after the last 0 to 5 characters
//! (Witten and Bell 1991). In the end the model writes some text itself, and its state goes the same way.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use gradus::nn::{
    Dense, Dropout, Given, GruCell, LstmCell, Mode, Recurrent, RecurrentCell, RecurrentOptions, Sequence, State, loss,
};
use gradus::op::kernel::random::RandomStream;
use gradus::optim::{AdamW, ClipGlobalNorm, Cosine, Optimizer};
use gradus::train::{Function, Progress, Step};
use gradus::{Params, Tensor, Var};

const STREAMS: usize = 16;
const PART: usize = 50;
const HIDDEN: usize = 160;
const EPOCHS: usize = 60;
/// The longest context of the counted model.
const CONTEXT: usize = 5;

struct Options {
    gru: bool,
    temperature: f64,
    file: Option<String>,
}

/// The options, or one sentence on what is not understood.
fn options() -> Result<Options, String> {
    let mut options = Options { gru: false, temperature: 0.7, file: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--cell" => match arguments.next().as_deref() {
                Some("lstm") => options.gru = false,
                Some("gru") => options.gru = true,
                other => return Err(format!("--cell is lstm or gru, not {}", other.unwrap_or("nothing"))),
            },
            "--temperature" => {
                let given = arguments.next().unwrap_or_default();
                let number = given.parse().ok().filter(|number: &f64| *number > 0.0);
                options.temperature = number.ok_or(format!("--temperature is a number above 0, not `{given}`"))?;
            }
            option if option.starts_with('-') => return Err(format!("`{option}` is no option: see the file's header")),
            file => options.file = Some(file.to_owned()),
        }
    }
    Ok(options)
}

/// The text of the given file, or this repository's documentation.
fn read(file: Option<&str>) -> Result<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let own = ["README.md", "docs/architecture.md", "docs/gradient-checks.md", "docs/ops.md"];
    let files = file.map_or(own.map(|name| format!("{folder}{name}")).to_vec(), |file| vec![file.to_owned()]);
    let text = |file: &String| std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"));
    let text: String = files.iter().map(text).collect::<Result<_, _>>()?;
    let least = 10 * STREAMS * PART;
    if text.chars().count() < least {
        return Err(format!("a text of at least {least} characters is needed"));
    }
    Ok(text)
}

struct Writer<C> {
    memory: Recurrent<C>,
    dropout: Dropout,
    output: Dense,
}

impl<C: RecurrentCell> Writer<C> {
    fn new(params: &mut Params, symbols: usize) -> Self {
        let options = RecurrentOptions::new().input_dropout(0.1).hidden_dropout(0.25);
        Self {
            memory: Recurrent::with(params, "memory", symbols, HIDDEN, options),
            dropout: Dropout::new(0.4),
            output: Dense::new(params, "output", HIDDEN, symbols),
        }
    }

    /// Logits `[time, streams, symbols]` of what follows each symbol of `[time, streams]`, and the state after the last.
    fn forward<'g>(&self, text: Var<'g>, state: Var<'g>, mode: Mode) -> (Var<'g>, Var<'g>) {
        let cell = &self.memory.cells()[0];
        let before = C::State::of(&state.split(&cell.state_sizes(), -1));
        let given = Given { state: Some(before), ..Given::default() };
        let Sequence { outputs, state } = self.memory.sequence(text.one_hot(cell.inputs()), given, mode);
        let after = text.graph().concat(&state.parts(), -1);
        (self.output.forward(self.dropout.forward_in(outputs, mode)), after)
    }

    /// The state before the first symbol of each stream, its parts side by side.
    fn state(&self, streams: usize) -> Tensor<f32> {
        Tensor::zeros([1, streams, self.memory.cells()[0].state_sizes().iter().sum()])
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let outcome = options().and_then(|options| Ok((read(options.file.as_deref())?, options)));
    let (text, options) = match outcome {
        Ok(outcome) => outcome,
        Err(problem) => {
            eprintln!("{problem}");
            std::process::exit(2);
        }
    };
    let symbols: Vec<char> = text.chars().collect::<BTreeSet<char>>().into_iter().collect();
    let number = |symbol: char| symbols.binary_search(&symbol).map_or(0, |place| place as i64);
    let text: Vec<i64> = text.chars().map(number).collect();
    let (known, held_out) = text.split_at(text.len() * 9 / 10);
    println!("{} characters to learn from, {} held out, {} symbols", known.len(), held_out.len(), symbols.len());
    let counted = (0..=CONTEXT).map(|longest| counted_bits(known, held_out, symbols.len(), longest));
    let counted: Vec<String> = counted.map(|bits| format!("{bits:.3}")).collect();
    println!("bits a character by counting, after 0 to {CONTEXT} characters: {}", counted.join(", "));
    if options.gru {
        run::<GruCell>(&symbols, known, held_out, options.temperature)
    } else {
        run::<LstmCell>(&symbols, known, held_out, options.temperature)
    }
}

fn run<C: RecurrentCell>(
    symbols: &[char],
    known: &[i64],
    held_out: &[i64],
    temperature: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut params = Params::new(1);
    let model = Writer::<C>::new(&mut params, symbols.len());
    println!("\n{params:?}\n");

    let mut step = Step::with_aux(|_, [from, to, state]| {
        let (logits, state) = model.forward(from, state, Mode::Train);
        (loss::cross_entropy(logits, to), [state])
    });
    // Each stream is a piece of the text, and a batch is the same part of each, `[time, streams]`.
    let length = (known.len() - 1) / STREAMS;
    let parts = length / PART;
    let part = |start: usize| Tensor::from_fn([PART, STREAMS], |k| known[k % STREAMS * length + start + k / STREAMS]);
    let cosine = Cosine::new(6e-3, (EPOCHS * parts) as u64);
    let mut optimizer = Optimizer::new((ClipGlobalNorm::new(1.0), AdamW::new(cosine).decay(0.05)));
    let mut progress = Progress::new(EPOCHS);
    let start = Instant::now();
    let mut last = 0.0;
    for _ in 0..EPOCHS {
        let mut state = model.state(STREAMS);
        last = 0.0;
        for start in (0..parts).map(|part| part * PART) {
            let gradients = step.run(&mut params, (&part(start), &part(start + 1), &state))?;
            last += f64::from(gradients.loss()) / std::f64::consts::LN_2 / parts as f64;
            optimizer.step(&mut params, &gradients)?;
            state.clone_from(gradients.aux()[0].real());
        }
        progress.advance(1, format_args!("{last:.3} bits"));
    }
    progress.finish();
    println!("{EPOCHS} epochs in {:.1} s, {last:.3} bits a character with dropout", start.elapsed().as_secs_f64());

    // The state goes in and out: for the whole held-out text at once, and for each character that is written.
    let mut read = Function::new(|_, [from, to, state]| {
        let (logits, state) = model.forward(from, state, Mode::Eval);
        [logits, loss::cross_entropy(logits, to), state]
    });
    let column = |text: &[i64]| Tensor::from(text.to_vec()).reshape([text.len(), 1]);
    let (from, to) = (column(&held_out[..held_out.len() - 1]), column(&held_out[1..]));
    let mut state = model.state(1);

    let [_, cost, _] = read.run(&params, (&from, &to, &state))?;
    println!("bits a character of the held-out text: {:.3}", f64::from(cost.real().item()) / std::f64::consts::LN_2);

    println!("\nwritten at temperature {temperature}:");
    let (mut symbol, mut written) = (column(&held_out[..1]), String::new());
    for place in 0..400 {
        let [logits, _, after] = read.run(&params, (&symbol, &symbol, &state))?;
        symbol = column(&[drawn(logits.real(), temperature, place)]);
        state = after.real().clone();
        written.push(symbols[symbol.item() as usize]);
    }
    println!("{written}");
    Ok(())
}

/// A symbol drawn with probabilities in proportion to `exp(logit/temperature)`.
fn drawn(logits: &Tensor<f32>, temperature: f64, place: u64) -> i64 {
    let largest = logits.data().iter().fold(f32::NEG_INFINITY, |largest, &logit| largest.max(logit));
    let weight = |&logit: &f32| (f64::from(logit - largest) / temperature).exp();
    let weights: Vec<f64> = logits.data().iter().map(weight).collect();
    let mut number = [0.0_f64];
    RandomStream { seed: 1, step: place, stream: 0 }.uniform(0, &mut number);
    let mut left = number[0] * weights.iter().sum::<f64>();
    let below = |weight: &f64| {
        left -= weight;
        left < 0.0
    };
    weights.iter().position(below).unwrap_or(weights.len() - 1) as i64
}

/// Bits a character of a text by counts of another: the frequencies after a context are mixed with those after the
/// context shortened by one, which count as often as the context has had different successors.
fn counted_bits(known: &[i64], held_out: &[i64], symbols: usize, longest: usize) -> f64 {
    let mut counts: HashMap<&[i64], HashMap<i64, f64>> = HashMap::new();
    for place in 0..known.len() {
        for length in 0..=longest.min(place) {
            *counts.entry(&known[place - length..place]).or_default().entry(known[place]).or_default() += 1.0;
        }
    }
    let mut bits = 0.0;
    for place in 1..held_out.len() {
        let mut chance = 1.0 / symbols as f64;
        for length in 0..=longest.min(place) {
            let Some(after) = counts.get(&held_out[place - length..place]) else { break };
            let (total, different) = (after.values().sum::<f64>(), after.len() as f64);
            let seen = after.get(&held_out[place]).copied().unwrap_or(0.0);
            chance = (seen + different * chance) / (total + different);
        }
        bits -= chance.log2();
    }
    bits / (held_out.len() - 1) as f64
}
