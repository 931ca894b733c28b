//! Runs a loop with the widest vector instructions of the machine.
//!
//! A library is compiled for the oldest machine that it supports. [`vectorized`] compiles a loop for that machine and
//! for each newer instruction set, and selects one at run time. Functions that the loop calls must be
//! `#[inline(always)]`, or they are compiled for the oldest machine only.

#![allow(unsafe_code)] // Calls of functions compiled for a checked instruction set.

/// A loop to be compiled for several instruction sets.
pub trait Loop {
    /// The result of the loop.
    type Output;

    /// The loop; marked `#[inline(always)]` by every implementor.
    fn run(self) -> Self::Output;
}

/// The instruction set of the machine.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) enum Level {
    /// The baseline of the target.
    Old,
    /// AVX2 and FMA.
    Avx2,
    /// These and the parts F, VL, DQ and BW of AVX-512.
    Avx512,
}

/// The instruction set of the machine, detected once.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn level() -> Level {
    use std::arch::is_x86_feature_detected as has;
    static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
    *LEVEL.get_or_init(|| {
        // Without FMA in the baseline both are one question, whose answer is promised below.
        let is_old = match cfg!(target_feature = "fma") {
            true => !has!("avx2") || is_to_be_old(),
            false => !super::multiply_add::is_fused(),
        };
        if is_old {
            Level::Old
        } else if has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
            Level::Avx512
        } else {
            Level::Avx2
        }
    })
}

/// Whether a test asks for the oldest instructions.
#[cfg(target_arch = "x86_64")]
pub(super) fn is_to_be_old() -> bool {
    cfg!(test) && std::env::var_os(OLD_MACHINE).is_some()
}

/// The variable of the environment by which a test of this crate asks for the oldest instructions.
#[cfg(target_arch = "x86_64")]
pub(crate) const OLD_MACHINE: &str = "GRADUS_TEST_OLD_INSTRUCTIONS";

/// Runs the loop with the widest instruction set of the machine.
#[inline]
pub fn vectorized<L: Loop>(work: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    match level() {
        // SAFETY: the instruction sets were found on this machine.
        Level::Avx512 => return unsafe { with_avx512(work) },
        // SAFETY: the instruction sets were found on this machine.
        Level::Avx2 => return unsafe { with_avx2(work) },
        Level::Old => {
            // SAFETY: this is how the level was found.
            #[cfg(not(target_feature = "fma"))]
            unsafe {
                super::multiply_add::promise(false);
            }
        }
    }
    work.run()
}

/// The results of the loop with each instruction set of the machine, the oldest first.
#[cfg(test)]
pub(crate) fn at_every_level<L: Loop>(work: impl Fn() -> L) -> Vec<(&'static str, L::Output)> {
    #[allow(unused_mut)]
    let mut outputs = vec![("the oldest instructions", work().run())];
    #[cfg(target_arch = "x86_64")]
    {
        if matches!(level(), Level::Avx2 | Level::Avx512) {
            // SAFETY: the instruction sets were found on this machine.
            outputs.push(("AVX2", unsafe { with_avx2(work()) }));
        }
        if matches!(level(), Level::Avx512) {
            // SAFETY: the instruction sets were found on this machine.
            outputs.push(("AVX-512", unsafe { with_avx512(work()) }));
        }
    }
    outputs
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn with_avx512<L: Loop>(work: L) -> L::Output {
    // SAFETY: with another answer the level would be the oldest.
    #[cfg(not(target_feature = "fma"))]
    unsafe {
        super::multiply_add::promise(true);
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<L: Loop>(work: L) -> L::Output {
    // SAFETY: as above.
    #[cfg(not(target_feature = "fma"))]
    unsafe {
        super::multiply_add::promise(true);
    }
    work.run()
}
