//! Whatever is wrong with a file of the user's own: an error that names the file, what it has and what it should have.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};
use gradus_data::{DataError, Problem, Split, idx, mnist};

/// A fresh folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("damaged-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx_file(code: u8, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

fn labels(count: u8) -> Vec<u8> {
    idx_file(8, &[count.into()], &(0..count).collect::<Vec<_>>())
}

fn images(count: u8) -> Vec<u8> {
    idx_file(8, &[count.into(), 1, 2], &[51, 255].repeat(count.into()))
}

#[track_caller]
fn refused(bytes: &[u8], message: &str) {
    assert_eq!(idx::decode(bytes).unwrap_err().to_string(), message);
}

#[test]
fn a_header_that_is_none() {
    refused(&[], "the header of an IDX file like this takes 4 bytes; the file has 0");
    refused(&[0, 0, 8], "the header of an IDX file like this takes 4 bytes; the file has 3");
    refused(b"\x89PNG", "an IDX file begins with the bytes 00 00; this one begins with 89 50");
    refused(
        &[0, 0, 0x0a, 1, 0, 0, 0, 0],
        "unknown element type 0a; IDX has 08 (u8), 09 (i8), 0b (i16), 0c (i32), 0d (f32) and 0e (f64)",
    );
    refused(&labels(0)[..7], "the header of an IDX file like this takes 8 bytes; the file has 7");
    refused(&[0, 0, 8, 255], "the header of an IDX file like this takes 1024 bytes; the file has 4");
}

#[test]
fn a_wrong_number_of_elements() {
    refused(
        &images(2)[..19],
        "u8 elements of shape [2, 1, 2] take 4 bytes after the header, where 3 were found: the file is cut short",
    );
    refused(
        &[images(2), vec![0; 3]].concat(),
        "u8 elements of shape [2, 1, 2] take 4 bytes after the header, where 7 were found: something is appended",
    );
    refused(
        &gzip(&idx_file(0x0e, &[2], &[0; 15])),
        "f64 elements of shape [2] take 16 bytes after the header, where 15 were found: the file is cut short",
    );
}

#[cfg(target_pointer_width = "64")]
#[test]
fn sizes_that_lie() {
    const HUGE: u32 = u32::MAX;
    refused(
        &idx_file(0x0b, &[HUGE, HUGE, 1], &[]),
        "the header promises i16 elements of shape [4294967295, 4294967295, 1], more than memory can address",
    );
    refused(
        &idx_file(8, &[0, HUGE, HUGE, HUGE], &[]),
        "the header promises u8 elements of shape [0, 4294967295, 4294967295, 4294967295], \
         more than memory can address",
    );
    refused(
        &idx_file(8, &[HUGE, HUGE], &[1, 2]),
        "the header promises u8 elements of shape [4294967295, 4294967295], more than memory can address",
    );
    // Half an exabyte that fits an address is not asked of the allocator either.
    refused(
        &idx_file(8, &[HUGE, 1 << 27], &[1, 2]),
        "u8 elements of shape [4294967295, 134217728] take 576460752169205760 bytes after the header, \
         where 2 were found: the file is cut short",
    );
}

#[test]
fn a_small_file_of_much() {
    // Half a megabyte of gzip with five hundred million zeros, as its header promises.
    let zeros = 500_000_000;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&idx_file(8, &[zeros], &[])).unwrap();
    let block = vec![0; 1 << 20];
    let mut left = zeros as usize;
    while left > 0 {
        encoder.write_all(&block[..left.min(block.len())]).unwrap();
        left -= left.min(block.len());
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 600_000, "{}", bomb.len());
    let message = format!(
        "u8 elements of shape [500000000] take 500000000 bytes, more than a hundred times the {} bytes of the \
         compressed file; if that is right, decompress it first",
        bomb.len()
    );
    refused(&bomb, &message);
    // Two of them do not help each other; and what a header does not tell of is not decompressed.
    let more = [gzip(&labels(3)), bomb].concat();
    refused(
        &more,
        "u8 elements of shape [3] take 3 bytes after the header, where at least 1048579 were found: something is \
         appended",
    );
    // What may be right is read: sixty million zeros.
    let zeros = gzip(&idx_file(0x0d, &[15_000_000], &vec![0; 60_000_000]));
    let array = idx::decode(&zeros).unwrap();
    assert_eq!((array.shape().sizes(), array.element()), (&[15_000_000][..], "f32"));
    peak_is_below(350);
}

/// Asserts that this process has never held `bound` MiB, on Linux, where the system reports it.
fn peak_is_below(bound: usize) {
    if !cfg!(target_os = "linux") {
        return;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < bound << 10, "{} MiB", peak >> 10);
}

#[test]
fn many_rows_of_nothing_are_told_briefly() {
    let array = idx::decode(&idx_file(8, &[100_000_000, 0], &[])).unwrap();
    assert_eq!(format!("{array:?}"), "Array u8 [100000000, 0]");
    let images = mnist::read_labels("/no/such/file").unwrap_err();
    assert!(format!("{images:?}").len() < 200);
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file() {
    let error = idx::read("/dev/zero").unwrap_err();
    let message = "/dev/zero: cannot be read: it is a device, a pipe or a socket, not a regular file";
    assert_eq!(error.to_string(), message);
    let folder = folder("irregular");
    let error = idx::read(&folder).unwrap_err();
    let message = format!("{}: cannot be read: it is a folder, not a regular file", folder.display());
    assert_eq!(error.to_string(), message);
}

/// The reason after the colon is flate2's and changes with its versions and back ends.
#[test]
fn damaged_gzip() {
    let whole = gzip(&labels(100));
    let mut checksum = whole.clone();
    let index = checksum.len() - 8;
    checksum[index] ^= 1;
    let half = whole[..whole.len() / 2].to_vec();
    let appended = [whole, vec![7; 20]].concat();
    for bytes in [checksum, half, appended, vec![0x1f, 0x8b]] {
        let problem = idx::decode(&bytes).unwrap_err();
        let Problem::Gzip(reason) = &problem else { panic!("{problem}") };
        assert_eq!(problem.to_string(), format!("the gzip data are damaged: {reason}"));
    }
}

#[test]
fn the_wrong_file() {
    let folder = folder("wrong");
    let (images_path, labels_path) = (folder.join("images"), folder.join("labels"));
    fs::write(&images_path, images(3)).unwrap();
    fs::write(&labels_path, labels(2)).unwrap();
    let told = |error: DataError| error.to_string();
    assert_eq!(
        told(mnist::read_images(&labels_path).unwrap_err()),
        format!(
            "{}: images are u8 elements with at least three axes (image, row, column); \
             the file holds u8 elements of shape [2]",
            labels_path.display()
        )
    );
    assert_eq!(
        told(mnist::read_labels(&images_path).unwrap_err()),
        format!(
            "{}: labels are integers along one axis; the file holds u8 elements of shape [3, 1, 2]",
            images_path.display()
        )
    );
    assert_eq!(
        told(mnist::read(&images_path, &labels_path).unwrap_err()),
        format!(
            "{}: one label for each image is expected; 2 labels were found, and 3 images in {}",
            labels_path.display(),
            images_path.display()
        )
    );
    fs::write(&labels_path, idx_file(0x0d, &[1], &[0; 4])).unwrap();
    assert_eq!(
        told(mnist::read_labels(&labels_path).unwrap_err()),
        format!(
            "{}: labels are integers along one axis; the file holds f32 elements of shape [1]",
            labels_path.display()
        )
    );
}

#[test]
fn no_file() {
    let folder = folder("missing");
    let path = folder.join("nothing");
    let reason = fs::read(&path).unwrap_err();
    let error = idx::read(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: cannot be read: {reason}", path.display()));
    assert!(matches!(error.problem(), Problem::Io(reason) if reason.kind() == std::io::ErrorKind::NotFound));
    assert_eq!(mnist::load(&path).unwrap_err().to_string(), format!("{}: cannot be read: {reason}", path.display()));
    fs::write(folder.join("train-images-idx3-ubyte"), images(1)).unwrap();
    assert_eq!(
        mnist::load(&folder).unwrap_err().to_string(),
        format!("{}: the folder has no file train-labels-idx1-ubyte, plain or with the ending .gz", folder.display())
    );
}

#[test]
fn a_whole_folder_is_read_whatever_the_files_are_called() {
    let folder = folder("whole");
    fs::write(folder.join("train-images-idx3-ubyte"), images(3)).unwrap();
    fs::write(folder.join("train-labels-idx1-ubyte.gz"), gzip(&labels(3))).unwrap();
    fs::write(folder.join("t10k-images.idx3-ubyte"), gzip(&images(2))).unwrap();
    fs::write(folder.join("t10k-labels.idx1-ubyte.gz"), labels(2)).unwrap();
    let Split { train, test } = mnist::load(&folder).unwrap();
    assert_eq!(train.inputs().shape().sizes(), [3, 1, 2]);
    assert_eq!(train.sample(1).inputs.data(), [0.2, 1.0]);
    assert_eq!(test.targets().data(), [0, 1]);
}

#[test]
fn an_error_travels() {
    fn travels<E: std::error::Error + Send + Sync + 'static>() {}
    travels::<DataError>();
    travels::<Problem>();
}
