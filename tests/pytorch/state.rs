//! A file of our weights goes into PyTorch's modules by strict names and shapes, and theirs comes back.

use std::path::Path;
use std::process::Command;

use gradus::nn::{
    BatchNorm, Conv2d, Conv2dOptions, ConvTranspose2d, Dense, Embedding, Gru, LayerNorm, Lstm, LstmCellOptions,
    LstmOptions, MultiHeadAttention, TransformerEncoder, TransformerOptions,
};
use gradus::train::weights;
use gradus::{Params, Tensor};

/// The layers that `state.py` has under the same names.
fn layers() -> Params<f64> {
    let mut params = Params::new(3);
    let store = &mut params;
    Dense::new(store, "dense", 3, 4);
    Embedding::new(store, "embedding", 5, 4);
    let groups = Conv2dOptions::new().groups(2);
    Conv2d::with(store, "conv", 2, 4, [3, 1], groups);
    ConvTranspose2d::new(store, "upwards", 2, 4, 3);
    BatchNorm::new(store, "batch_norm", 4);
    LayerNorm::new(store, "layer_norm", [6]);
    let cell = LstmCellOptions::new().projection(2);
    let two = LstmOptions::new().cell(cell).layers(2).bidirectional();
    Lstm::with(store, "lstm", 3, 4, two);
    Gru::new(store, "gru", 3, 4);
    MultiHeadAttention::new(store, "attention", 8, 2);
    let narrow = TransformerOptions::new().hidden(16);
    TransformerEncoder::with(store, "encoder", 2, 8, 2, narrow);
    params
}

/// Has `state.py` load what we save, raise every parameter by one and save it, and loads that. Gives the number of
/// tensors that went there and back.
pub(crate) fn exchange(python: &str, script: &Path, folder: &Path) -> usize {
    let (ours, theirs) = (folder.join("ours.safetensors"), folder.join("theirs.safetensors"));
    let sent = layers();
    weights::save(&ours, &sent).expect("the file can be written");
    let run = Command::new(python).arg(script).args([&ours, &theirs]).output().expect("the interpreter ran before");
    assert!(run.status.success(), "state.py: {}", String::from_utf8_lossy(&run.stderr));
    let mut received = layers();
    weights::load(&theirs, &mut received).expect("PyTorch's file fits the store");
    for ((param, before), (_, after)) in sent.iter().zip(received.iter()) {
        let raised = if param.is_buffer() { 0.0 } else { 1.0 };
        let expected = Tensor::from_fn(before.shape().clone(), |k| before.data()[k] + raised);
        assert_eq!(after, &expected, "{}", param.name());
    }
    sent.len()
}
