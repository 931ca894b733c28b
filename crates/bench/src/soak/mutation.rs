//! Damage to files: bits, lengths, pieces of other files, and the numbers that a header holds.

/// Numbers that look random (SplitMix64), the same for the same seed.
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the numbers below the bound; 0 for a bound of 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A place in a file of that length, half of the time near its beginning, where headers are.
    fn place(&mut self, length: usize) -> usize {
        let near = self.below(2) == 0;
        self.below(if near { length.min(64) } else { length })
    }
}

/// Values that counters and sizes are not made for.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// The same in text, with what is no number at all.
const WORDS: [&str; 12] = [
    "0",
    "1",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "1e308",
    "",
    "0.5",
    "null",
    "[]",
];

/// One to three kinds of damage to a file; `others` are files that it may get pieces of.
pub(super) fn mutate(numbers: &mut Numbers, file: &[u8], others: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=numbers.below(3) {
        damage(numbers, &mut bytes, others);
    }
    bytes
}

fn damage(numbers: &mut Numbers, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let length = bytes.len();
    match numbers.below(9) {
        0 if length > 0 => {
            for _ in 0..=numbers.below(8) {
                let place = numbers.place(length);
                bytes[place] ^= 1 << numbers.below(8);
            }
        }
        1 => bytes.truncate(numbers.place(length)),
        2 => {
            let place = numbers.place(length + 1);
            let same = numbers.below(2) == 0;
            let byte = numbers.next() as u8;
            let piece: Vec<u8> =
                (0..=numbers.below(64)).map(|_| if same { byte } else { numbers.next() as u8 }).collect();
            bytes.splice(place..place, piece);
        }
        3 => {
            let start = numbers.place(length);
            let end = length.min(start + numbers.below(64));
            bytes.drain(start..end);
        }
        4 => {
            let other = &others[numbers.below(others.len())];
            bytes.truncate(numbers.place(length));
            bytes.extend_from_slice(&other[numbers.place(other.len())..]);
        }
        5 => {
            let value = EDGES[numbers.below(EDGES.len())];
            let width = [1, 2, 4, 8][numbers.below(4)];
            let place = numbers.place(length);
            let (little, big) = (value.to_le_bytes(), value.to_be_bytes());
            let source = if numbers.below(2) == 0 { &little[..width] } else { &big[8 - width..] };
            for (byte, value) in bytes[place..].iter_mut().zip(source) {
                *byte = *value;
            }
        }
        6 => {
            // The first number in digits from some place on.
            let from = numbers.below(length);
            let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit).map(|place| from + place) else {
                return;
            };
            let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            bytes.splice(start..start + digits, WORDS[numbers.below(WORDS.len())].bytes());
        }
        7 if length > 2 => {
            // `[4,3]` becomes `[3,4]`.
            let place = numbers.place(length - 2);
            bytes.swap(place, place + 2);
        }
        8 => {
            // The type of some array becomes another of the same size, `F32` perhaps `I32`.
            let from = numbers.below(length);
            let types = bytes[from..].windows(2).position(|pair| b"FUI".contains(&pair[0]) && b"36".contains(&pair[1]));
            if let Some(place) = types {
                bytes[from + place] = b"FUI"[numbers.below(3)];
            }
        }
        _ => {}
    }
}
