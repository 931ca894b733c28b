//! The guide shows the programs that its tests run, its pictures are there, and what it says is said is said.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use gradus::data::{Csv, TableRecipe};
use gradus::nn::{Dense, loss};
use gradus::optim::{Adam, Sgd};
use gradus::train::{EarlyStopping, Step, Trainer, weights};
use gradus::{Params, Tensor};

/// A file of `docs`.
fn read(name: &str) -> String {
    let path = docs().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The block that serves is compiled with the programs of `docs/guide`; the reader has those of the page.
#[test]
fn the_programs_of_the_guide_are_those_of_its_folder() {
    let page = read("guide.md");
    let shown: Vec<&str> = page.lines().filter(|line| !line.starts_with("# ")).collect();
    let shown = shown.join("\n");
    for name in ["guide/lib.rs", "guide/train.rs"] {
        let block = format!("```rust\n{}```\n", read(name));
        assert!(shown.contains(&block), "docs/guide.md has no block that is docs/{name}");
    }
}

#[test]
fn each_picture_of_the_guide_is_made_by_a_block() {
    let page = read("guide.md");
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let pictures: Vec<&str> = targets.filter(|target| target.ends_with(".svg")).collect();
    assert!(pictures.len() >= 3, "{pictures:?}");
    for picture in pictures {
        let name = picture.strip_prefix("guide/").expect("pictures are in docs/guide");
        assert!(read(picture).starts_with("<svg"), "docs/{picture}");
        assert!(page.contains(&format!("guide::compare(\"{name}\")")), "no block makes docs/{picture}");
    }
}

/// The error or the panic of some code.
fn message<T>(code: impl FnOnce() -> Result<T, Box<dyn Error>>) -> String {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(Ok(_)) => "it works".into(),
        Ok(Err(problem)) => problem.to_string(),
        Err(panic) => panic.downcast_ref::<String>().cloned().unwrap_or_default(),
    }
}

/// The rows of the table of mistakes: what was done, and what is said, in parts where something is left out.
fn mistakes() -> Vec<(String, Vec<String>)> {
    let page = read("guide.md");
    let section = page.split("### What goes wrong\n").nth(1).and_then(|rest| rest.split("\n#").next());
    let rows = section.expect("there is a table").lines().filter(|line| line.starts_with("| ")).skip(1);
    let row = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [done, said] = cells[..] else { panic!("{row}") };
        // A code span loses its marks and the blanks beside them.
        let marks = if said.starts_with("``") { 2 } else { 1 };
        let said = said[marks..said.len() - marks].trim();
        (done.to_owned(), said.split('…').map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

#[test]
fn mistakes_give_the_messages_of_the_guide() {
    let csv = Csv::new();
    let penguins = std::fs::read(docs().join("guide/penguins.csv")).expect("the table is there");
    // Messages name the file as it was given.
    let folder = std::env::temp_dir().join(format!("gradus-mistakes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let path = folder.join("penguins.csv");
    std::fs::write(&path, penguins).expect("the table can be copied");
    let table = csv.read(&path).expect("it is a table");
    let columns = table.schema().only(&["island", "body_mass_g"]).expect("there are such columns");
    let later = |row: &str| csv.decode_as(format!("island,body_mass_g\n{row}\n").as_bytes(), &columns);

    let mut params: Params = Params::new(0);
    let layer = Dense::new(&mut params, "output", 4, 3);
    let mut unused = params.clone();
    Dense::new(&mut unused, "unused", 4, 3);
    let mut apart = Params::new(0);
    Dense::new(&mut apart, "output", 4, 3);
    let (x, labels) = (Tensor::<f32>::ones([2, 4]), Tensor::from([0_i64, 1]));
    let classify = |params: &Params, x: &Tensor<f32>, labels: &Tensor<i64>| -> Result<f32, Box<dyn Error>> {
        let mut step = Step::new(|_, [x, labels]| loss::cross_entropy(layer.forward(x), labels));
        Ok(step.run(&mut params.clone(), (x, labels))?.loss())
    };
    let reals = Tensor::from([0.0_f32, 1.0]);
    let fit = |x: f32, rate: f64| -> Result<(), Box<dyn Error>> {
        let mut trainer = Trainer::new(Sgd::new(rate), |_, [x, y]| loss::mse(layer.forward(x), y)).epochs(4);
        trainer.fit(&mut params.clone(), |_| [(Tensor::full([2, 4], x), Tensor::<f32>::ones([2, 3]))])?;
        Ok(())
    };

    for (done, said) in mistakes() {
        let found = match done.as_str() {
            "a file that is not there" => message(|| Ok(csv.read(folder.join("penguin.csv"))?)),
            "a column by a wrong name" => message(|| Ok(table.labels("Species")?)),
            "words as numbers" => message(|| Ok(TableRecipe::new().numbers(&["island"]).fit(&table)?)),
            "numbers as categories" => message(|| Ok(TableRecipe::new().categories(&["year"]).fit(&table)?)),
            "a later row with a letter in a number" => message(|| Ok(later("Dream,4x00")?)),
            "a category that is new" => message(|| Ok(later("Atlantis,4500")?)),
            "features that do not fit a layer" => message(|| classify(&params, &Tensor::ones([2, 5]), &labels)),
            "a label that is no class" => message(|| classify(&params, &x, &Tensor::from([0, 3]))),
            "labels as real numbers" => message(|| {
                let mut step = Step::new(|_, [x, labels]| loss::cross_entropy(layer.forward(x), labels));
                Ok(step.run(&mut params.clone(), (&x, &reals))?.loss())
            }),
            "labels `[n, 1]`" => message(|| classify(&params, &x, &labels.reshape([2, 1]))),
            "targets `[n]` of predictions `[n, 3]`" => message(|| {
                let mut step = Step::new(|_, [x, y]| loss::mse(layer.forward(x), y));
                Ok(step.run(&mut params.clone(), (&x, &reals))?.loss())
            }),
            "a layer that is not used" => message(|| classify(&unused, &x, &labels)),
            "another store than the model's" => message(|| classify(&apart, &x, &labels)),
            "a learning rate that is far too high" => message(|| fit(1.0, 1e30)),
            "NaN in the data" => message(|| fit(f32::NAN, 0.1)),
            "a column of the history by Keras' name" => message(|| {
                let mut trainer = Trainer::new(Adam::new(0.1), |_, [x, y]| loss::mse(layer.forward(x), y))
                    .early_stopping(EarlyStopping::new("val_loss", 3));
                trainer.fit(&mut params.clone(), |_| [(x.clone(), Tensor::<f32>::ones([2, 3]))])?;
                Ok(())
            }),
            "weights of another model" => message(|| {
                let path = folder.join("weights.safetensors");
                weights::save(&path, &params)?;
                let mut other: Params = Params::new(0);
                Dense::new(&mut other, "output", 5, 3);
                Dense::new(&mut other, "hidden", 5, 3);
                Ok(weights::load(&path, &mut other)?)
            }),
            unknown => panic!("nobody makes the mistake {unknown:?}"),
        };
        let mut rest = found.as_str();
        for part in &said {
            let place = rest.find(part.as_str());
            let place = place.unwrap_or_else(|| panic!("{done}: the guide has {said:?}, what is said is {found:?}"));
            rest = &rest[place + part.len()..];
        }
    }
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}
