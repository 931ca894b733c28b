//! Logs: what they hold after interruptions, what damaged ones say, and what other programs read in them.

use std::fs::{read_to_string, remove_dir_all, write};
use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use gradus_graph::{Graph, Tensor};
use gradus_train::logs::{CsvLog, JsonLines, Logger, TensorBoard};
use gradus_train::{Histogram, Image};
use serde_json::{Value, json};

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gradus-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Steps that one run logs.
fn log(log: &mut dyn Logger, steps: std::ops::RangeInclusive<u64>) {
    for step in steps {
        log.scalar(step, "loss", 1.0 / step as f64).unwrap();
        log.scalar(step, "a, \"b\"", f64::NAN).unwrap();
    }
}

type Opened = Result<Box<dyn Logger>, Error>;

fn csv(path: &Path, resumed: Option<u64>) -> Opened {
    let log = match resumed {
        Some(step) => CsvLog::resume(path, step)?,
        None => CsvLog::create(path)?,
    };
    Ok(Box::new(log))
}

fn json_lines(path: &Path, resumed: Option<u64>) -> Opened {
    let log = match resumed {
        Some(step) => JsonLines::resume(path, step)?,
        None => JsonLines::create(path)?,
    };
    Ok(Box::new(log))
}

type Open = fn(&Path, Option<u64>) -> Opened;

const KINDS: [(&str, Open); 2] = [("csv", csv), ("jsonl", json_lines)];

/// Wherever a run was killed, also within a line, the log of the resumed run is that of an unbroken one.
#[test]
fn a_resumed_log_is_that_of_an_unbroken_run() {
    let folder = folder("resumed-logs");
    for (kind, open) in KINDS {
        let (whole, broken) = (folder.join(format!("whole.{kind}")), folder.join(format!("broken.{kind}")));
        log(&mut *open(&whole, None).unwrap(), 1..=9);
        let wanted = read_to_string(&whole).unwrap();
        for step in 0..=6 {
            let mut first = open(&broken, None).unwrap();
            log(&mut *first, 1..=6);
            drop(first);
            let text = read_to_string(&broken).unwrap();
            for killed in 0..8 {
                write(&broken, &text[..text.len() - killed]).unwrap();
                // Whoever has step 6 has logged it.
                if step == 6 && killed > 0 {
                    break;
                }
                let mut second = open(&broken, Some(step)).unwrap();
                log(&mut *second, step + 1..=9);
                assert_eq!(read_to_string(&broken).unwrap(), wanted, "{kind}, resumed at {step}, {killed} bytes lost");
            }
        }
        // Without a file it begins.
        let new = folder.join("in/a/new/folder").join(kind);
        log(&mut *open(&new, Some(100)).unwrap(), 1..=9);
        assert_eq!(read_to_string(&new).unwrap(), wanted);
    }
    remove_dir_all(&folder).unwrap();
}

#[test]
fn damaged_logs_are_refused_and_stay_as_they_are() {
    let folder = folder("damaged-logs");
    let rows: [(&str, &[u8], &str); 7] = [
        ("csv", b"a,b,c\n1,loss,0.5\n", "it is not such a log: the first line is not `step,name,value`"),
        ("csv", b"step,name,value\n1,loss,0.5\nx,loss,0.5\n", "line 3: the step `x` is no number"),
        ("csv", b"step,name,value\nloss\n", "line 2: it has one column"),
        ("csv", b"\xff\xfe\n", "it is not UTF-8"),
        ("jsonl", b"{\"step\":1}\n{\"step\":}\n", "line 2: it is no record: expected value at line 1 column 9"),
        ("jsonl", b"{\"name\":1}\n", "line 1: it is no record: missing field `step` at line 1 column 10"),
        (
            "jsonl",
            b"{\"step\":-1}\n",
            "line 1: it is no record: invalid value: integer `-1`, expected u64 at line 1 column 10",
        ),
    ];
    for (kind, bytes, wanted) in rows {
        let path = folder.join(format!("damaged.{kind}"));
        write(&path, bytes).unwrap();
        let open = KINDS.iter().find(|(name, _)| *name == kind).unwrap().1;
        let problem = open(&path, Some(5)).err().expect("it is damaged").to_string();
        assert_eq!(problem, format!("{}: {wanted}", path.display()));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    // A folder in the place of a file.
    for (_, open) in KINDS {
        for resumed in [None, Some(1)] {
            let problem = open(&folder, resumed).err().expect("it is a folder").to_string();
            assert!(problem.starts_with(&folder.display().to_string()), "{problem}");
        }
    }
    remove_dir_all(&folder).unwrap();
}

/// Whatever happened to the bytes of a log, it is refused and stays as it is, or what is kept is a log.
#[test]
fn a_log_with_other_bytes_is_refused_or_continued() {
    let folder = folder("other-bytes");
    let mut random = gradus_graph::Random::new(7);
    for (kind, open) in KINDS {
        let path = folder.join(kind);
        let mut original = open(&path, None).unwrap();
        log(&mut *original, 1..=6);
        drop(original);
        let bytes = std::fs::read(&path).unwrap();
        let mut refused = 0;
        for _ in 0..500 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(3) {
                let (place, byte) = (random.below(damaged.len()), random.below(256) as u8);
                match random.below(4) {
                    0 => damaged[place] = byte,
                    1 => damaged.insert(place, byte),
                    2 => damaged.truncate(place.max(1)),
                    _ => damaged[place] ^= 1 << random.below(8),
                }
            }
            write(&path, &damaged).unwrap();
            let opened = open(&path, Some(4)).map(drop);
            let after = std::fs::read(&path).unwrap();
            match opened {
                Err(problem) => {
                    refused += 1;
                    assert_eq!(after, damaged, "{problem}");
                    assert!(problem.to_string().len() < 1000);
                }
                Ok(()) => {
                    assert!(open(&path, Some(4)).is_ok());
                    assert_eq!(std::fs::read(&path).unwrap(), after);
                }
            }
        }
        assert!((50..450).contains(&refused), "{kind}: {refused}");
    }
    remove_dir_all(&folder).unwrap();
}

#[test]
fn two_runs_do_not_write_to_one_file() {
    let folder = folder("two-runs");
    for (kind, open) in KINDS {
        let path = folder.join(kind);
        let mut first = open(&path, None).unwrap();
        first.scalar(1, "loss", 1.0).unwrap();
        let before = read_to_string(&path).unwrap();
        for resumed in [None, Some(0)] {
            let problem = open(&path, resumed).err().expect("it is in use").to_string();
            assert_eq!(problem, format!("{}: another logger writes to it at present", path.display()));
        }
        assert_eq!(read_to_string(&path).unwrap(), before);
        drop(first);
        assert!(open(&path, Some(1)).is_ok());
    }
    let problem = csv(&folder.join("breaks"), None).unwrap().scalar(1, "a\nb", 1.0).unwrap_err().to_string();
    assert_eq!(problem, "the name \"a\\nb\" has a line break, which a line of a table has not");
    remove_dir_all(&folder).unwrap();
}

#[test]
fn histograms_are_json_too() {
    let folder = folder("json-histograms");
    let path = folder.join("log.jsonl");
    let mut log = JsonLines::create(&path).unwrap();
    log.histogram(7, "w", &Histogram::of(&[0.0, 0.5, 2.0, f64::INFINITY], 2)).unwrap();
    log.image(7, "left out", &Image::of(&Tensor::<f32>::zeros([1, 1]))).unwrap();
    log.flush().unwrap();
    let wanted = "{\"step\":7,\"name\":\"w\",\"edges\":[0.0,1.0,2.0],\"counts\":[2,1],\"not_finite\":1}\n";
    assert_eq!(read_to_string(&path).unwrap(), wanted);
    remove_dir_all(&folder).unwrap();
}

/// Runs a program of Python's, whose path may be given by the variable `PYTHON`.
fn python(arguments: &[&str]) -> Value {
    let program = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(program).args(arguments).output().expect("Python is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

#[test]
#[ignore = "needs Python with the package tensorboard; PYTHON names the program"]
fn tensorboard_reads_what_is_logged() {
    let folder = folder("tensorboard-reads");
    let graph = Graph::new();
    let x = graph.input("x", [4, 3]);
    let scope = graph.scope("head");
    let _ = (x * x).sum();
    drop(scope);
    let mut board = TensorBoard::create(&folder).unwrap();
    board.graph(&graph).unwrap();
    for step in 1..=5 {
        board.scalar(step, "loss/train", 1.0 / step as f64).unwrap();
        board.scalar(step, "loss/validation", f64::from(step as u32)).unwrap();
    }
    let weights: Vec<f64> = (0..100).map(|k| f64::from(k).sin()).collect();
    let histogram = Histogram::of(&weights, 10);
    board.histogram(3, "weight", &histogram).unwrap();
    let pixels = Tensor::from_fn([3, 2, 4], |k| k as f64 / 23.0);
    let image = Image::of(&pixels);
    board.image(2, "image", &image).unwrap();
    board.flush().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/read_events.py");
    let read = || python(&[script.to_str().unwrap(), folder.to_str().unwrap()]);
    let found = read();
    assert_eq!(found["version"], 2.0);
    let single = |value: f64| f64::from(value as f32);
    let losses: Vec<Value> = (1..=5).map(|step| json!([step, single(1.0 / f64::from(step))])).collect();
    assert_eq!(found["scalars"]["loss/train"], json!(losses));
    let read_back = &found["histograms"]["weight"][0];
    assert_eq!(read_back["step"], 3);
    assert_eq!(read_back["num"], 100.0);
    // serde_json may read a number of seventeen digits as its neighbour.
    let close = |found: &Value, wanted: f64| (found.as_f64().unwrap() - wanted).abs() <= 1e-15 * wanted.abs();
    assert!(close(&read_back["sum"], histogram.sum()) && close(&read_back["sum_squares"], histogram.sum_of_squares()));
    let limits = read_back["limits"].as_array().unwrap();
    assert!(limits.iter().zip(&histogram.edges()[1..]).all(|(found, edge)| close(found, *edge)), "{limits:?}");
    let counts: Vec<f64> = histogram.counts().iter().map(|&count| count as f64).collect();
    assert_eq!((limits.len(), &read_back["counts"]), (10, &json!(counts)));
    assert_eq!(found["images"]["image"][0], json!([2, 2, 4, image.png().len()]));
    if let Some(pixels) = found.get("pixels") {
        assert_eq!(pixels["image"][0], json!(image.bytes()));
    }
    let nodes = json!([
        ["x", "input", [], [[4, 3]]],
        ["head/mul", "mul", ["x", "x"], [[4, 3]]],
        ["head/sum", "sum", ["head/mul"], [[]]]
    ]);
    assert_eq!(found["graph"], nodes);
    // A run that continues after step 3 takes the place of what came later.
    let mut board = TensorBoard::resume(&folder, 3).unwrap();
    board.scalar(4, "loss/train", 8.0).unwrap();
    let continued = read();
    assert_eq!(continued["scalars"]["loss/train"], json!([losses[0], losses[1], losses[2], [4, 8.0]]));
    assert_eq!(continued["scalars"]["loss/validation"], json!([[1, 1.0], [2, 2.0], [3, 3.0]]));
    remove_dir_all(&folder).unwrap();
}

#[test]
#[ignore = "needs Python with the package pandas; PYTHON names the program"]
fn pandas_reads_the_table() {
    let folder = folder("pandas-reads");
    let path = folder.join("run.csv");
    let mut table = CsvLog::create(&path).unwrap();
    log(&mut table, 1..=3);
    table.scalar(4, "loss", f64::NEG_INFINITY).unwrap();
    table.scalar(5, "loss", 1e-300).unwrap();
    let script = "import json, sys, pandas as pd\n\
                  t = pd.read_csv(sys.argv[1])\n\
                  t = t.pivot(index='step', columns='name', values='value')\n\
                  print(json.dumps([list(t.columns), [str(x) for x in t['loss']], str(t.dtypes.iloc[1])]))";
    let found = python(&["-c", script, path.to_str().unwrap()]);
    let values = ["1.0", "0.5", "0.3333333333333333", "-inf", "1e-300"];
    assert_eq!(found, json!([["a, \"b\"", "loss"], values, "float64"]));
    remove_dir_all(&folder).unwrap();
}
