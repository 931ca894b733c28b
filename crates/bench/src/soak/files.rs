//! Damaged files for every reader: none panics, none takes memory without bound, none loads a part.

use gradus_graph::check::CountingAllocator;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use gradus_data::image::{Colours, decode as decode_image};
use gradus_data::{Csv, FileArray, FittedState, TableEncoder, TableRecipe, cifar, idx, mnist, npy, npz};
use gradus_graph::{Graph, Params, Tensor, Var};
use gradus_optim::{Accumulator, Adam, Average, Optimizer, ReduceOnPlateau, Stateful};
use gradus_train::{Step, checkpoint, weights};

use super::mutation::{Numbers, mutate};
use crate::folder::Folder;
use crate::table::Table;

/// Bytes that a reader may allocate for a small file, and for each byte of a file.
const ROOM: usize = 1 << 20;
const ROOM_EACH: usize = 16;
/// What the decoder of JPEG may hold beside that, for blocks of pixels that a header promises.
const ROOM_OF_JPEG: usize = 8 << 20;
/// Characters that a message may have.
const MESSAGE: usize = 5_000;

/// Reads a file, given with the number of the original that it was made of: the message, if it is refused. A panic is a
/// fault of the reader, or tells of one.
type Read<'a> = Box<dyn FnMut(&[u8], usize) -> Result<(), String> + 'a>;

pub(super) fn run(table: &mut Table, count: usize) -> bool {
    let folder = Folder::new("files");
    let mut readers = readers(&folder);
    let others: Vec<Vec<u8>> = readers.iter().flat_map(|reader| reader.originals.iter().cloned()).collect();
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let mut right = true;
    let each = count.div_ceil(readers.len());
    for (number, reader) in readers.iter_mut().enumerate() {
        let start = Instant::now();
        let (mut wrong, mut refused, mut peak) = (0, 0, 0);
        for (place, original) in reader.originals.iter().enumerate() {
            assert_eq!((reader.read)(&(reader.pack)(original.clone()), place), Ok(()), "{}: an original", reader.name);
        }
        for case in 0..each {
            let mut numbers = Numbers::new(((number as u64) << 32) | case as u64);
            let place = numbers.below(reader.originals.len());
            let bytes = (reader.pack)(mutate(&mut numbers, &reader.originals[place], &others));
            let (outcome, most) =
                CountingAllocator::peak_of(|| catch_unwind(AssertUnwindSafe(|| (reader.read)(&bytes, place))));
            peak = peak.max(most);
            let fault = match outcome {
                Err(panic) => Some(format!("panicked: {}", said(&*panic))),
                Ok(_) if most > reader.room + ROOM_EACH * bytes.len() => {
                    Some(format!("allocated {most} bytes for a file of {}", bytes.len()))
                }
                Ok(Err(message)) if message.chars().count() > MESSAGE => {
                    Some(format!("has a message of {} bytes", message.len()))
                }
                Ok(outcome) => {
                    refused += usize::from(outcome.is_err());
                    None
                }
            };
            if let Some(fault) = fault {
                wrong += 1;
                if wrong <= 5 {
                    eprintln!("{}, case {case}: {fault}", reader.name);
                }
            }
        }
        row(table, reader.name, each, wrong, refused, peak, start);
        right &= wrong == 0;
    }
    drop(readers);
    set_hook(hook);
    right &= bombs(table, &folder.join("bomb"));
    table.note(format!(
        "a reader may allocate {} KiB and {ROOM_EACH} bytes for each byte of the file; it may not panic, load a part, or \
         say more than {MESSAGE} characters",
        ROOM >> 10
    ));
    right
}

fn row(table: &mut Table, name: &str, cases: usize, wrong: usize, refused: usize, peak: usize, start: Instant) {
    let (seconds, peak) = (start.elapsed().as_secs_f64(), peak as f64 / f64::from(1 << 20));
    table.row(name, &[cases as f64, wrong as f64, refused as f64, peak, seconds, cases as f64 / seconds]);
}

/// What a panic said.
pub(super) fn said(panic: &dyn std::any::Any) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

struct Reader<'a> {
    name: &'static str,
    originals: Vec<Vec<u8>>,
    /// Bytes that it may allocate for a small file.
    room: usize,
    /// What happens to a damaged file before it is read.
    pack: fn(Vec<u8>) -> Vec<u8>,
    read: Read<'a>,
}

fn readers(folder: &Folder) -> Vec<Reader<'_>> {
    let plain: fn(Vec<u8>) -> Vec<u8> = |bytes| bytes;
    let decode = || -> Read<'_> {
        Box::new(|bytes, _| {
            let array = idx::decode(bytes).map_err(|problem| problem.to_string())?;
            assert!(format!("{array:?}").len() < MESSAGE, "the array is printed at length");
            assert_eq!(array.to_f32().shape(), array.shape());
            Ok(())
        })
    };
    let (pair, arrays) = (mnist_files(), idx_files());
    let gzipped = arrays.iter().cloned().map(gzip).collect();
    let reader = |name, originals, read| Reader { name, originals, room: ROOM, pack: plain, read };
    vec![
        reader("IDX", arrays.clone(), decode()),
        Reader { pack: gzip, ..reader("IDX, then gzip", arrays, decode()) },
        reader("gzip of IDX", gzipped, decode()),
        reader("folder of MNIST", pair.clone(), read_mnist(folder, &pair)),
        reader("npy", npy_files(), Box::new(|bytes, _| read_array(npy::decode(bytes)))),
        reader("npz", npz_files(), Box::new(|bytes, _| read_arrays(bytes))),
        reader("fitted values", vec![fitted_file()], Box::new(|bytes, _| read_fitted(bytes))),
        reader("CSV", vec![TABLE.to_vec()], Box::new(|bytes, _| read_table(bytes))),
        reader("CIFAR", vec![[3; 2 * 3073].to_vec()], read_cifar(folder)),
        reader("PNG", vec![PNG.to_vec(), PALETTE.to_vec()], Box::new(|bytes, _| read_image(bytes))),
        Reader { room: ROOM_OF_JPEG, ..reader("JPEG", vec![JPEG.to_vec()], Box::new(|bytes, _| read_image(bytes))) },
        reader("weights", vec![weights_file(folder)], read_weights(folder)),
        reader("some weights", vec![weights_file(folder), checkpoint_file(folder)], read_some_weights(folder)),
        reader("checkpoint", vec![checkpoint_file(folder)], read_run(folder)),
    ]
}

const PNG: &[u8] = include_bytes!("../../../data/tests/recorded/colours.png");
const PALETTE: &[u8] = include_bytes!("../../../data/tests/recorded/palette.png");
const JPEG: &[u8] = include_bytes!("../../../data/tests/recorded/colours.jpg");
const TABLE: &[u8] =
    b"age,fare,class,note\n29,211.5,first,\"Allen, Miss\"\n,20.25,third,\"said \"\"no\"\"\"\n7,,first,\n";

fn npy_files() -> Vec<Vec<u8>> {
    let fortran = b"\x93NUMPY\x02\x00\x40\x00\x00\x00{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }     \n";
    let fortran = [&fortran[..], &[1; 12]].concat();
    vec![npy::encode(Tensor::from_fn([7, 3, 2], |k| k as f32)), npy::encode(Tensor::scalar(1.5)), fortran]
}

fn npz_files() -> Vec<Vec<u8>> {
    let arrays = [("x", FileArray::from(Tensor::from_fn([50, 3], |k| k as f64))), ("y", Tensor::from([true]).into())];
    let arrays = arrays.into_iter().map(|(name, array)| (name.to_owned(), array)).collect();
    vec![npz::encode(&arrays, false), npz::encode(&arrays, true)]
}

fn read_array(array: Result<FileArray, gradus_data::Problem>) -> Result<(), String> {
    let array = array.map_err(|problem| problem.to_string())?;
    assert!(format!("{array:?}").len() < MESSAGE, "the array is printed at length");
    assert_eq!(array.to_f32().shape(), array.shape());
    Ok(())
}

fn read_arrays(bytes: &[u8]) -> Result<(), String> {
    let arrays = npz::decode(bytes).map_err(|problem| problem.to_string())?;
    arrays.into_values().try_for_each(|array| read_array(Ok(array)))
}

fn fitted_file() -> Vec<u8> {
    let table = Csv::new().decode(TABLE).expect("the table is right");
    let encoder = TableRecipe::new().numbers(&["age", "fare"]).categories(&["class"]).fit(&table);
    let mut state = FittedState::new();
    state.put("encoder", &encoder.expect("the table is right"));
    state.put("schema", &table.schema());
    npz::encode(state.arrays(), false)
}

fn read_fitted(bytes: &[u8]) -> Result<(), String> {
    let read = || {
        let state = FittedState::from(npz::decode(bytes)?);
        let encoder: TableEncoder = state.get("encoder")?;
        state.get::<gradus_data::Schema>("schema")?;
        Ok(encoder.features().len())
    };
    read().map(|_| ()).map_err(|problem: gradus_data::Problem| problem.to_string())
}

fn read_table(bytes: &[u8]) -> Result<(), String> {
    let csv = Csv::new();
    let table = csv.decode(bytes).map_err(|error| error.to_string())?;
    let again = csv.decode_as(&csv.encode(&table), &table.schema());
    assert_eq!(again.map(|again| again.len()).map_err(|error| error.to_string()), Ok(table.len()));
    Ok(())
}

fn read_cifar(folder: &Folder) -> Read<'_> {
    let path = folder.join("cifar");
    Box::new(move |bytes, _| {
        std::fs::write(&path, bytes).expect("it can be written");
        cifar::read_10(&path).map(|_| ()).map_err(|error| error.to_string())
    })
}

fn read_image(bytes: &[u8]) -> Result<(), String> {
    let image = decode_image(bytes, Colours::Rgb).map_err(|problem| problem.to_string())?;
    assert!(image.data().iter().all(|pixel| (0.0..=1.0).contains(pixel)));
    Ok(())
}

fn gzip(bytes: Vec<u8>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&bytes).expect("memory takes what is written");
    encoder.finish().expect("memory takes what is written")
}

fn idx_file(code: u8, sizes: &[u32], elements: usize) -> Vec<u8> {
    let sizes_bytes = sizes.iter().flat_map(|size| size.to_be_bytes());
    [0, 0, code, sizes.len() as u8]
        .into_iter()
        .chain(sizes_bytes)
        .chain((0..elements).map(|k| (k % 10) as u8))
        .collect()
}

/// One file of each element type, and one without elements.
fn idx_files() -> Vec<Vec<u8>> {
    let types = [(0x08, 1), (0x09, 1), (0x0b, 2), (0x0c, 4), (0x0d, 4), (0x0e, 8)];
    let full = types.map(|(code, size)| idx_file(code, &[7, 3, 2], 42 * size));
    full.into_iter().chain([idx_file(8, &[0, 28, 28], 0), idx_file(8, &[], 1)]).collect()
}

const MNIST: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

fn mnist_files() -> Vec<Vec<u8>> {
    [(20, true), (20, false), (6, true), (6, false)]
        .map(|(rows, images)| match images {
            true => idx_file(8, &[rows, 4, 4], 16 * rows as usize),
            false => idx_file(8, &[rows], rows as usize),
        })
        .to_vec()
}

fn read_mnist<'a>(folder: &'a Folder, originals: &[Vec<u8>]) -> Read<'a> {
    let home = folder.join("mnist");
    std::fs::create_dir_all(&home).expect("a folder can be made");
    let write =
        move |place: usize, bytes: &[u8]| std::fs::write(home.join(MNIST[place]), bytes).expect("it can be written");
    originals.iter().enumerate().for_each(|(place, bytes)| write(place, bytes));
    let originals = originals.to_vec();
    Box::new(move |bytes, place| {
        write(place, bytes);
        let loaded = mnist::load(folder.join("mnist"));
        write(place, &originals[place]);
        let split = loaded.map_err(|error| error.to_string())?;
        for part in [split.train, split.test] {
            assert_eq!(part.batches(7).map(|batch| batch.len()).sum::<usize>(), part.len());
        }
        Ok(())
    })
}

fn store() -> Params {
    let mut params: Params = Params::new(3);
    params.scope("hidden", |params| {
        params.add("weight", Tensor::from_fn([4, 3], |k| k as f32 + 0.5));
        params.add("bias", Tensor::from([0.5, -1.0, 2.0]));
    });
    params.add("scale", Tensor::scalar(3.0));
    params.add_buffer("mean", Tensor::from([0.25, 0.75]));
    params
}

/// Whether both stores hold the same.
fn equal(a: &Params, b: &Params) -> bool {
    a.iter().map(|(_, value)| value).eq(b.iter().map(|(_, value)| value))
}

fn weights_file(folder: &Folder) -> Vec<u8> {
    let path = folder.join("original");
    weights::save(&path, &store()).expect("it can be written");
    std::fs::read(path).expect("it is there")
}

/// Loads a damaged file into a store, which changes only if that succeeds.
fn load(path: &Path, bytes: &[u8], load: impl FnOnce(&mut Params) -> Result<(), std::io::Error>) -> Result<(), String> {
    std::fs::write(path, bytes).expect("it can be written");
    let mut params = store();
    load(&mut params).map_err(|error| {
        assert!(equal(&params, &store()), "the store has changed");
        error.to_string()
    })
}

fn read_weights(folder: &Folder) -> Read<'_> {
    let path = folder.join("weights");
    Box::new(move |bytes, _| load(&path, bytes, |params| weights::load(&path, params)))
}

fn read_some_weights(folder: &Folder) -> Read<'_> {
    let path = folder.join("some");
    Box::new(move |bytes, original| {
        let source = |name: &str| {
            let wanted = name.starts_with("hidden.");
            wanted.then(|| if original == 0 { name.to_owned() } else { format!("parameters/{name}") })
        };
        load(&path, bytes, |params| weights::load_from(&path, params, source))
    })
}

/// The parts of a run that remember something.
struct Parts<F> {
    step: Step<F, 0>,
    optimizer: Optimizer,
    sum: Accumulator,
    plateau: ReduceOnPlateau,
}

fn parts() -> Parts<impl for<'g> Fn(&'g Graph, [Var<'g>; 0]) -> Var<'g>> {
    Parts {
        step: Step::new(|graph, []| graph.normal([])).seed(9),
        optimizer: Optimizer::new((Adam::new(0.1), Average::ema(0.9))),
        sum: Accumulator::new(),
        plateau: ReduceOnPlateau::new(),
    }
}

impl<F> Parts<F> {
    fn list(&self) -> [(&str, &dyn Stateful<f32>); 4] {
        [("step", &self.step), ("optimizer", &self.optimizer), ("sum", &self.sum), ("plateau", &self.plateau)]
    }

    fn list_mut(&mut self) -> [(&str, &mut dyn Stateful<f32>); 4] {
        let Self { step, optimizer, sum, plateau } = self;
        [("step", step), ("optimizer", optimizer), ("sum", sum), ("plateau", plateau)]
    }
}

fn checkpoint_file(folder: &Folder) -> Vec<u8> {
    let (mut params, mut parts) = (store(), parts());
    let list: Vec<_> = params.trainable().cloned().collect();
    let gradients: Vec<_> = list.iter().map(|param| Tensor::ones(param.shape())).collect();
    for _ in 0..3 {
        parts.optimizer.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
    }
    parts.sum.add(&params, list.iter().zip(&gradients), 2.0).expect("the gradients are right");
    parts.plateau.report(0.5);
    parts.step.set_position(3);
    let path = folder.join("original");
    checkpoint::save(&path, &params, &parts.list()).expect("it can be written");
    std::fs::read(path).expect("it is there")
}

fn read_run(folder: &Folder) -> Read<'_> {
    let path = folder.join("run");
    let mut parts = parts();
    let fresh = parts.list().map(|(_, part)| part.state());
    Box::new(move |bytes, _| {
        let outcome = load(&path, bytes, |params| checkpoint::load(&path, params, &mut parts.list_mut()));
        match &outcome {
            // The next file finds the parts as this one did.
            Ok(()) => {
                for ((_, part), state) in parts.list_mut().into_iter().zip(&fresh) {
                    part.restore(&store(), state).expect("a part takes back its own state");
                }
            }
            Err(_) => assert!(parts.list().map(|(_, part)| part.state()) == fresh, "a part has changed"),
        }
        outcome
    })
}

/// Small files that tell of much, and files of much that is nothing.
fn bombs(table: &mut Table, path: &Path) -> bool {
    let start = Instant::now();
    // A gzip file may have several parts: the header of an IDX file, then zeros.
    const ZEROS: usize = 128;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 1 << 20];
    (0..ZEROS).for_each(|_| encoder.write_all(&block).expect("memory takes what is written"));
    let zeros = encoder.finish().expect("memory takes what is written");
    let telling = |told: usize| [&gzip(idx_file(8, &[told as u32], 0))[..], &zeros].concat();
    let header = |arrays: usize, shape: &str| {
        let array = |k: usize| format!(r#""{k:07}":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}"#);
        let arrays: Vec<String> = (0..arrays).map(array).collect();
        let header = format!("{{{}}}", arrays.join(","));
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
    };
    let axes = format!("[0{}]", ",1".repeat(2_000_000));
    let cases = [
        ("gzip, 128 MiB of zeros, told", telling(ZEROS << 20)),
        ("gzip, 128 MiB of zeros, untold", telling(3)),
        ("IDX, four billion rows of nothing", idx_file(8, &[u32::MAX, 0], 0)),
        ("a million arrays of nothing", header(1_000_000, "[0]")),
        ("an array of two million axes", header(1, &axes)),
    ];
    let (mut wrong, mut refused, mut peak) = (0, 0, 0);
    let count = cases.len();
    for (name, bytes) in cases {
        let (outcome, most) = CountingAllocator::peak_of(|| match name.starts_with('a') {
            true => load(path, &bytes, |params| weights::load(path, params)),
            false => idx::decode(&bytes).map(|array| drop(format!("{array:?}"))).map_err(|problem| problem.to_string()),
        });
        refused += usize::from(outcome.is_err());
        peak = peak.max(most);
        let message = outcome.err().map_or(0, |message| message.chars().count());
        if most > ROOM + ROOM_EACH * bytes.len() || message > MESSAGE {
            wrong += 1;
            eprintln!("{name}: {most} bytes for a file of {}, a message of {message} characters", bytes.len());
        }
    }
    row(table, "files that tell of more than they are", count, wrong, refused, peak, start);
    wrong == 0
}
