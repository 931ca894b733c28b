//! candle as a peer of `gradus-bench peers`: `candle-peer candle THREADS` answers the requests of `peer.py`, in which
//! the protocol is described. It has the rows of inference, W11. The number of threads is `RAYON_NUM_THREADS`, which
//! candle reads.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use candle_nn::rnn::{LSTMConfig, LSTMState, lstm};
use candle_nn::{Linear, Module, RNN, VarBuilder};
use serde_json::{Map, Value, json};

const VERSION: &str = "0.11";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A workload with its inputs, which gives its outputs.
type Work = Box<dyn Fn() -> candle_core::Result<Vec<Tensor>>>;

fn main() -> Outcome<()> {
    println!("{}", json!({ "ready": VERSION }));
    let mut work: Option<Work> = None;
    for line in std::io::stdin().lock().lines() {
        let answer = serde_json::from_str(&line?).map_err(Into::into).and_then(|request| answer(&request, &mut work));
        println!("{}", answer.unwrap_or_else(|problem| json!({ "error": problem.to_string() })));
    }
    Ok(())
}

fn answer(request: &Value, work: &mut Option<Work>) -> Outcome<Value> {
    let text = |name: &str| request[name].as_str().ok_or_else(|| format!("`{name}` is missing in {request}"));
    if text("do")? == "setup" {
        *work = build(text("workload")?, text("file")?)?;
        let variants: &[&str] = if work.is_some() { &["eager"] } else { &[] };
        return Ok(json!({ "variants": variants }));
    }
    let work = work.as_ref().ok_or("no workload is set up")?;
    if text("do")? == "check" {
        let mut numbers = Map::new();
        for (number, output) in work()?.iter().enumerate() {
            numbers.insert(format!("out.{number}"), sample(output)?.into());
        }
        return Ok(json!({ "eager": numbers }));
    }
    let repeat = request["repeat"].as_u64().ok_or("`repeat` is missing")?;
    let start = Instant::now();
    for _ in 0..repeat {
        black_box(work()?);
    }
    Ok(json!({ "seconds": start.elapsed().as_secs_f64() / repeat as f64 }))
}

fn build(workload: &str, file: &str) -> Outcome<Option<Work>> {
    let arrays: HashMap<String, Tensor> = Tensor::read_npz(file)?.into_iter().collect();
    let array = |name: &str| arrays.get(name).cloned().ok_or_else(|| format!("the file has no `{name}`"));
    Ok(match workload {
        "W11-mlp" => {
            let layer = |k: usize| -> Outcome<Linear> {
                let of = |name: &str| array(&format!("param.layer{k}.{name}"));
                Ok(Linear::new(of("weight")?, Some(of("bias")?)))
            };
            let (layers, x) = ([layer(0)?, layer(1)?, layer(2)?], array("in.x")?);
            Some(Box::new(move || {
                let [first, second, last] = &layers;
                Ok(vec![last.forward(&second.forward(&first.forward(&x)?.relu()?)?.relu()?)?])
            }))
        }
        "W11-lstm" => {
            let mut weights = HashMap::new();
            for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
                weights.insert(format!("{name}_l0"), array(&format!("param.cell.{name}"))?);
            }
            let layer = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
            let layer = lstm(128, 256, LSTMConfig::default(), layer)?;
            let (x, state) = (array("in.x")?, LSTMState { h: array("in.hidden")?, c: array("in.cell")? });
            Some(Box::new(move || {
                let LSTMState { h, c } = layer.step(&x, &state)?;
                Ok(vec![h, c])
            }))
        }
        _ => None,
    })
}

/// What is compared of an array, as in `sample.py`.
fn sample(array: &Tensor) -> Outcome<Vec<f64>> {
    let values: Vec<f64> = array.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    let squares: f64 = values.iter().map(|value| value * value).sum();
    let places = (0..8).map(|k| values[k * (values.len() - 1) / 7]);
    Ok([(squares / values.len() as f64).sqrt()].into_iter().chain(places).collect())
}
