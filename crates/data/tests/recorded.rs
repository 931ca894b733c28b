//! What NumPy, pandas, Pillow and scikit-learn wrote and computed (`recorded/make.py`) is read and computed in the same
//! way here; and they read what is written here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gradus_data::{
    Categories, FileArray, Filling, FittedState, Impute, MinMax, OneHot, Standardize, balance, folds, npy, npz,
};
use gradus_graph::Tensor;

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)
}

/// As `values` of the script, by the names of NumPy.
fn values() -> BTreeMap<String, FileArray> {
    macro_rules! integers {
        ($($name:literal $type:ty),*) => {
            [$(($name, FileArray::from(Tensor::from_rows([[1 as $type, 2, 3], [<$type>::MAX, <$type>::MIN, 100]])))),*]
        };
    }
    let integers = integers!("uint8" u8, "uint16" u16, "uint32" u32, "uint64" u64, "int8" i8, "int16" i16, "int32" i32, "int64" i64);
    // The halves nearest to 0.1 and to the least and largest halves.
    let f16 = Tensor::from_rows([[0.099_975_586, -2.5, 65_504.0], [2.0_f32.powi(-24), f32::INFINITY, -0.0]]);
    let f32 = Tensor::from_rows([[0.1, -2.5, f32::MAX], [f32::from_bits(1), f32::INFINITY, -0.0]]);
    let f64 = Tensor::from_rows([[0.1, -2.5, f64::MAX], [5e-324, f64::INFINITY, -0.0]]);
    let bools = Tensor::from_rows([[true, false, false], [true, true, false]]);
    let others = [
        ("bool", FileArray::from(bools)),
        ("float16", FileArray::F16(f16)),
        ("float32", FileArray::from(f32)),
        ("float64", FileArray::from(f64)),
    ];
    integers.into_iter().chain(others).map(|(name, array)| (name.to_owned(), array)).collect()
}

#[test]
fn arrays_of_every_type_order_and_version_are_read() {
    let (arrays, values) = (npz::read(recorded("arrays.npz")).unwrap(), values());
    assert_eq!(arrays.len(), 12 * 2 * 2 * 3);
    for (name, array) in &arrays {
        let kind = name.split('-').next().unwrap();
        assert_eq!(array, &values[kind], "{name}");
        // -0 equals 0.
        assert_eq!(npy::encode(array), npy::encode(&values[kind]), "{name}");
    }
}

#[test]
fn archives_of_every_kind_are_read() {
    let arrays = npz::read(recorded("deflated.npz")).unwrap();
    let large = Tensor::from_fn([20, 300], |k| k as i32);
    assert_eq!(arrays["large"], FileArray::from(&large));
    assert_eq!(arrays["scalar"], FileArray::from(Tensor::scalar(2.5)));
    assert_eq!(arrays["none"].shape().sizes(), [0, 4]);
    let streamed = npz::read(recorded("streamed.npz")).unwrap();
    assert_eq!(streamed["streamed"], FileArray::from(large.rows(0, 2)));
}

/// The arrays that the script expects in the archives.
fn archive() -> BTreeMap<String, FileArray> {
    let mut arrays = values();
    arrays.insert("scalar".into(), Tensor::scalar(2.5).into());
    arrays.insert("none".into(), Tensor::<f32>::zeros([0, 4]).into());
    arrays.insert("line".into(), Tensor::from([1_u8, 2, 3]).into());
    arrays
}

#[test]
fn what_is_written_is_read_again() {
    let arrays = archive();
    for compressed in [false, true] {
        assert_eq!(npz::decode(&npz::encode(&arrays, compressed)).unwrap(), arrays);
    }
    assert_eq!(npz::decode(&npz::encode(&BTreeMap::new(), false)).unwrap(), BTreeMap::new());
    for array in arrays.values() {
        assert_eq!(&npy::decode(&npy::encode(array)).unwrap(), array);
    }
}

#[cfg(feature = "csv")]
#[test]
fn tables_of_pandas_are_read_and_come_back() {
    use gradus_data::{Column, Csv};
    for (name, csv) in [("pandas.csv", Csv::new()), ("pandas.tsv", Csv::tsv())] {
        let csv = csv.text("word");
        let table = csv.read(recorded(name)).unwrap();
        let numbers = table.numbers::<f64>(&["number"]).unwrap();
        assert_eq!(numbers.data()[2..], [1e300, -5e-324]);
        assert_eq!((numbers.data()[0], numbers.data()[1].is_nan()), (0.1, true));
        assert_eq!(table.labels("integer").unwrap().data(), [1, -2, 3, i64::MAX]);
        let Column::Text(words) = table.column("word").unwrap() else { panic!("{table:?}") };
        assert!(words.iter().eq(["plain", "a \"quoted\", one", "", "two\nlines"]));
        let again = csv.decode(&csv.encode(&table)).unwrap();
        assert_eq!(csv.encode(&again), csv.encode(&table));
    }
}

#[cfg(feature = "csv")]
#[test]
#[ignore = "needs Python with numpy and pandas; PYTHON names the program"]
fn others_read_what_we_write() {
    use gradus_data::Csv;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("written");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, array) in values() {
        std::fs::write(folder.join(format!("{name}.npy")), npy::encode(array)).unwrap();
    }
    std::fs::write(folder.join("stored.npz"), npz::encode(&archive(), false)).unwrap();
    std::fs::write(folder.join("deflated.npz"), npz::encode(&archive(), true)).unwrap();
    let csv = Csv::new().text("word");
    let table = csv.read(recorded("pandas.csv")).unwrap();
    std::fs::write(folder.join("table.csv"), csv.encode(&table)).unwrap();
    std::fs::write(folder.join("table.tsv"), Csv::tsv().encode(&table)).unwrap();
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let done = std::process::Command::new(python).arg(recorded("make.py")).arg("check").arg(&folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn cases() -> BTreeMap<String, FileArray> {
    npz::read(recorded("cases.npz")).unwrap()
}

#[track_caller]
fn close(found: &Tensor<f64>, expected: &FileArray) {
    assert_eq!(found.shape(), expected.shape());
    for (found, expected) in found.data().iter().zip(expected.to_f64().data()) {
        let near = (found - expected).abs() <= 1e-12 * expected.abs().max(1.0);
        assert!(near || found.is_nan() && expected.is_nan(), "{found} {expected}");
    }
}

/// Puts a value into a file and takes it out again.
fn kept<F: gradus_data::Fitted>(value: &F) -> F {
    let mut state = FittedState::new();
    state.put("value", value);
    FittedState::from(npz::decode(&npz::encode(state.arrays(), false)).unwrap()).get("value").unwrap()
}

#[test]
fn scales_are_those_of_scikit_learn() {
    let cases = cases();
    let later = cases["later"].to_f64();
    for name in ["x", "holes"] {
        let x = cases[name].to_f64();
        let scale = kept(&Standardize::fit(&x).unwrap());
        close(&Tensor::from(scale.means().to_vec()), &cases[&format!("standard/{name}/mean")]);
        close(&Tensor::from(scale.deviations().to_vec()), &cases[&format!("standard/{name}/scale")]);
        close(&scale.transform(&later), &cases[&format!("standard/{name}/of")]);
        close(&scale.transform(&x), &cases[&format!("standard/{name}/own")]);
        close(&scale.inverse(&later), &cases[&format!("standard/{name}/back")]);
        for (low, high) in [(0.0, 1.0), (-1.0, 3.0)] {
            let scale = kept(&MinMax::fit(&x, low, high).unwrap());
            close(&scale.transform(&later), &cases[&format!("minmax/{name}/{low}/of")]);
            close(&scale.inverse(&later), &cases[&format!("minmax/{name}/{low}/back")]);
        }
    }
}

#[test]
fn fillings_are_those_of_scikit_learn() {
    let cases = cases();
    let holes = cases["holes"].to_f64();
    let fillings = [
        ("mean", Filling::Mean),
        ("median", Filling::Median),
        ("most_frequent", Filling::MostFrequent),
        ("constant", Filling::Constant(-7.5)),
    ];
    for (name, filling) in fillings {
        let fill = kept(&Impute::fit(&holes, filling).unwrap());
        close(&fill.transform(&holes), &cases[&format!("impute/{name}")]);
    }
}

#[test]
fn codes_are_those_of_scikit_learn() {
    let cases = cases();
    let codes = cases["codes"].to_i64().unwrap();
    let one_hot = kept(&OneHot::fit(&codes));
    let features = one_hot.transform::<f64>(&codes).unwrap();
    close(&features, &cases["onehot"]);
    assert_eq!(one_hot.inverse(&features), codes);
    let words = ["pear", "apple", "fig", "Zebra", "apple", "éclair", "fig"];
    let categories = kept(&Categories::fit(words));
    assert_eq!(Some(categories.transform(words).unwrap()), cases["ordinal"].to_i64());
}

#[test]
fn folds_and_weights_are_those_of_scikit_learn() {
    let cases = cases();
    let (labels, groups) = (cases["labels"].to_i64().unwrap(), cases["groups"].to_i64().unwrap());
    let found = [
        ("in_order", folds::in_order(labels.len(), 4)),
        ("stratified", folds::stratified(labels.data(), 4)),
        ("grouped", folds::grouped(groups.data(), 3)),
        ("by_time", folds::by_time(labels.len(), 4, 0)),
        ("by_time_gap", folds::by_time(labels.len(), 3, 2)),
    ];
    for (name, folds) in found {
        for (k, fold) in folds.iter().enumerate() {
            for (part, rows) in [("train", &fold.train), ("test", &fold.test)] {
                let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
                let expected = cases[&format!("fold/{name}/{k}/{part}")].to_i64().unwrap();
                assert_eq!(rows, expected.data(), "{name} {k} {part}");
            }
        }
        assert!(!cases.contains_key(&format!("fold/{name}/{}/train", folds.len())));
    }
    close(&balance::class_weights(labels.data(), 3), &cases["weights"]);
}

#[cfg(feature = "images")]
mod images {
    use super::*;
    use gradus_data::Rows;
    use gradus_data::image::{self, Colours, ImageFolder};

    /// The pixels that Pillow has, `[channel, row, column]`, 0 to 1.
    fn pixels(name: &str) -> Tensor<f32> {
        let pixels = cases()[&format!("image/{name}")].to_f32().map(|pixel| pixel / 255.0);
        match pixels.shape().rank() {
            2 => pixels.reshape([1, 9, 11]),
            _ => pixels.permute([2, 0, 1]),
        }
    }

    fn read(name: &str, colours: Colours) -> Tensor<f32> {
        image::read(recorded(name), colours).unwrap()
    }

    #[test]
    fn a_png_of_every_kind_is_read() {
        assert_eq!(read("colours.png", Colours::Rgb), pixels("colours"));
        assert_eq!(read("interlaced.png", Colours::Rgb), pixels("colours"));
        assert_eq!(read("alpha.png", Colours::Rgb), pixels("colours"));
        assert_eq!(read("palette.png", Colours::Rgb), pixels("palette"));
        assert_eq!(read("grey.png", Colours::Grey), pixels("grey"));
        assert_eq!(read("sixteen.png", Colours::Grey), pixels("grey"));
        let bits = pixels("grey").map(|&pixel| f32::from(u8::from(pixel > 120.0 / 255.0)));
        assert_eq!(read("bits.png", Colours::Grey), bits);
        assert_eq!(read("grey.png", Colours::Rgb), Tensor::concat(&vec![pixels("grey"); 3], 0));
        let [red, green, blue] = [0, 1, 2].map(|k| pixels("colours").rows(k, k + 1));
        let grey = red.zip_map(&green, |r, g| 0.299 * r + 0.587 * g).zip_map(&blue, |rg, b| rg + 0.114 * b);
        read("colours.png", Colours::Grey).assert_close(&grey, 1e-6, 1e-6);
    }

    /// The inverse transform and the interpolation of colours are each decoder's own: a few levels of 255.
    #[test]
    fn a_jpeg_of_every_kind_is_read() {
        for name in ["colours.jpg", "progressive.jpg"] {
            read(name, Colours::Rgb).assert_close(&pixels(name), 0.0, 4.0 / 255.0);
        }
        read("grey.jpg", Colours::Grey).assert_close(&pixels("grey.jpg"), 0.0, 2.0 / 255.0);
    }

    #[test]
    fn a_folder_has_a_class_for_each_subfolder() {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("classes");
        for (class, names) in [("dark", &["grey.png", "grey.jpg"][..]), ("bright", &["colours.png"])] {
            std::fs::create_dir_all(folder.join(class)).unwrap();
            for name in names {
                std::fs::copy(recorded(name), folder.join(class).join(name)).unwrap();
            }
        }
        std::fs::write(folder.join("dark/notes.txt"), "").unwrap();
        let images = ImageFolder::open(&folder, Colours::Rgb).unwrap();
        assert_eq!(images.classes().names(), ["bright", "dark"]);
        assert_eq!(images.labels().data(), [0, 1, 1]);
        let batch = images.get(&[2, 0]).unwrap();
        assert_eq!((batch.inputs.shape().sizes(), batch.targets.data()), (&[2, 3, 9, 11][..], &[1, 0][..]));
        assert_eq!(batch.inputs.rows(1, 2).reshape([3, 9, 11]), pixels("colours"));
        let small = images.resized(4, 5).get(&[0, 1]).unwrap();
        assert_eq!(small.inputs.shape().sizes(), [2, 3, 4, 5]);
    }
}
