//! Wrong files, columns, types and shapes, and what is said of them: `messages.md` is the table, and a test keeps it.
//!
//! No bytes make a reader panic, and each takes memory in proportion to its file.

#![cfg(feature = "csv")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use gradus_data::{
    Categories, Column, Csv, FileArray, FileRows, Filling, FittedState, Impute, OneHot, Rows, Standardize, Table,
    TableRecipe, cifar, npy, npz, text,
};
use gradus_graph::Tensor;
use gradus_graph::check::CountingAllocator;
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wrong-data");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The cases, and the message of each.
#[derive(Default)]
struct Messages(Vec<(&'static str, String)>);

impl Messages {
    #[track_caller]
    fn add<T: std::fmt::Debug, E: std::fmt::Display>(&mut self, what: &'static str, result: Result<T, E>) {
        let message = match result {
            Ok(value) => panic!("{what} is not refused: {value:?}"),
            Err(error) => error.to_string(),
        };
        let folder = folder().display().to_string();
        self.0.push((what, message.replace(&format!("{folder}/"), "").replace(&folder, "folder")));
    }

    /// Of a reader of files, with this content.
    #[track_caller]
    fn file<T: std::fmt::Debug, E: std::fmt::Display>(
        &mut self,
        what: &'static str,
        name: &str,
        content: &[u8],
        read: impl Fn(&Path) -> Result<T, E>,
    ) {
        let path = folder().join(name);
        fs::write(&path, content).unwrap();
        self.add(what, read(&path));
    }
}

fn npy_of(header: &str) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat()
}

fn tables(messages: &mut Messages) {
    let csv = Csv::new();
    let read = |csv: Csv| move |path: &Path| csv.read(path);
    messages.file("no header", "empty.csv", b"", read(csv.clone()));
    messages.file("too few cells", "short.csv", b"a,b,c\n1,2,3\n4,5\n", read(csv.clone()));
    messages.file("too many cells", "long.csv", b"a\n1\n\n2,3\n", read(csv.clone()));
    messages.file("an open quote", "quote.csv", b"a,b\n1,\"two\n3,four\n", read(csv.clone()));
    messages.file("two columns of a name", "twice.csv", b"age,name,age\n1,x,2\n", read(csv.clone()));
    messages.file("no number", "number.csv", b"age,fare\n29,7\n\"3\n5\",8\n4o,9\n", read(csv.clone().number("age")));
    messages.file("no integer", "integer.csv", b"age\n29\n2.5\n", read(csv.clone().integer("age")));
    messages.file("a missing integer", "missing.csv", b"age,fare\n29,1\nNA,2\n", read(csv.clone().integer("age")));
    messages.file("a number beyond f64", "large.csv", b"x\n1e999\n", read(csv.clone().number("x")));
    messages.file(
        "a declared column that is not there",
        "declared.csv",
        b"age,fare\n1,2\n",
        read(csv.clone().text("name")),
    );
    messages.file("a cell that is not UTF-8", "latin.csv", b"name,age\nM\xfcller,3\n", read(csv.clone()));
    messages.file("a name that is not UTF-8", "latin-name.csv", b"gr\xf6\xdfe\n3\n", read(csv.clone()));
    let classes = csv.clone().categories("class", ["first", "second"]).unwrap();
    messages.file("an unknown category", "category.csv", b"class\nfirst\nthird\n", read(classes));
    messages.add("a category that is given twice", csv.clone().categories("class", ["a", "b", "a"]));
    let table = csv.decode(b"age,team,word,gap\n20,red,x1,\n30,blue,y2,1\n3o,red,z,2\n").unwrap();
    let schema = table.schema();
    messages.file("a later file without a column", "later.csv", b"age,team\n1,red\n", |path: &Path| {
        csv.read_as(path, &schema)
    });
    messages.file("a later file with another category", "green.csv", b"team\ngreen\n", |path: &Path| {
        csv.read_as(path, &schema.only(&["team"]).unwrap())
    });
    messages.add("a column that is not there", table.column("Age"));
    messages.add("numbers of a column with a word in it", table.numbers::<f32>(&["age"]));
    messages.add("labels of numbers", table.labels("gap"));
    let teams = csv.decode(b"team,x\nred,1\n,2\n").unwrap();
    messages.add("a missing label", teams.labels("team"));
    let ages = ("age".to_owned(), Column::Number(Tensor::from([1.0])));
    messages.add(
        "columns of different lengths",
        Table::new([ages, ("b".into(), Column::Number(Tensor::from([1.0, 2.0])))]),
    );
    messages.add("a recipe of numbers for categories", TableRecipe::new().numbers(&["team"]).fit(&teams));
    messages.add("a recipe of categories for numbers", TableRecipe::new().categories(&["x"]).fit(&teams));
    let encoder = TableRecipe::new().categories(&["team"]).fit(&teams).unwrap();
    messages.add("an encoder for other categories", encoder.transform::<f32>(&csv.decode(b"team\nblue\n").unwrap()));
    let empty = csv.decode(b"x,y\n,1\n,2\n").unwrap();
    messages.add("a column of nothing", TableRecipe::new().numbers(&["y", "x"]).fit(&empty));
}

fn arrays(messages: &mut Messages) {
    let whole = npy::encode(Tensor::from_fn([4, 3], |k| k as f32));
    messages.add("an npy file that is none", npy::decode(b"PK\x03\x04"));
    messages.add("an empty npy file", npy::decode(b""));
    messages.add("an npy file of a later version", npy::decode(b"\x93NUMPY\x04\x00\x10\x00"));
    messages.add("an npy file that is cut short", npy::decode(&whole[..whole.len() - 1]));
    messages.add("an npy file with something appended", npy::decode(&[&whole[..], &[0; 3]].concat()));
    messages.add("an npy header that is cut short", npy::decode(&whole[..40]));
    messages.add("an npy header of nonsense", npy::decode(&npy_of("{'descr': '<f4', 'shape': (3,)}")));
    messages.add("objects", npy::decode(&npy_of("{'descr': '|O', 'fortran_order': False, 'shape': (3,), }")));
    messages.add("complex numbers", npy::decode(&npy_of("{'descr': '<c8', 'fortran_order': False, 'shape': (3,), }")));
    messages.add("texts", npy::decode(&npy_of("{'descr': '<U7', 'fortran_order': False, 'shape': (3,), }")));
    messages.add("records", npy::decode(&npy_of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }")));
    messages.add(
        "sizes that lie",
        npy::decode(&npy_of("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999), }")),
    );
    let arrays =
        BTreeMap::from([("x".to_owned(), npy::decode(&whole).unwrap()), ("y".into(), Tensor::from([1_i64]).into())]);
    let (stored, deflated) = (npz::encode(&arrays, false), npz::encode(&arrays, true));
    messages.add("an npz file that is none", npz::decode(&whole));
    messages.add("an npz file that is cut short", npz::decode(&stored[..stored.len() - 1]));
    let mut damaged = stored.clone();
    damaged[170] ^= 1;
    messages.add("a damaged member", npz::decode(&damaged));
    let mut damaged = deflated.clone();
    damaged[60] ^= 0xff;
    messages.add("a damaged deflated member", npz::decode(&damaged));
    let mut method = stored.clone();
    let central = method.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    method[central + 10] = 12;
    messages.add("another compression", npz::decode(&method));
    let mut encrypted = stored.clone();
    encrypted[central + 8] |= 1;
    messages.add("an encrypted member", npz::decode(&encrypted));
    messages.file("rows of a compressed file", "rows.idx.gz", &[0x1f, 0x8b, 8], |path: &Path| FileRows::open(path));
    let fortran = npy_of("{'descr': '|u1', 'fortran_order': True, 'shape': (1, 2), }");
    messages.file("rows in Fortran order", "fortran.npy", &[&fortran[..], &[1, 2]].concat(), |path: &Path| {
        FileRows::open(path)
    });
    messages
        .file("rows of a scalar", "scalar.npy", &npy::encode(Tensor::scalar(1.0)), |path: &Path| FileRows::open(path));
    messages.file("rows of a short file", "short.npy", &whole[..whole.len() - 5], |path: &Path| FileRows::open(path));
    messages.file("a wrong size of CIFAR", "cifar.bin", &[0; 5000], |path: &Path| cifar::read_10(path));
    messages.file("a wrong label of CIFAR", "label.bin", &[11; 3073], |path: &Path| cifar::read_10(path));
    messages.file("a text that is not UTF-8", "latin.txt", b"one\ntw\xf6\n", |path: &Path| text::read(path));
}

fn fits(messages: &mut Messages) {
    let x = Tensor::from_rows([[1.0, f64::INFINITY], [2.0, 3.0]]);
    messages.add("an infinite value", Standardize::fit(&x));
    messages.add("a feature of nothing", Impute::fit(&Tensor::from_rows([[1.0, f64::NAN]]), Filling::Mean));
    messages.add("a code that was not fitted", OneHot::of(3).transform::<f32>(&Tensor::from([0, 3])));
    messages.add("a name that is no category", Categories::fit(["a", "b"]).transform(["c"]));
    let mut state = FittedState::new();
    state.put("scale", &Standardize::fit(&Tensor::from([1.0, 2.0])).unwrap());
    messages.add("a fitted value that is not there", state.get::<Standardize>("inputs"));
    messages.add("a fitted value of another type", state.get::<Impute>("scale"));
    let lengths = [("scale.means", vec![1.0]), ("scale.deviations", vec![1.0, 2.0])];
    let arrays: BTreeMap<String, FileArray> =
        lengths.into_iter().map(|(name, values)| (name.to_owned(), Tensor::from(values).into())).collect();
    messages.add("a fitted value in parts", FittedState::from(arrays).get::<Standardize>("scale"));
}

#[cfg(feature = "images")]
fn images(messages: &mut Messages) {
    use gradus_data::image::{self, Colours, ImageFolder};
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    messages.add("no image", image::decode(b"GIF89a", Colours::Rgb));
    let png = fs::read(recorded.join("colours.png")).unwrap();
    messages.add("a PNG that is cut short", image::decode(&png[..png.len() - 20], Colours::Rgb));
    let jpeg = fs::read(recorded.join("colours.jpg")).unwrap();
    messages.add("a JPEG that is cut short", image::decode(&jpeg[..jpeg.len() / 2], Colours::Rgb));
    let classes = folder().join("images");
    fs::create_dir_all(classes.join("cat")).unwrap();
    messages.add("a folder without classes", ImageFolder::open(classes.join("cat"), Colours::Rgb));
    let _ = fs::remove_file(classes.join("cat/small.png"));
    let _ = fs::remove_file(classes.join("cat/tall.png"));
    messages.add("a class without images", ImageFolder::open(&classes, Colours::Rgb));
    fs::copy(recorded.join("grey.png"), classes.join("cat/small.png")).unwrap();
    // The same pixels as eleven rows of nine.
    fs::write(classes.join("cat/tall.png"), turned(&png)).unwrap();
    let folder = ImageFolder::open(&classes, Colours::Rgb).unwrap();
    messages.add("images of different sizes", folder.get(&[0, 1]));
}

/// A PNG of one more row than it has is missing one; of one less it is whole.
#[cfg(feature = "images")]
fn turned(png: &[u8]) -> Vec<u8> {
    let mut bytes = png.to_vec();
    bytes[23] -= 1;
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes
}

#[test]
fn the_table_of_messages_is_kept() {
    let mut messages = Messages::default();
    tables(&mut messages);
    arrays(&mut messages);
    fits(&mut messages);
    #[cfg(feature = "images")]
    images(&mut messages);
    assert!(messages.0.len() >= 30);
    let mut page = String::from("| what is wrong | what is said |\n|---|---|\n");
    for (what, message) in &messages.0 {
        assert!(!message.contains('\n') && message.chars().count() < 400, "{what}: {message}");
        writeln!(page, "| {what} | {} |", message.replace('|', "\\|")).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages.md");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let recorded = fs::read_to_string(&path).unwrap();
    // Without the feature `images`, the table is shorter.
    for line in page.lines() {
        assert!(recorded.contains(line), "{line}\nis not in {}; UPDATE=1 writes it", path.display());
    }
}

/// What a reader does with bytes.
type Reader = fn(&[u8]);

fn readers() -> Vec<(&'static str, Vec<Vec<u8>>, Reader)> {
    let recorded =
        |name: &str| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)).unwrap();
    let npy_file = npy::encode(Tensor::from_fn([4, 3], |k| k as f32));
    let fortran = npy_of("{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }");
    let csv = b"a,b,class,note\n1,2.5,x,\"one, two\"\n,3,y,three\n7,,x,\"\"\"four\"\"\"\n".to_vec();
    #[allow(unused_mut)]
    let mut readers: Vec<(&'static str, Vec<Vec<u8>>, Reader)> = vec![
        ("npy", vec![npy_file, [fortran, vec![7; 12]].concat()], |bytes| {
            if let Ok(array) = npy::decode(bytes) {
                assert_eq!(npy::decode(&npy::encode(&array)).unwrap().shape(), array.shape());
            }
        }),
        (
            "npz",
            vec![recorded("deflated.npz"), recorded("streamed.npz"), npz::encode(&BTreeMap::new(), true)],
            |bytes| {
                let _ = npz::decode(bytes);
            },
        ),
        ("csv", vec![csv, recorded("pandas.csv")], |bytes| {
            if let Ok(table) = Csv::new().decode(bytes) {
                let again = Csv::new().decode_as(&Csv::new().encode(&table), &table.schema());
                assert_eq!(again.map(|again| again.len()).map_err(|error| error.to_string()), Ok(table.len()));
            }
        }),
    ];
    #[cfg(feature = "images")]
    {
        use gradus_data::image::{self, Colours};
        let files = [
            "colours.png",
            "palette.png",
            "interlaced.png",
            "sixteen.png",
            "colours.jpg",
            "progressive.jpg",
            "grey.jpg",
        ];
        readers.push(("images", files.map(recorded).to_vec(), |bytes| {
            let _ = image::decode(bytes, Colours::Rgb);
        }));
    }
    readers
}

/// Bytes beyond those of the file that a reader may hold, and those for each byte of the file. The decoder of JPEG holds
/// what the header promises, as far as it is plausible.
const ROOM: usize = 8 << 20;
const ROOM_EACH: usize = 32;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_bytes_make_a_reader_panic(
        place in any::<prop::sample::Index>(),
        original in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut: bool,
    ) {
        let readers = readers();
        let (name, originals, read) = &readers[place.index(readers.len())];
        let mut bytes = originals[original.index(originals.len())].clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let ((), peak) = CountingAllocator::peak_of(|| read(&bytes));
        prop_assert!(peak <= ROOM + ROOM_EACH * bytes.len(), "{name} takes {peak} bytes for {}", bytes.len());
    }
}

/// Writes a table with a number of rows.
fn long_table(name: &str, rows: u64) -> PathBuf {
    use std::io::Write as _;
    let path = folder().join(name);
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    writeln!(file, "id,x,y,class").unwrap();
    for row in 0..rows {
        writeln!(file, "{row},{}.25,{:.12},class{}", row % 1000, (row as f64).sin(), row % 7).unwrap();
    }
    path
}

/// Reads it in pieces of 4096 rows.
fn stream(path: &Path, rows: u64) {
    let csv = Csv::new();
    let schema = csv.schema(path).unwrap();
    assert_eq!(schema.categories("class").unwrap().len(), 7);
    let (mut count, mut total) = (0, 0);
    for table in csv.chunks(path, &schema, 4096).unwrap() {
        let table = table.unwrap();
        count += table.len() as u64;
        total += table.labels("id").unwrap().data().iter().sum::<i64>();
    }
    assert_eq!((count, total), (rows, (rows * (rows - 1) / 2) as i64));
}

/// A file of any size takes the memory of one piece: here 30 MB in 1 MiB.
#[test]
fn a_long_table_streams_through_little_memory() {
    let path = long_table("stream.csv", 800_000);
    let ((), peak) = CountingAllocator::peak_of(|| stream(&path, 800_000));
    assert!(peak < 1 << 20, "{peak} bytes");
    fs::remove_file(path).unwrap();
}

#[test]
#[ignore = "writes a gigabyte; the only test of its process, it reads off the memory of the process"]
fn a_gigabyte_streams_through_a_hundred_megabytes() {
    let rows = 26_500_000;
    let path = long_table("gigabyte.csv", rows);
    let size = fs::metadata(&path).unwrap().len();
    let start = std::time::Instant::now();
    stream(&path, rows);
    let seconds = start.elapsed().as_secs_f64();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: f64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{size} bytes in {seconds:.1} s, read twice; the process held {:.1} MiB", peak / 1024.0);
    assert!(size >= 1_000_000_000 && peak < 100.0 * 1024.0);
    fs::remove_file(path).unwrap();
}

#[test]
#[ignore = "a measurement: steps a second with reading on another thread and without"]
fn reading_ahead_is_measured() {
    use gradus_data::Stream;
    let path = long_table("ahead.csv", 2_000_000);
    let csv = Csv::new();
    let schema = csv.schema(&path).unwrap();
    let inputs = |table: Result<Table, gradus_data::DataError>| table.unwrap().numbers::<f32>(&["x", "y"]).unwrap();
    // Work of about the time that reading takes.
    let step = |batch: &Tensor<f32>| {
        let mut sum = 0.0;
        for _ in 0..STEP {
            sum +=
                batch.data().iter().map(|value| value * 1.000_1 - 0.5).fold(0.0, |sum: f32, value| sum * 0.5 + value);
        }
        std::hint::black_box(sum);
    };
    const STEP: usize = 40;
    let rate = |threads: Option<usize>, steps: bool| {
        let start = std::time::Instant::now();
        let chunks = csv.chunks(&path, &schema, 4096).unwrap();
        let run = |batches: &mut dyn Iterator<Item = Tensor<f32>>| {
            batches
                .inspect(|x| {
                    if steps {
                        step(x)
                    }
                })
                .count()
        };
        let count = match threads {
            Some(threads) => run(&mut chunks.prefetched(threads, inputs)),
            None => run(&mut chunks.map(inputs)),
        };
        count as f64 / start.elapsed().as_secs_f64()
    };
    println!("reading alone: {:.0} batches/s", rate(None, false));
    for _ in 0..3 {
        println!("steps/s: in turn {:.0}, prefetched on a thread {:.0}", rate(None, true), rate(Some(1), true));
    }
    fs::remove_file(path).unwrap();
}
