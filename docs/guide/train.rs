use gradus::Params;
use gradus::data::{Csv, DataError, Dataset, FittedState, Table, TableRecipe, folds, npz};
use gradus::nn::{Layer, Mode, loss};
use gradus::optim::AdamW;
use gradus::train::metrics::{Accuracy, Averaging, F1};
use gradus::train::{EarlyStopping, Evaluation, Trainer, replace_file, weights};
use penguins::model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The table, and a quarter of each species held out.
    let table = Csv::new().read("penguins.csv")?;
    let species = table.schema().categories("species").ok_or("`species` holds no categories")?.clone();
    let fold = folds::held_out(table.labels("species")?.data(), 0.25, 7);
    let (train, test) = (table.select(&fold.train), table.select(&fold.test));

    // Columns become features. What is fitted is fitted to the training part.
    let encoder = TableRecipe::new()
        .numbers(&["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"])
        .categories(&["island", "sex"])
        .fit(&train)?;
    let dataset = |part: &Table| -> Result<Dataset, DataError> {
        Ok(Dataset::new(encoder.transform(part)?, part.labels("species")?))
    };
    let (train, test) = (dataset(&train)?, dataset(&test)?);

    // The model, its loss, and how it is judged.
    let mut params = Params::new(7);
    let model = model(&mut params, encoder.features().len(), species.len());
    let evaluation = Evaluation::new(|_, [features, labels]| {
        let logits = model.forward_in(features, Mode::Eval);
        [loss::cross_entropy(logits, labels), logits]
    });
    let mut trainer = Trainer::new(AdamW::new(0.01), |_, [features, labels]| {
        loss::cross_entropy(model.forward_in(features, Mode::Train), labels)
    })
    .epochs(100)
    .validation(evaluation.metric(Accuracy::new()).metric(F1::new(Averaging::Macro)), || test.batches(100))
    .early_stopping(EarlyStopping::new("validation loss", 5))
    .progress();
    let history = trainer.fit(&mut params, |epoch| train.batches(32).shuffled(7, epoch))?;
    println!("{history}");

    // What another program needs: the weights, and how its features are made.
    history.plot("Penguins").axes("epoch", "cross-entropy, nats").log_y().save("penguins-loss.svg")?;
    weights::save("penguins.safetensors", &params)?;
    let mut state = FittedState::new();
    state.put("columns", &table.schema().without(&["species", "year"])?);
    state.put("encoder", &encoder);
    state.put("species", &species);
    replace_file("penguins.npz", &npz::encode(state.arrays(), false))?;
    Ok(())
}
