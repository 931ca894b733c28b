//! IDX files of every kind are read exactly, and no bytes at all make the reader panic.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use gradus_data::{FileArray, idx};
use gradus_graph::{Shape, Tensor};
use proptest::prelude::*;

fn encode(array: &FileArray) -> Vec<u8> {
    let (code, elements): (u8, Vec<u8>) = match array {
        FileArray::U8(x) => (0x08, x.data().to_vec()),
        FileArray::I8(x) => (0x09, x.data().iter().flat_map(|value| value.to_be_bytes()).collect()),
        FileArray::I16(x) => (0x0b, x.data().iter().flat_map(|value| value.to_be_bytes()).collect()),
        FileArray::I32(x) => (0x0c, x.data().iter().flat_map(|value| value.to_be_bytes()).collect()),
        FileArray::F32(x) => (0x0d, x.data().iter().flat_map(|value| value.to_be_bytes()).collect()),
        FileArray::F64(x) => (0x0e, x.data().iter().flat_map(|value| value.to_be_bytes()).collect()),
        other => unreachable!("IDX has no {}", other.element()),
    };
    let mut bytes = vec![0, 0, code, array.shape().rank() as u8];
    array.shape().iter().for_each(|&size| bytes.extend((size as u32).to_be_bytes()));
    bytes.extend(elements);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Arrays of every element type with up to four axes, some empty.
fn arrays() -> impl Strategy<Value = FileArray> {
    fn filled<T: Clone>(sizes: &[usize], numbers: &[i32], of: impl Fn(i32) -> T) -> Tensor<T> {
        Tensor::from_fn(Shape::from(sizes), |k| of(numbers[k % numbers.len()].wrapping_mul(k as i32 + 1)))
    }
    let sizes = prop::collection::vec(0_usize..4, 0..5);
    let numbers = prop::collection::vec(any::<i32>(), 1..9);
    (0..6, sizes, numbers).prop_map(|(kind, sizes, numbers)| match kind {
        0 => FileArray::U8(filled(&sizes, &numbers, |value| value as u8)),
        1 => FileArray::I8(filled(&sizes, &numbers, |value| value as i8)),
        2 => FileArray::I16(filled(&sizes, &numbers, |value| value as i16)),
        3 => FileArray::I32(filled(&sizes, &numbers, |value| value)),
        4 => FileArray::F32(filled(&sizes, &numbers, |value| value as f32 / 3.0)),
        _ => FileArray::F64(filled(&sizes, &numbers, |value| f64::from(value) / 3.0)),
    })
}

/// Reads the bytes and does with them what a user could.
fn survive(bytes: &[u8]) {
    match idx::decode(bytes) {
        Ok(array) => {
            let reals = array.to_f32();
            assert_eq!(reals.shape(), array.shape());
            assert_eq!(array.to_i64().is_none(), array.element().starts_with('f'));
            // A file without elements may tell of four billion rows; the labels made here would be as many.
            if let Some(&rows @ 0..1000) = reals.shape().first() {
                let data = gradus_data::Dataset::new(reals, Tensor::from(vec![0; rows]));
                assert_eq!(data.batches(3).map(|batch| batch.len()).sum::<usize>(), rows);
            }
        }
        Err(problem) => assert!(!problem.to_string().is_empty()),
    }
}

proptest! {
    #[test]
    fn a_file_is_read_exactly(array in arrays()) {
        let bytes = encode(&array);
        prop_assert_eq!(&idx::decode(&bytes).unwrap(), &array);
        prop_assert_eq!(&idx::decode(&gzip(&bytes)).unwrap(), &array);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let members = [gzip(first), gzip(second)].concat();
        prop_assert_eq!(&idx::decode(&members).unwrap(), &array);
    }

    #[test]
    fn a_part_of_a_file_is_refused(array in arrays(), cut in any::<prop::sample::Index>()) {
        let bytes = encode(&array);
        prop_assert!(idx::decode(&bytes[..cut.index(bytes.len())]).is_err());
        let bytes = gzip(&bytes);
        prop_assert!(idx::decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn a_file_with_more_is_refused(array in arrays(), more in prop::collection::vec(any::<u8>(), 1..9)) {
        prop_assert!(idx::decode(&[encode(&array), more.clone()].concat()).is_err());
        prop_assert!(idx::decode(&[gzip(&encode(&array)), more].concat()).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        survive(&bytes);
        survive(&[&[0x1f, 0x8b, 8, 0], &bytes[..]].concat());
        survive(&gzip(&bytes));
    }

    #[test]
    fn no_header_makes_it_panic(
        code in 0x08_u8..0x0f,
        sizes in prop::collection::vec(prop_oneof![0_u32..3, any::<u32>()], 0..6),
        rest in prop::collection::vec(any::<u8>(), 0..32),
    ) {
        let sizes_bytes: Vec<u8> = sizes.iter().flat_map(|size| size.to_be_bytes()).collect();
        survive(&[&[0, 0, code, sizes.len() as u8], &sizes_bytes[..], &rest].concat());
    }

    #[test]
    fn no_change_to_a_file_makes_it_panic(
        array in arrays(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        compressed: bool,
    ) {
        let mut bytes = if compressed { gzip(&encode(&array)) } else { encode(&array) };
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        survive(&bytes);
    }
}
