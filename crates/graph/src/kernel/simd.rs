//! Runs a loop with the widest vector instructions that the machine has.
//!
//! A library is compiled for the oldest machine that it must run on. [`vectorized`] compiles the loop that it is given
//! once for that machine and once for each newer instruction set, and picks at run time. What the loop calls must be
//! `#[inline(always)]`, or it stays behind in the old instruction set.

#![allow(unsafe_code)] // Calls of functions compiled for a checked instruction set.

/// A loop to be compiled for several instruction sets.
pub trait Loop {
    /// What the loop gives back.
    type Output;

    /// The loop; marked `#[inline(always)]` by every implementor.
    fn run(self) -> Self::Output;
}

/// What the machine has.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
enum Level {
    Old,
    Avx2,
    Avx512,
}

/// What the machine has, looked up once.
#[cfg(target_arch = "x86_64")]
#[inline]
fn level() -> Level {
    use std::arch::is_x86_feature_detected as has;
    static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
    *LEVEL.get_or_init(|| {
        if has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
            Level::Avx512
        } else if has!("avx2") && has!("fma") {
            Level::Avx2
        } else {
            Level::Old
        }
    })
}

/// Runs the loop with the widest instruction set that the machine has.
#[inline]
pub fn vectorized<L: Loop>(work: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    match level() {
        // SAFETY: the instruction sets were found on this machine; every machine with AVX-512 has AVX2 and FMA.
        Level::Avx512 => return unsafe { with_avx512(work) },
        // SAFETY: the instruction sets were found on this machine.
        Level::Avx2 => return unsafe { with_avx2(work) },
        Level::Old => {}
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn with_avx512<L: Loop>(work: L) -> L::Output {
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<L: Loop>(work: L) -> L::Output {
    work.run()
}
