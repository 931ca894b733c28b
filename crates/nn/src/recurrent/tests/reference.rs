//! Recurrent layers as plain loops over the numbers of one sequence after another, which knows neither batches nor
//! padding.

use gradus_graph::{Params, Tensor};

/// The family of cells, with what changes the meaning of its parameters; all else follows from which there are.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Rnn { relu: bool },
    Gru { before: bool },
    Lstm { coupled: bool },
}

pub(super) struct Reference<'a> {
    pub(super) family: Kind,
    pub(super) params: &'a Params<f64>,
    pub(super) layers: usize,
    pub(super) directions: usize,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Layer normalisation without gain and shift.
fn normalised(z: &[f64]) -> Vec<f64> {
    let mean = z.iter().sum::<f64>() / z.len() as f64;
    let variance = z.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / z.len() as f64;
    z.iter().map(|z| (z - mean) / (variance + 1e-5).sqrt()).collect()
}

impl Reference<'_> {
    fn find(&self, name: &str, suffix: &str) -> Option<&Tensor<f64>> {
        self.params.find(&format!("layer.{name}{suffix}")).map(|param| self.params.get(param))
    }

    /// A vector of numbers, or a constant if there is no such parameter.
    fn vector(&self, name: &str, suffix: &str, size: usize, otherwise: f64) -> Vec<f64> {
        self.find(name, suffix).map_or(vec![otherwise; size], |tensor| tensor.data().to_vec())
    }

    /// A matrix times a vector, if there is such a matrix.
    fn product(&self, name: &str, suffix: &str, x: &[f64]) -> Option<Vec<f64>> {
        let weight = self.find(name, suffix)?;
        let row = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum();
        Some(weight.data().chunks(x.len()).map(row).collect())
    }

    /// The state after one step.
    fn step(&self, suffix: &str, x: &[f64], state: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let h = &state[0];
        let mut from_x = self.product("weight_ih", suffix, x).unwrap();
        let mut from_h = self.product("weight_hh", suffix, h).unwrap();
        let rows = from_x.len();
        if self.find("norm_ih", suffix).is_some() {
            let gain = |name: &str, z: &[f64]| -> Vec<f64> {
                normalised(z).iter().zip(self.vector(name, suffix, rows, 1.0)).map(|(z, gain)| z * gain).collect()
            };
            (from_x, from_h) = (gain("norm_ih", &from_x), gain("norm_hh", &from_h));
        }
        let (b_ih, b_hh) = (self.vector("bias_ih", suffix, rows, 0.0), self.vector("bias_hh", suffix, rows, 0.0));
        let sum = |row: usize| from_x[row] + b_ih[row] + from_h[row] + b_hh[row];
        match self.family {
            Kind::Rnn { relu } => vec![(0..rows).map(|k| if relu { sum(k).max(0.0) } else { sum(k).tanh() }).collect()],
            Kind::Gru { before } => {
                let size = rows / 3;
                let r: Vec<f64> = (0..size).map(|k| sigmoid(sum(k))).collect();
                let reset: Vec<f64> = r.iter().zip(h).map(|(r, h)| r * h).collect();
                let of_reset = self.product("weight_hh", suffix, &reset).unwrap();
                let unit = |k: usize| {
                    let (z, row) = (sigmoid(sum(size + k)), 2 * size + k);
                    let rest = if before { of_reset[row] + b_hh[row] } else { r[k] * (from_h[row] + b_hh[row]) };
                    (1.0 - z) * (from_x[row] + b_ih[row] + rest).tanh() + z * h[k]
                };
                vec![(0..size).map(unit).collect()]
            }
            Kind::Lstm { coupled } => {
                let c = &state[1];
                let (size, count) = (c.len(), if coupled { 3 } else { 4 });
                let peephole = |name: &str| self.vector(name, suffix, size, 0.0);
                let (p_i, p_f, p_o) = (peephole("weight_ci"), peephole("weight_cf"), peephole("weight_co"));
                let mut cell = Vec::new();
                for k in 0..size {
                    let i = sigmoid(sum(k) + p_i[k] * c[k]);
                    let f = if coupled { 1.0 - i } else { sigmoid(sum(size + k) + p_f[k] * c[k]) };
                    cell.push(f * c[k] + i * sum((count - 2) * size + k).tanh());
                }
                let mut shown = cell.clone();
                if self.find("norm_c", suffix).is_some() {
                    let (gain, shift) = (peephole("norm_c"), peephole("bias_c"));
                    shown = (0..size).map(|k| normalised(&cell)[k] * gain[k] + shift[k]).collect();
                }
                let unit = |k: usize| sigmoid(sum((count - 1) * size + k) + p_o[k] * cell[k]) * shown[k].tanh();
                let hidden: Vec<f64> = (0..size).map(unit).collect();
                vec![self.product("weight_hr", suffix, &hidden).unwrap_or(hidden), cell]
            }
        }
    }

    /// Outputs `[time, 3, size]` and final states of three sequences.
    pub(super) fn run(&self, x: &Tensor<f64>, lengths: [i64; 3], initial: &[Tensor<f64>]) -> Vec<Tensor<f64>> {
        let time = x.shape()[0];
        let mut finals: Vec<Tensor<f64>> = initial.to_vec();
        let mut sequences: Vec<Vec<Vec<f64>>> = (0..3)
            .map(|b| (0..lengths[b] as usize).map(|t| (0..3).map(|k| x.at(&[t, b, k])).collect()).collect())
            .collect();
        for layer in 0..self.layers {
            for (number, sequence) in sequences.iter_mut().enumerate() {
                let mut outputs = vec![Vec::new(); sequence.len()];
                for direction in 0..self.directions {
                    let suffix = format!("_l{layer}{}", if direction == 1 { "_reverse" } else { "" });
                    let cell = layer * self.directions + direction;
                    let place = |part: &Tensor<f64>| {
                        let size = part.shape()[2];
                        (cell * 3 + number) * size..(cell * 3 + number + 1) * size
                    };
                    let mut state: Vec<Vec<f64>> =
                        initial.iter().map(|part| part.data()[place(part)].to_vec()).collect();
                    for step in 0..sequence.len() {
                        let step = if direction == 1 { sequence.len() - 1 - step } else { step };
                        state = self.step(&suffix, &sequence[step], &state);
                        outputs[step].extend_from_slice(&state[0]);
                    }
                    for (part, end) in finals.iter_mut().zip(&state) {
                        let place = place(part);
                        part.data_mut()[place].copy_from_slice(end);
                    }
                }
                *sequence = outputs;
            }
        }
        let size = self.directions * initial[0].shape()[2];
        let output = |k: usize| sequences[k / size % 3].get(k / size / 3).map_or(0.0, |step| step[k % size]);
        [vec![Tensor::from_fn([time, 3, size], output)], finals].concat()
    }
}
