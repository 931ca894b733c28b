//! Tools around a training loop, which itself belongs to the program.
//!
//! A [`Step`] turns a closure that traces a loss into a compiled function from parameters and a batch to the loss and
//! its [`Gradients`]; a [`Function`] does the same for any outputs. [`metrics`] are taken over batches,
//! [`Progress`] says how far the work is, [`statistics`] of its steps say whether it goes well, [`logs`] keep values, and
//! [`plot`] draws curves. A [`Trainer`] is the loop over epochs, with validation, early stopping and checkpoints,
//! and a [`Sweep`] is many runs, over options and seeds.
//! [`weights`] keeps the parameters of a model in a file, [`Model`] what a function computes with them, so that a program
//! without its code runs it, and [`checkpoint`] a whole run, so that it continues bit for bit; these and all other files
//! are written by [`replace_file`].

mod archive;
pub mod checkpoint;
mod compiled;
mod csv_cell;
mod derivatives;
mod faults;
mod function;
mod gradients;
mod header;
mod histogram;
mod image;
pub mod logs;
mod loss;
pub mod metrics;
mod model;
mod model_text;
pub mod plot;
mod progress;
mod random;
mod replace;
pub mod statistics;
mod step;
pub mod sweep;
mod traces;
mod trainer;
pub mod weights;

pub use function::Function;
pub use gradients::{Gradients, Pairs};
pub use histogram::Histogram;
pub use image::Image;
pub use loss::{Loss, WithAux};
pub use metrics::confusion::{Confusion, accuracy};
pub use model::Model;
pub use progress::Progress;
pub use replace::replace_file;
pub use step::Step;
pub use sweep::Sweep;
pub use trainer::{
    BatchInputs, Checkpoints, EarlyStopping, Ending, Evaluation, Event, History, Scores, TrainError, Trainer,
};
