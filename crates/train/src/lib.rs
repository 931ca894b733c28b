//! What surrounds a training loop: the loop itself belongs to the program.
//!
//! A [`Step`] turns a closure that traces a loss into a compiled function from parameters and a batch to the loss and
//! its gradients; a [`Function`] does the same for any outputs. [`accuracy`] and [`Confusion`] judge a classifier,
//! [`progress`] shows how far a long run is, and [`plot`] draws curves.

mod function;
mod metrics;
pub mod plot;
mod progress;
mod step;

pub use function::Function;
pub use metrics::{Confusion, accuracy};
pub use progress::progress;
pub use step::{Gradients, Step};
