//! A file that is not what it should be is an error that says what is wrong, and nothing is half loaded.

use std::path::{Path, PathBuf};

use gradus_graph::{Params, Tensor};
use gradus_optim::{Adam, Optimizer, ReduceOnPlateau, Sgd, Stateful};
use gradus_train::{checkpoint, weights};

/// A folder of its own for a test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("gradus-files-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The folder of temporary files is cleared in the end whatever becomes of this.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn store(values: [f32; 3]) -> Params {
    let mut params: Params = Params::new(0);
    params.add("a", Tensor::from(values));
    params.scope("layer", |params| params.add("b", Tensor::from_rows([[values[0]], [values[1]]])));
    params
}

fn values(params: &Params) -> Vec<Tensor<f32>> {
    params.iter().map(|(_, value)| value.clone()).collect()
}

/// Loads the weights, which must be refused with a message that ends like this, and leave the store alone.
#[track_caller]
fn refused(path: &Path, message: &str) {
    let mut params = store([7.0, 8.0, 9.0]);
    let before = values(&params);
    let error = weights::load(path, &mut params).expect_err("the file is wrong");
    let expected = format!("{}: {message}", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}\ndoes not begin with\n{expected}");
    assert_eq!(values(&params), before);
}

#[test]
fn no_prefix_and_no_flipped_byte_of_a_file_is_half_loaded() {
    let folder = Folder::new("malformed");
    let path = folder.0.join("weights.safetensors");
    let saved = store([1.0, 2.0, 3.0]);
    weights::save(&path, &saved).expect("the file can be written");
    let whole = std::fs::read(&path).expect("the file is there");
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).expect("the file can be written");
        let strange =
            format!("not a safetensors file: it has {length} bytes, and such a file begins with a number of 8");
        refused(&path, if length < 8 { &strange } else { "not a complete safetensors file (" });
    }
    std::fs::write(&path, [&whole[..], &[0]].concat()).expect("the file can be written");
    refused(&path, "not a complete safetensors file (");
    // A flipped byte of the header gives an error or, where it changes no name, shape or type, the values; never a
    // panic and never a part of them.
    let before = values(&store([7.0, 8.0, 9.0]));
    let header = whole.len() - 5 * 4;
    for place in 0..header {
        for flip in [1, 2, 0x20, 0x80] {
            let mut bytes = whole.clone();
            bytes[place] ^= flip;
            std::fs::write(&path, &bytes).expect("the file can be written");
            let mut params = store([7.0, 8.0, 9.0]);
            match weights::load(&path, &mut params) {
                Ok(()) => assert!(values(&params).iter().zip(&before).all(|(now, before)| now != before)),
                Err(_) => assert_eq!(values(&params), before),
            }
        }
    }
}

/// A file of the format with this header and `elements` zeros.
fn file(header: &str, elements: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; elements]].concat()
}

#[test]
fn what_is_no_safetensors_file_is_called_so() {
    let folder = Folder::new("strange");
    let path = folder.0.join("weights.safetensors");
    let strange: [(&[u8], &str); 5] = [
        (b"", "it has 0 bytes, and such a file begins with a number of 8"),
        (b"<!DOCTYPE html><html>", "it begins with the bytes 3c 21 44 4f 43 54 59 50"),
        (b"PK\x03\x04\0\0\x08\x08\0\0", "it begins with the bytes 50 4b 03 04 00 00 08 08"),
        (b"\x93NUMPY\x01\0v\0{", "it begins with the bytes 93 4e 55 4d 50 59 01 00"),
        (&[0, 0, 8, 1, 0, 0, 0, 0, 5], "it begins with the bytes 00 00 08 01 00 00 00 00"),
    ];
    for (bytes, message) in strange {
        std::fs::write(&path, bytes).expect("the file can be written");
        refused(&path, &format!("not a safetensors file: {message}"));
    }
    refused(&folder.0, "it is a folder, not a regular file");
    #[cfg(unix)]
    refused(Path::new("/dev/zero"), "it is a device, a pipe or a socket, not a regular file");
}

#[test]
fn a_header_that_lies_is_refused() {
    let folder = Folder::new("header");
    let path = folder.0.join("weights.safetensors");
    let a = |shape: &str, from: usize, to: usize| {
        format!(r#""a":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let long = format!(r#"{{"{}":{{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}}}"#, "x".repeat(100_000));
    let deep = format!(r#"{{"a":{{"b":{}"#, "[".repeat(100_000));
    let cases = [
        (format!("{{{}}}", a("[3]", 0, 12)), 8, "its elements take 12 bytes, of which 8 are there"),
        (format!("{{{}}}", a("[3]", 0, 12)), 16, "its elements take 12 bytes, of which 16 are there"),
        (format!("{{{}}}", a("[3]", 4, 16)), 16, "`a` begins at 4, where 0 is expected"),
        (format!("{{{}}}", a("[4]", 0, 12)), 12, "`a` of F32 and shape [4] lies at 0..12"),
        (format!("{{{}}}", a("[3]", 12, 0)), 12, "`a` of F32 and shape [3] lies at 12..0"),
        (
            format!("{{{}}}", a("[0,9223372036854775807,4]", 0, 0)),
            0,
            "`a` of F32 and shape [0, 9223372036854775807, 4]",
        ),
        (format!("{{{},{}}}", a("[3]", 0, 12), a("[0]", 12, 12)), 12, "`a` occurs twice"),
        (format!("{{{},", a("[3]", 0, 12)), 12, "EOF while parsing"),
        (
            r#"{"a":{"dtype":"F99","shape":[],"data_offsets":[0,4]}}"#.to_owned(),
            4,
            "an array has the unknown type `F99`",
        ),
        (r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#.to_owned(), 4, "invalid value: integer `-1`"),
        (long, 8, "`xxxx"),
        (deep, 0, "EOF while parsing a list"),
    ];
    for (header, elements, message) in cases {
        std::fs::write(&path, file(&header, elements)).expect("the file can be written");
        refused(&path, &format!("not a complete safetensors file ({message}"));
        let error = weights::load(&path, &mut store([0.0; 3])).expect_err("the header lies").to_string();
        assert!(error.len() < 1000, "a message of {} bytes", error.len());
    }
}

#[test]
fn each_kind_of_file_names_the_function_that_reads_it() {
    let folder = Folder::new("kinds");
    let (run, bare) = (folder.0.join("run"), folder.0.join("bare"));
    let params = store([1.0, 2.0, 3.0]);
    checkpoint::save(&run, &params, &[("plateau", &ReduceOnPlateau::new())]).expect("it can be written");
    weights::save(&bare, &params).expect("it can be written");
    refused(
        &run,
        "this is a checkpoint, the file of a whole run: `checkpoint::load` reads it, and `weights::load_from` its \
         parameters alone, whose names begin with `parameters/` there",
    );
    let mut taken = store([0.0; 3]);
    weights::load_from(&run, &mut taken, |name| Some(format!("parameters/{name}"))).expect("so it does");
    assert_eq!(values(&taken), values(&params));
    let mut plateau = ReduceOnPlateau::new();
    let error = checkpoint::load(&bare, &mut taken, &mut [("plateau", &mut plateau)]).expect_err("it is no checkpoint");
    let message = "this is no checkpoint but a file of arrays alone, such as weights: `weights::load` reads it";
    assert_eq!(error.to_string(), format!("{}: {message}", bare.display()));
}

#[test]
fn a_message_tells_twenty_names_and_counts_the_rest() {
    let folder = Folder::new("crowd");
    let path = folder.0.join("weights.safetensors");
    let crowd = |count: usize| {
        let mut params: Params = Params::new(0);
        (0..count).for_each(|number| drop(params.add(&format!("p{number:04}"), Tensor::zeros([1]))));
        params
    };
    weights::save(&path, &crowd(1000)).expect("it can be written");
    let mut params: Params = Params::new(0);
    let told = |error: std::io::Error, first: &str, last: &str| {
        let text = error.to_string();
        assert!(text.starts_with(&format!("{}: {first}", path.display())), "{text}");
        assert!(text.ends_with(last), "{text}");
    };
    let unexpected = weights::load(&path, &mut params).expect_err("the store is empty");
    told(unexpected, "`p0000` is no parameter of the store; ", "`p0019` is no parameter of the store; … and 980 more");
    weights::save(&path, &params).expect("it can be written");
    let missing = weights::load(&path, &mut crowd(1000)).expect_err("the file is empty");
    told(missing, "`p0000` is missing; ", "`p0019` is missing; … and 980 more");
    let missing = weights::load_from(&path, &mut crowd(1000), |name| Some(name.to_owned())).expect_err("as before");
    told(missing, "`p0000` is missing; ", "`p0019` is missing; … and 980 more");
    let mut state = ReduceOnPlateau::new();
    checkpoint::save(&path, &crowd(1000), &[("plateau", &state)]).expect("it can be written");
    let stray = checkpoint::load(&path, &mut crowd(1000), &mut []).expect_err("the plateau is left");
    told(stray, "`plateau/counts/cooling` belongs to no part", "of this run");
    let unexpected = checkpoint::load(&path, &mut params, &mut [("plateau", &mut state)]).expect_err("a thousand");
    told(unexpected, "`parameters/p0000` is no parameter of the store; ", "… and 980 more");
}

#[test]
fn what_does_not_fit_is_listed() {
    let folder = Folder::new("misfit");
    let path = folder.0.join("weights.safetensors");
    refused(&path, "");
    let mut other: Params = Params::new(0);
    other.add("a", Tensor::ones([4]));
    other.add("c", Tensor::ones([1]));
    weights::save(&path, &other).expect("the file can be written");
    refused(&path, "`a` has shape [4] for [3]; `layer.b` is missing; `c` is no parameter of the store");
    weights::save(&path, &store([1.0, 2.0, 3.0]).cast::<f64>()).expect("the file can be written");
    refused(&path, "`a` holds F64, which does not fit into f32; `layer.b` holds F64");
}

#[test]
fn parts_of_another_model_are_taken_whole_or_not_at_all() {
    let folder = Folder::new("parts");
    let path = folder.0.join("weights.safetensors");
    weights::save(&path, &store([1.0, 2.0, 3.0])).expect("the file can be written");
    let mut params: Params = Params::new(0);
    let body = params.scope("body", |params| params.add("b", Tensor::zeros([2, 1])));
    params.add("head", Tensor::zeros([5]));
    let mut load = |source: fn(&str) -> Option<String>| weights::load_from(&path, &mut params, source);
    let says = |error: std::io::Error, message: &str| {
        let text = error.to_string();
        assert!(text.ends_with(message), "{text}\ndoes not end with\n{message}");
    };
    let wrong = |name: &str| Some(if name == "head" { "a" } else { "layer.c" }.to_owned());
    let message = ": `layer.c` is missing, for `body.b`; `a` has shape [3] for [5], for `head`";
    says(load(wrong).expect_err("neither fits"), message);
    says(load(|_| None).expect_err("nothing is asked for"), ": no parameter of the store is to be loaded");
    load(|name| (name == "body.b").then(|| "layer.b".to_owned())).expect("it fits");
    assert_eq!(params.get(&body).data(), [1.0, 2.0]);
}

#[test]
fn a_wider_store_takes_narrower_numbers() {
    let folder = Folder::new("widen");
    let path = folder.0.join("weights.safetensors");
    let saved = store([0.1, 0.2, 0.3]);
    weights::save(&path, &saved).expect("the file can be written");
    let mut wide: Params<f64> = store([0.0; 3]).cast();
    weights::load(&path, &mut wide).expect("f32 widens");
    assert_eq!(values(&wide.cast()), values(&saved));
}

#[test]
fn a_checkpoint_is_loaded_whole_or_not_at_all() {
    let folder = Folder::new("checkpoint");
    let path = folder.0.join("run.safetensors");
    let trained = |steps: usize| {
        let (mut params, mut adam) = (store([1.0, 2.0, 3.0]), Optimizer::new(Adam::new(0.1)));
        let list: Vec<_> = params.trainable().cloned().collect();
        for _ in 0..steps {
            let gradients: Vec<_> = list.iter().map(|param| Tensor::full(param.shape(), 0.5)).collect();
            adam.step(&mut params, list.iter().zip(&gradients)).expect("the gradients are right");
        }
        (params, adam)
    };
    let (params, adam) = trained(3);
    let plateau = ReduceOnPlateau::new();
    checkpoint::save(&path, &params, &[("optimizer", &adam), ("plateau", &plateau)]).expect("it can be written");

    let refuse = |parts: &mut [(&str, &mut dyn Stateful<f32>)], message: &str| {
        let mut params = store([7.0, 8.0, 9.0]);
        let before: Vec<_> = parts.iter().map(|(_, part)| part.state()).collect();
        let error = checkpoint::load(&path, &mut params, parts).expect_err("the checkpoint does not fit");
        assert!(error.to_string().contains(message), "{error}\ndoes not say\n{message}");
        assert_eq!(values(&params), values(&store([7.0, 8.0, 9.0])));
        assert!(parts.iter().map(|(_, part)| part.state()).eq(before), "a part was half loaded");
    };
    let (_, mut other) = trained(2);
    refuse(&mut [("optimizer", &mut other)], "`plateau/counts/cooling` belongs to no part of this run");
    // The second part is refused after the first was restored.
    let mut sgd = Optimizer::new(Sgd::new(0.1));
    let message = "plateau: the state does not fit";
    refuse(&mut [("optimizer", &mut other), ("plateau", &mut sgd)], message);
    let mut watch = ReduceOnPlateau::new();
    refuse(&mut [("optimizer", &mut sgd), ("plateau", &mut watch)], "optimizer: the state does not fit");
    let mut third = ReduceOnPlateau::new();
    refuse(&mut [("optimizer", &mut other), ("plateau", &mut watch), ("third", &mut third)], "no part named `third`");

    let mut wide: Params<f64> = params.cast();
    let mut wide_adam = Optimizer::new(Adam::new(0.1));
    let mut watch = ReduceOnPlateau::new();
    let error = checkpoint::load(&path, &mut wide, &mut [("optimizer", &mut wide_adam), ("plateau", &mut watch)]);
    assert!(error.expect_err("the precision differs").to_string().contains("parameter `a` was not saved in f64"));

    let (mut loaded, mut optimizer) = (store([7.0, 8.0, 9.0]), Optimizer::new(Adam::new(0.1)));
    let mut watch = ReduceOnPlateau::new();
    checkpoint::load(&path, &mut loaded, &mut [("optimizer", &mut optimizer), ("plateau", &mut watch)])
        .expect("it fits");
    assert_eq!((values(&loaded), optimizer.state()), (values(&params), adam.state()));
}

/// The library of the format reads what is written here: names, types, shapes, elements, and every array aligned.
#[test]
fn the_library_of_the_format_reads_a_checkpoint() {
    let folder = Folder::new("safetensors-library");
    let path = folder.0.join("run.safetensors");
    let mut params: Params<f64> = Params::new(0);
    params.add("a \"quoted\" name\n", Tensor::from([f64::NEG_INFINITY, -0.0, 0.1]));
    params.add("empty", Tensor::zeros([0, 3]));
    let plateau = gradus_optim::ReduceOnPlateau::new();
    checkpoint::save(&path, &params, &[("plateau", &plateau)]).expect("it is written");
    let bytes = std::fs::read(&path).expect("it is there");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("the library reads it");
    for (param, value) in params.iter() {
        let read = file.tensor(&format!("parameters/{}", param.name())).expect("the array is there");
        assert_eq!((read.dtype(), read.shape()), (safetensors::Dtype::F64, value.shape().sizes()));
        assert!(value.data().iter().flat_map(|x| x.to_le_bytes()).eq(read.data().iter().copied()));
    }
    for (name, array) in file.tensors() {
        let offset = array.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(offset * 8 % array.dtype().bitsize(), 0, "{name}");
    }
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("the library reads it");
    assert_eq!(
        header.metadata().as_ref().and_then(|notes| notes.get("format")).map(String::as_str),
        Some("gradus checkpoint")
    );
}
