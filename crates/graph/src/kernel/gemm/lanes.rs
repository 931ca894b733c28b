//! The vector registers that a product is computed in, one implementation per instruction set and precision.
//!
//! [`Lanes`] is the vocabulary that the tile kernel and the packing are written in: load, splat, multiply and add,
//! store, and the transposition of a square of numbers between memory and a packed panel. Its methods are
//! inlined into functions that carry the `#[target_feature]`, which are [`Lanes::tile`] and [`Lanes::pack`].
//! `HEIGHT` and `vectors` say how large a tile may be before its sums no longer fit into the registers.
//!
//! Safety: every method needs a machine with the instruction set that the type stands for, which [`super::dispatch`]
//! has checked, and pointers that are valid for what it reads or writes.

#![allow(unsafe_code)] // Vector intrinsics and raw pointers; the conditions are the ones stated above.

use super::panel::{self, Panel, Tile};

/// A function that computes one tile.
pub(super) type Kernel<T> = unsafe fn(&Tile<T>);

/// An instruction set, seen as registers of `WIDTH` numbers.
pub(super) trait Lanes: Copy {
    /// The number in one lane.
    type Scalar: Copy + std::ops::Add<Output = Self::Scalar> + 'static;
    /// A register.
    type Vector: Copy;
    /// Which lanes of a register take part in a load or a store.
    type Mask: Copy;
    /// Numbers in a register.
    const WIDTH: usize;
    /// The most rows of a tile.
    const HEIGHT: usize;
    /// Whether tiles are small, and the L2 cache is half as large as where registers are wide: then more is spent on reading
    /// a and b in order, and `sums` fetches the lines of c.
    const IS_NARROW: bool = false;
    /// Numbers of a step of a packed panel of a.
    const PITCH: usize = Self::HEIGHT.next_multiple_of(Self::WIDTH);

    /// The most registers side by side in a tile of `height` rows; a power of two that never grows with `height`.
    fn vectors(height: usize) -> usize;
    /// The kernel of a tile of `height` rows and `vectors` registers.
    fn kernel(height: usize, vectors: usize) -> Kernel<Self::Scalar>;
    /// Packs a panel; see [`panel::pack`].
    unsafe fn pack(panel: &Panel<Self::Scalar>);
    /// Packs panels side by side; see [`panel::pack_beside`].
    unsafe fn pack_beside(panel: &Panel<Self::Scalar>, count: usize, taller: usize);
    /// The sums of a tile; see [`panel::sums`].
    #[inline(always)]
    unsafe fn sums<const H: usize, const V: usize>(tile: &Tile<Self::Scalar>) -> [[Self::Vector; V]; H] {
        // SAFETY: the caller's conditions are the same.
        unsafe { panel::sums::<Self, H, V>(tile) }
    }
    /// Computes a tile of `H` rows and `V` registers; see [`panel::tile`].
    unsafe fn tile<const H: usize, const V: usize>(tile: &Tile<Self::Scalar>);

    /// The first `count` lanes, with `1 <= count <= WIDTH`.
    unsafe fn mask(count: usize) -> Self::Mask;
    unsafe fn zero() -> Self::Vector;
    unsafe fn splat(from: *const Self::Scalar) -> Self::Vector;
    unsafe fn load(from: *const Self::Scalar) -> Self::Vector;
    /// Zero where the mask has no lane; reads nothing there.
    unsafe fn load_part(from: *const Self::Scalar, mask: Self::Mask) -> Self::Vector;
    unsafe fn store(to: *mut Self::Scalar, x: Self::Vector);
    /// Writes nothing where the mask has no lane.
    unsafe fn store_part(to: *mut Self::Scalar, x: Self::Vector, mask: Self::Mask);
    unsafe fn add(x: Self::Vector, y: Self::Vector) -> Self::Vector;
    /// `x·y + sum`, rounded once wherever the machine can.
    unsafe fn multiply_add(x: Self::Vector, y: Self::Vector, sum: Self::Vector) -> Self::Vector;
    unsafe fn prefetch(from: *const Self::Scalar);

    /// Computes a few rows of columns that lie apart; see [`panel::apart`].
    unsafe fn apart<const H: usize, const V: usize>(tile: &Tile<Self::Scalar>);

    /// Reads `WIDTH` numbers from each of `WIDTH` rows and hands over their columns, in order.
    unsafe fn transpose(rows: impl Fn(usize) -> *const Self::Scalar, columns: &mut impl Columns<Self>);
}

/// What takes the columns of a square, one after another. A trait and not a closure, because its method must be inlined
/// where the instructions are known.
pub(super) trait Columns<L: Lanes> {
    /// Takes a column; marked `#[inline(always)]`.
    ///
    /// # Safety
    /// The machine has the instructions of `L`; what the column goes to or is multiplied with is valid.
    unsafe fn take(&mut self, column: usize, x: L::Vector);
}

/// Lists the tiles of an instruction set: each height with its numbers of registers.
macro_rules! kernels {
    ($($height:literal: $($vectors:literal)+;)+) => {
        #[inline(always)]
        fn kernel(height: usize, vectors: usize) -> Kernel<Self::Scalar> {
            match (height, vectors) {
                $($(($height, $vectors) => Self::tile::<$height, $vectors>,)+)+
                _ => unreachable!("no kernel for {height} rows of {vectors} registers"),
            }
        }
    };
}

/// The methods that compile the shared code for one instruction set.
macro_rules! compiled {
    ($($features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        unsafe fn pack(panel: &Panel<Self::Scalar>) {
            // SAFETY: the caller's conditions are the same.
            unsafe { panel::pack::<Self>(panel) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn pack_beside(panel: &Panel<Self::Scalar>, count: usize, taller: usize) {
            // SAFETY: the caller's conditions are the same.
            unsafe { panel::pack_beside::<Self>(panel, count, taller) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn tile<const H: usize, const V: usize>(tile: &Tile<Self::Scalar>) {
            // SAFETY: the caller's conditions are the same.
            unsafe { panel::tile::<Self, H, V>(tile) }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn apart<const H: usize, const V: usize>(tile: &Tile<Self::Scalar>) {
            // SAFETY: the caller's conditions are the same.
            unsafe { panel::apart::<Self, H, V>(tile) }
        }
    };
}

/// Registers of the oldest machine: arrays that the compiler turns into whatever vectors it knows of.
///
/// Large products are not left to the crate `matrixmultiply`, which is used in tests alone: it allocates its panels in
/// every call, and a run does not allocate. Nor was it faster, in a comparison by hand that no program here repeats: on one
/// core of Zen 4 with SSE2 alone 26 to 29 Gflop/s in `f32` and 13 to 15 in `f64`, against 30 to 32 and 16 to 17 here, for
/// 64³ to 256³; under emulation of 64-bit ARM the same.
///
/// Steps are loops over lanes: a closure of `array::from_fn` is not inlined here, and a call for each register takes many
/// times as long.
#[derive(Clone, Copy)]
pub(super) struct Portable<T>(std::marker::PhantomData<T>);

macro_rules! portable {
    ($t:ty, $width:literal) => {
        impl Lanes for Portable<$t> {
            type Scalar = $t;
            type Vector = [$t; $width];
            type Mask = usize;
            const WIDTH: usize = $width;
            const HEIGHT: usize = 4;

            fn vectors(_: usize) -> usize {
                2
            }
            kernels! { 1: 1 2; 2: 1 2; 3: 1 2; 4: 1 2; }
            compiled! {}

            #[inline(always)]
            unsafe fn mask(count: usize) -> usize {
                count
            }
            #[inline(always)]
            unsafe fn zero() -> Self::Vector {
                [0.0; $width]
            }
            #[inline(always)]
            unsafe fn splat(from: *const $t) -> Self::Vector {
                // SAFETY: the caller's pointer is valid.
                [unsafe { *from }; $width]
            }
            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self::Vector {
                // SAFETY: the caller's pointer is valid for `WIDTH` numbers; the read needs no alignment.
                unsafe { from.cast::<Self::Vector>().read_unaligned() }
            }
            #[inline(always)]
            unsafe fn load_part(from: *const $t, mask: usize) -> Self::Vector {
                // SAFETY: the caller's pointer is valid for the lanes of the mask.
                unsafe {
                    if mask == $width {
                        return Self::load(from);
                    }
                    let mut x = Self::zero();
                    for lane in 0..mask {
                        x[lane] = *from.add(lane);
                    }
                    x
                }
            }
            #[inline(always)]
            unsafe fn store(to: *mut $t, x: Self::Vector) {
                // SAFETY: the caller's pointer is valid for `WIDTH` numbers; the write needs no alignment.
                unsafe { to.cast::<Self::Vector>().write_unaligned(x) }
            }
            #[inline(always)]
            unsafe fn store_part(to: *mut $t, x: Self::Vector, mask: usize) {
                for lane in 0..mask {
                    // SAFETY: the caller's pointer is valid for the lanes of the mask.
                    unsafe { *to.add(lane) = x[lane] }
                }
            }
            #[inline(always)]
            unsafe fn add(x: Self::Vector, y: Self::Vector) -> Self::Vector {
                let mut sum = x;
                for lane in 0..$width {
                    sum[lane] += y[lane];
                }
                sum
            }
            #[inline(always)]
            unsafe fn multiply_add(x: Self::Vector, y: Self::Vector, mut sum: Self::Vector) -> Self::Vector {
                for lane in 0..$width {
                    // Where the machine cannot fuse, `mul_add` would be a slow call of the C library.
                    sum[lane] = match cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                        true => x[lane].mul_add(y[lane], sum[lane]),
                        false => x[lane] * y[lane] + sum[lane],
                    };
                }
                sum
            }
            #[inline(always)]
            unsafe fn prefetch(_: *const $t) {}

            #[inline(always)]
            unsafe fn transpose(rows: impl Fn(usize) -> *const $t, columns: &mut impl Columns<Self>) {
                for x in 0..$width {
                    let mut column = [0.0; $width];
                    for lane in 0..$width {
                        // SAFETY: the caller's rows are valid.
                        column[lane] = unsafe { *rows(lane).add(x) };
                    }
                    // SAFETY: what takes the columns is valid, as the caller promises.
                    unsafe { columns.take(x, column) }
                }
            }
        }
    };
}
portable!(f32, 4);
portable!(f64, 2);

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;
    use std::marker::PhantomData;

    use super::super::unrolled;
    use super::{Columns, Kernel, Lanes, Panel, Tile, panel};

    /// 32 registers of 512 bits.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512<T>(PhantomData<T>);

    /// 16 registers of 256 bits.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2<T>(PhantomData<T>);

    /// The methods that differ between instruction sets only by the names of the intrinsics.
    macro_rules! intrinsics {
        ($t:ty, $zero:ident, $splat:ident, $load:ident, $store:ident, $add:ident, $fma:ident) => {
            // SAFETY of all: the machine has the instructions and the pointers are valid, as the trait demands.
            #[inline(always)]
            unsafe fn zero() -> Self::Vector {
                unsafe { $zero() }
            }
            #[inline(always)]
            unsafe fn splat(from: *const $t) -> Self::Vector {
                unsafe { $splat(*from) }
            }
            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self::Vector {
                unsafe { $load(from) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut $t, x: Self::Vector) {
                unsafe { $store(to, x) }
            }
            #[inline(always)]
            unsafe fn add(x: Self::Vector, y: Self::Vector) -> Self::Vector {
                unsafe { $add(x, y) }
            }
            #[inline(always)]
            unsafe fn multiply_add(x: Self::Vector, y: Self::Vector, sum: Self::Vector) -> Self::Vector {
                unsafe { $fma(x, y, sum) }
            }
            #[inline(always)]
            unsafe fn prefetch(from: *const $t) {
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
            }
        };
    }

    macro_rules! avx512 {
        ($t:ty, $vector:ty, $mask:ty, $width:literal, $load_part:ident, $store_part:ident, $($name:ident)+) => {
            type Scalar = $t;
            type Vector = $vector;
            type Mask = $mask;
            const WIDTH: usize = $width;
            const HEIGHT: usize = 14;

            #[inline(always)]
            fn vectors(height: usize) -> usize {
                match height {
                    0..=3 => 8,
                    4..=6 => 4,
                    _ => 2,
                }
            }
            kernels! {
                1: 1 2 4 8; 2: 1 2 4 8; 3: 1 2 4 8; 4: 1 2 4; 5: 1 2 4; 6: 1 2 4; 7: 1 2;
                8: 1 2; 9: 1 2; 10: 1 2; 11: 1 2; 12: 1 2; 13: 1 2; 14: 1 2;
            }
            compiled! { "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma" }
            intrinsics! { $t, $($name),+ }

            #[inline(always)]
            unsafe fn mask(count: usize) -> $mask {
                <$mask>::MAX >> ($width - count)
            }
            #[inline(always)]
            unsafe fn load_part(from: *const $t, mask: $mask) -> $vector {
                // SAFETY: as the trait demands; lanes outside the mask are not read.
                unsafe { $load_part(mask, from) }
            }
            #[inline(always)]
            unsafe fn store_part(to: *mut $t, x: $vector, mask: $mask) {
                // SAFETY: as the trait demands; lanes outside the mask are not written.
                unsafe { $store_part(to, mask, x) }
            }
        };
    }

    macro_rules! avx2 {
        ($t:ty, $vector:ty, $lane:ty, $width:literal, $sums:ident, $load_part:ident, $($name:ident)+) => {
            type Scalar = $t;
            type Vector = $vector;
            type Mask = usize;
            const WIDTH: usize = $width;
            const HEIGHT: usize = 6;

            #[inline(always)]
            fn vectors(height: usize) -> usize {
                if height <= 3 { 4 } else { 2 }
            }
            kernels! { 1: 1 2 4; 2: 1 2 4; 3: 1 2 4; 4: 1 2; 5: 1 2; 6: 1 2; }
            compiled! { "avx2,fma" }
            const IS_NARROW: bool = true;

            #[inline(always)]
            unsafe fn sums<const H: usize, const V: usize>(tile: &Tile<$t>) -> [[$vector; V]; H] {
                let last = tile.width - (V - 1) * $width;
                // SAFETY: the caller's conditions are the same.
                unsafe {
                    if last == $width || tile.b_is_padded {
                        unrolled::$sums::<H, V, true>(tile, tile.b)
                    } else {
                        unrolled::$sums::<H, V, false>(tile, Self::ones(last))
                    }
                }
            }
            intrinsics! { $t, $($name),+ }

            #[inline(always)]
            unsafe fn mask(count: usize) -> usize {
                count
            }
            #[inline(always)]
            unsafe fn load_part(from: *const $t, mask: usize) -> $vector {
                // SAFETY: as the trait demands; lanes outside the mask are not read.
                unsafe { $load_part(from, _mm256_loadu_si256(Self::ones(mask).cast())) }
            }
        };
    }

    macro_rules! ones {
        ($t:ty, $lane:ty, $width:literal) => {
            impl Avx2<$t> {
                /// A window into a row of ones followed by zeros, whose first `count` lanes are ones.
                #[inline(always)]
                fn ones(count: usize) -> *const $t {
                    static ONES: [$lane; 2 * $width] = {
                        let mut ones = [0; 2 * $width];
                        let mut lane = 0;
                        while lane < $width {
                            ones[lane] = -1;
                            lane += 1;
                        }
                        ones
                    };
                    // In bounds for all counts up to the width.
                    ONES.as_ptr().wrapping_add($width - count).cast()
                }
            }
        };
    }
    ones!(f32, i32, 8);
    ones!(f64, i64, 4);

    // The transpositions below fill each 128-bit part of a register from another row while loading, so that what
    // remains are shuffles inside those parts, half as many as a transposition in registers needs.

    impl Lanes for Avx512<f32> {
        avx512! {
            f32, __m512, __mmask16, 16, _mm512_maskz_loadu_ps, _mm512_mask_storeu_ps,
            _mm512_setzero_ps _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_fmadd_ps
        }

        #[inline(always)]
        unsafe fn transpose(rows: impl Fn(usize) -> *const f32, columns: &mut impl Columns<Self>) {
            // SAFETY: the caller's rows and what takes the columns are valid.
            unsafe {
                for part in 0..4 {
                    let load = |row: usize| {
                        let x = _mm512_castps128_ps512(_mm_loadu_ps(rows(row).add(4 * part)));
                        let x = _mm512_insertf32x4::<1>(x, _mm_loadu_ps(rows(row + 4).add(4 * part)));
                        let x = _mm512_insertf32x4::<2>(x, _mm_loadu_ps(rows(row + 8).add(4 * part)));
                        _mm512_insertf32x4::<3>(x, _mm_loadu_ps(rows(row + 12).add(4 * part)))
                    };
                    let [x, y, z, w] = [load(0), load(1), load(2), load(3)];
                    let (low, high) = (_mm512_unpacklo_ps(x, y), _mm512_unpackhi_ps(x, y));
                    let (low2, high2) = (_mm512_unpacklo_ps(z, w), _mm512_unpackhi_ps(z, w));
                    columns.take(4 * part, _mm512_shuffle_ps::<0x44>(low, low2));
                    columns.take(4 * part + 1, _mm512_shuffle_ps::<0xEE>(low, low2));
                    columns.take(4 * part + 2, _mm512_shuffle_ps::<0x44>(high, high2));
                    columns.take(4 * part + 3, _mm512_shuffle_ps::<0xEE>(high, high2));
                }
            }
        }
    }

    impl Lanes for Avx512<f64> {
        avx512! {
            f64, __m512d, __mmask8, 8, _mm512_maskz_loadu_pd, _mm512_mask_storeu_pd,
            _mm512_setzero_pd _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_add_pd _mm512_fmadd_pd
        }

        #[inline(always)]
        unsafe fn transpose(rows: impl Fn(usize) -> *const f64, columns: &mut impl Columns<Self>) {
            // SAFETY: the caller's rows and what takes the columns are valid.
            unsafe {
                for part in 0..4 {
                    let load = |row: usize| {
                        let x = _mm512_castpd128_pd512(_mm_loadu_pd(rows(row).add(2 * part)));
                        let x = _mm512_insertf64x2::<1>(x, _mm_loadu_pd(rows(row + 2).add(2 * part)));
                        let x = _mm512_insertf64x2::<2>(x, _mm_loadu_pd(rows(row + 4).add(2 * part)));
                        _mm512_insertf64x2::<3>(x, _mm_loadu_pd(rows(row + 6).add(2 * part)))
                    };
                    let (x, y) = (load(0), load(1));
                    columns.take(2 * part, _mm512_unpacklo_pd(x, y));
                    columns.take(2 * part + 1, _mm512_unpackhi_pd(x, y));
                }
            }
        }
    }

    impl Lanes for Avx2<f32> {
        avx2! {
            f32, __m256, i32, 8, singles, _mm256_maskload_ps,
            _mm256_setzero_ps _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_fmadd_ps
        }

        // In parts: a store with a mask takes dozens of steps on some machines.
        #[inline(always)]
        unsafe fn store_part(mut to: *mut f32, x: __m256, mask: usize) {
            // SAFETY: as the trait demands; lanes outside the mask are not written.
            unsafe {
                if mask == Self::WIDTH {
                    return Self::store(to, x);
                }
                let mut part = _mm256_castps256_ps128(x);
                if mask & 4 > 0 {
                    _mm_storeu_ps(to, part);
                    (to, part) = (to.add(4), _mm256_extractf128_ps::<1>(x));
                }
                if mask & 2 > 0 {
                    _mm_storel_epi64(to.cast(), _mm_castps_si128(part));
                    (to, part) = (to.add(2), _mm_movehl_ps(part, part));
                }
                if mask & 1 > 0 {
                    _mm_store_ss(to, part);
                }
            }
        }

        #[inline(always)]
        unsafe fn transpose(rows: impl Fn(usize) -> *const f32, columns: &mut impl Columns<Self>) {
            // SAFETY: the caller's rows and what takes the columns are valid.
            unsafe {
                for part in 0..2 {
                    let load = |row: usize| {
                        let x = _mm256_castps128_ps256(_mm_loadu_ps(rows(row).add(4 * part)));
                        _mm256_insertf128_ps::<1>(x, _mm_loadu_ps(rows(row + 4).add(4 * part)))
                    };
                    let [x, y, z, w] = [load(0), load(1), load(2), load(3)];
                    let (low, high) = (_mm256_unpacklo_ps(x, y), _mm256_unpackhi_ps(x, y));
                    let (low2, high2) = (_mm256_unpacklo_ps(z, w), _mm256_unpackhi_ps(z, w));
                    columns.take(4 * part, _mm256_shuffle_ps::<0x44>(low, low2));
                    columns.take(4 * part + 1, _mm256_shuffle_ps::<0xEE>(low, low2));
                    columns.take(4 * part + 2, _mm256_shuffle_ps::<0x44>(high, high2));
                    columns.take(4 * part + 3, _mm256_shuffle_ps::<0xEE>(high, high2));
                }
            }
        }
    }

    impl Lanes for Avx2<f64> {
        avx2! {
            f64, __m256d, i64, 4, doubles, _mm256_maskload_pd,
            _mm256_setzero_pd _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_add_pd _mm256_fmadd_pd
        }

        // In parts, as above.
        #[inline(always)]
        unsafe fn store_part(mut to: *mut f64, x: __m256d, mask: usize) {
            // SAFETY: as the trait demands; lanes outside the mask are not written.
            unsafe {
                if mask == Self::WIDTH {
                    return Self::store(to, x);
                }
                let mut part = _mm256_castpd256_pd128(x);
                if mask & 2 > 0 {
                    _mm_storeu_pd(to, part);
                    (to, part) = (to.add(2), _mm256_extractf128_pd::<1>(x));
                }
                if mask & 1 > 0 {
                    _mm_store_sd(to, part);
                }
            }
        }

        #[inline(always)]
        unsafe fn transpose(rows: impl Fn(usize) -> *const f64, columns: &mut impl Columns<Self>) {
            // SAFETY: the caller's rows and what takes the columns are valid.
            unsafe {
                for part in 0..2 {
                    let load = |row: usize| {
                        let x = _mm256_castpd128_pd256(_mm_loadu_pd(rows(row).add(2 * part)));
                        _mm256_insertf128_pd::<1>(x, _mm_loadu_pd(rows(row + 2).add(2 * part)))
                    };
                    let (x, y) = (load(0), load(1));
                    columns.take(2 * part, _mm256_unpacklo_pd(x, y));
                    columns.take(2 * part + 1, _mm256_unpackhi_pd(x, y));
                }
            }
        }
    }
}
