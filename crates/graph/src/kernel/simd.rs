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

/// Runs the loop with the widest instruction set that the machine has.
#[inline]
pub fn vectorized<L: Loop>(work: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    {
        // The macro caches its answer in a static: one load and a test.
        if std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512vl")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512bw")
        {
            // SAFETY: the instruction sets were found on this machine just above; every machine with AVX-512 has
            // AVX2 and FMA.
            return unsafe { with_avx512(work) };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the instruction sets were found on this machine just above.
            return unsafe { with_avx2(work) };
        }
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
