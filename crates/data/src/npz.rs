//! Reads and writes npz files, the format in which NumPy saves several arrays by name.
//!
//! An npz file is a zip archive of npy files, stored or deflated. Archives of more than 4 GiB (zip64) are read and
//! written as others are. Checksums are compared, and no more is decompressed than is plausible for the size of the file.
//!
//! # Example
//! ```
//! use std::collections::BTreeMap;
//! use gradus_data::{FileArray, npz};
//! use gradus_graph::Tensor;
//! let inputs = Tensor::from_fn([4, 2], |k| k as f64);
//! let arrays = BTreeMap::from([("x".to_owned(), FileArray::from(&inputs)), ("y".into(), Tensor::from([0_i64, 1, 1, 0]).into())]);
//! let file = npz::encode(&arrays, true);
//! assert_eq!(npz::decode(&file)?["x"].to_f64(), inputs);
//! # Ok::<(), gradus_data::Problem>(())
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use crate::array::{FileArray, plausible};
use crate::error::{DataError, Problem, quoted};
use crate::file;
use crate::npy;

/// The arrays of the file by their names.
///
/// # Errors
/// If the file is no regular file, cannot be read, is not a whole zip archive, or has a member that is not a whole npy
/// file. A file whose members take more than 64 MiB and more than a hundred times its own size is refused as well.
///
/// # Example
/// ```no_run
/// let arrays = gradus_data::npz::read("measured.npz")?;
/// for (name, array) in &arrays {
///     println!("{name}: {} {}", array.element(), array.shape());
/// }
/// # Ok::<(), gradus_data::DataError>(())
/// ```
pub fn read(path: impl AsRef<Path>) -> Result<BTreeMap<String, FileArray>, DataError> {
    let path = path.as_ref();
    decode(&file::read(path)?).map_err(|problem| DataError::new(path, problem))
}

/// The arrays of an npz file that is in memory already.
///
/// # Errors
/// As [`read`], for the bytes.
pub fn decode(bytes: &[u8]) -> Result<BTreeMap<String, FileArray>, Problem> {
    let mut arrays = BTreeMap::new();
    let mut left = plausible(bytes.len());
    for member in directory(bytes)? {
        let name = member.name.strip_suffix(".npy").unwrap_or(&member.name).to_owned();
        let array = member.content(bytes, &mut left).and_then(|content| npy::decode(&content));
        let array = array.map_err(|problem| Problem::Member { name: member.name, problem: Box::new(problem) })?;
        if arrays.insert(name.clone(), array).is_some() {
            return Err(wrong(format!("it has two arrays {}", quoted(&name))));
        }
    }
    Ok(arrays)
}

fn wrong(reason: impl Into<String>) -> Problem {
    Problem::Format { format: "npz", reason: reason.into() }
}

/// The next `N` bytes from a place on, as a little-endian number.
fn number<const N: usize>(bytes: &[u8], place: usize) -> Option<u64> {
    let part = bytes.get(place..place.checked_add(N)?)?;
    Some(part.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

const LOCAL: u64 = 0x0403_4b50;
const CENTRAL: u64 = 0x0201_4b50;
const END: u64 = 0x0605_4b50;
const END64: u64 = 0x0606_4b50;
const LOCATOR64: u64 = 0x0706_4b50;
const STORED: u64 = 0;
const DEFLATED: u64 = 8;
/// Stands for a number that is in the zip64 part.
const ELSEWHERE: u64 = 0xffff_ffff;

/// A member, as the central directory tells of it.
struct Member {
    name: String,
    flags: u64,
    method: u64,
    checksum: u64,
    compressed: u64,
    size: u64,
    /// Where its own header begins.
    start: u64,
}

/// The members; the directory stands at the end of the archive.
fn directory(bytes: &[u8]) -> Result<Vec<Member>, Problem> {
    // The end has 22 bytes and a comment of up to 65,535.
    let last = bytes.len().checked_sub(22).filter(|_| bytes.starts_with(b"PK"));
    let Some(last) = last else { return Err(wrong("it does not begin as a zip archive")) };
    let is_end = |&place: &usize| {
        let comment = number::<2>(bytes, place + 20).unwrap_or(u64::MAX);
        number::<4>(bytes, place) == Some(END) && (place + 22) as u64 + comment == bytes.len() as u64
    };
    let Some(end) = (last.saturating_sub(65_535)..=last).rev().find(is_end) else {
        return Err(wrong("the directory at its end is missing: the file is cut short, or something is appended"));
    };
    let cut = || wrong("its directory is damaged");
    let read = || -> Option<(u64, u64)> {
        let (count, start) = (number::<2>(bytes, end + 10)?, number::<4>(bytes, end + 16)?);
        let locator = end.checked_sub(20).filter(|&place| number::<4>(bytes, place) == Some(LOCATOR64));
        let Some(locator) = locator else { return Some((count, start)) };
        let end64 = usize::try_from(number::<8>(bytes, locator + 8)?).ok()?;
        (number::<4>(bytes, end64)? == END64).then_some(())?;
        Some((number::<8>(bytes, end64 + 32)?, number::<8>(bytes, end64 + 48)?))
    };
    let (count, start) = read().ok_or_else(cut)?;
    let mut place = usize::try_from(start).map_err(|_| cut())?;
    // A member takes 46 bytes here, whatever the end says.
    let mut members = Vec::with_capacity(count.min(bytes.len() as u64 / 46) as usize);
    for _ in 0..count {
        let (member, next) = entry(bytes, place).ok_or_else(cut)?;
        members.push(member);
        place = next;
    }
    Ok(members)
}

/// The entry of the directory at a place, and where the next begins.
fn entry(bytes: &[u8], place: usize) -> Option<(Member, usize)> {
    (number::<4>(bytes, place)? == CENTRAL).then_some(())?;
    let two = |offset: usize| number::<2>(bytes, place + offset);
    let four = |offset: usize| number::<4>(bytes, place + offset);
    let (name_size, extra_size, comment_size) = (two(28)? as usize, two(30)? as usize, two(32)? as usize);
    let name = place + 46;
    let extra = name + name_size;
    let (mut compressed, mut size, mut start) = (four(20)?, four(24)?, four(42)?);
    let mut fields = bytes.get(extra..extra + extra_size)?;
    while let (Some(kind), Some(length)) = (number::<2>(fields, 0), number::<2>(fields, 2)) {
        let field = fields.get(4..4 + length as usize)?;
        if kind == 1 {
            let mut place = 0;
            for value in [&mut size, &mut compressed, &mut start] {
                if *value == ELSEWHERE {
                    *value = number::<8>(field, place)?;
                    place += 8;
                }
            }
        }
        fields = &fields[4 + length as usize..];
    }
    let name = String::from_utf8_lossy(bytes.get(name..extra)?).into_owned();
    let member = Member { name, flags: two(8)?, method: two(10)?, checksum: four(16)?, compressed, size, start };
    Some((member, extra + extra_size + comment_size))
}

impl Member {
    /// The bytes of the member; what is decompressed is taken from what is left.
    fn content<'a>(&self, bytes: &'a [u8], left: &mut usize) -> Result<Cow<'a, [u8]>, Problem> {
        if self.flags & 1 == 1 {
            return Err(wrong("the member is encrypted"));
        }
        let find = || -> Option<&[u8]> {
            let start = usize::try_from(self.start).ok()?;
            (number::<4>(bytes, start)? == LOCAL).then_some(())?;
            let header = 30 + number::<2>(bytes, start.checked_add(26)?)? + number::<2>(bytes, start.checked_add(28)?)?;
            let data = start.checked_add(header as usize)?;
            bytes.get(data..data.checked_add(usize::try_from(self.compressed).ok()?)?)
        };
        let found = find().ok_or_else(|| wrong("the member lies outside of the file, or its header is damaged"))?;
        let content = match self.method {
            STORED => Cow::Borrowed(found),
            DEFLATED => {
                if self.size > *left as u64 {
                    return Err(wrong(format!(
                        "the member promises {} bytes, more than is plausible for an archive of {} bytes: a hundred times \
                         as many in all",
                        self.size,
                        bytes.len()
                    )));
                }
                *left -= self.size as usize;
                let mut content = Vec::new();
                let decoder = DeflateDecoder::new(found).take(self.size.saturating_add(1));
                let mut decoder = decoder;
                decoder
                    .read_to_end(&mut content)
                    .map_err(|error| wrong(format!("the compressed member is damaged: {error}")))?;
                Cow::Owned(content)
            }
            method => {
                let reason =
                    format!("the member is compressed by method {method}; 0 (stored) and 8 (deflated) are read");
                return Err(wrong(reason));
            }
        };
        if content.len() as u64 != self.size {
            let more = if content.len() as u64 > self.size { "more" } else { "fewer" };
            return Err(wrong(format!("the member has {more} than the {} bytes that it promises", self.size)));
        }
        let mut crc = Crc::new();
        crc.update(&content);
        if u64::from(crc.sum()) != self.checksum {
            return Err(wrong("the checksum of the member is wrong: it is damaged"));
        }
        Ok(content)
    }
}

/// The arrays as an npz file, deflated (as `numpy.savez_compressed` does) or stored (as `numpy.savez`).
///
/// # Panics
/// If a name has more than 65,531 bytes.
pub fn encode(arrays: &BTreeMap<String, FileArray>, compressed: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, array) in arrays {
        let name = format!("{name}.npy");
        let length = u16::try_from(name.len()).expect("the name of an array has at most 65,531 bytes");
        let content = npy::encode(array);
        let mut crc = Crc::new();
        crc.update(&content);
        let size = content.len() as u64;
        let (method, data) = if compressed { (DEFLATED, deflate(&content)) } else { (STORED, content) };
        let start = file.len() as u64;
        // Both headers have these fields; the sizes are in the zip64 part, whether they are large or not.
        let mut shared = Vec::new();
        // Version 4.5 reads zip64; flag 11 says that names are UTF-8; the date is the first that there is.
        [45, 1 << 11, method as u16, 0, 33].into_iter().for_each(|field: u16| shared.extend(field.to_le_bytes()));
        shared.extend(crc.sum().to_le_bytes());
        shared.extend([0xff; 8]);
        shared.extend(length.to_le_bytes());
        let sizes = [size.to_le_bytes(), (data.len() as u64).to_le_bytes()].concat();

        file.extend((LOCAL as u32).to_le_bytes());
        file.extend(&shared);
        file.extend([20, 0]);
        file.extend(name.bytes());
        file.extend([1, 0, 16, 0]);
        file.extend(&sizes);
        file.extend(data);

        directory.extend((CENTRAL as u32).to_le_bytes());
        directory.extend(45_u16.to_le_bytes());
        directory.extend(&shared);
        directory.extend([28, 0]);
        // No comment, the first disk, no attributes; the place is in the zip64 part.
        directory.extend([0; 10]);
        directory.extend([0xff; 4]);
        directory.extend(name.bytes());
        directory.extend([1, 0, 24, 0]);
        directory.extend(&sizes);
        directory.extend(start.to_le_bytes());
    }
    let (start, size, count) = (file.len() as u64, directory.len() as u64, arrays.len() as u64);
    file.extend(directory);
    let end64 = file.len() as u64;
    file.extend((END64 as u32).to_le_bytes());
    file.extend(44_u64.to_le_bytes());
    file.extend([45, 0, 45, 0]);
    file.extend([0; 8]);
    [count, count, size, start].into_iter().for_each(|number| file.extend(number.to_le_bytes()));
    file.extend((LOCATOR64 as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend(end64.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend((END as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend([0xff; 12]);
    file.extend([0; 2]);
    file
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory takes what is written");
    encoder.finish().expect("memory takes what is written")
}
