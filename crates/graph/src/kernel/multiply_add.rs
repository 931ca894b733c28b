//! `a·b + c` with one rounding where the machine has an instruction for it, and with two where it has not.
//!
//! `f32::mul_add` is that instruction only in code that is compiled for a machine that has it. Elsewhere it calls the C
//! library, which takes about 20 times as long as a multiplication and an addition if the machine has no such
//! instruction. So [`MultiplyAdd`] asks what the machine has. A loop that [`vectorized`](super::simd::vectorized) has
//! compiled for an instruction set begins with [`promise`], from which the compiler knows the answer, and leaves the
//! question out.

#![allow(unsafe_code)] // Reading a byte in a way that lets the compiler use an earlier answer again.

/// Numbers that are multiplied and added in one step.
pub(crate) trait MultiplyAdd {
    /// `self·by + plus`, rounded once where [`is_fused`], else twice.
    fn times_plus(self, by: Self, plus: Self) -> Self;
}

macro_rules! multiply_add {
    ($($number:ty),+) => {
        $(impl MultiplyAdd for $number {
            #[inline(always)]
            fn times_plus(self, by: Self, plus: Self) -> Self {
                if is_fused() { self.mul_add(by, plus) } else { self * by + plus }
            }
        })+
    };
}

multiply_add!(f32, f64);

/// `polynomial!` of the elementwise functions, with fused steps.
macro_rules! fused_polynomial {
    ($x:expr; $($c:expr),+) => {{
        use $crate::kernel::multiply_add::MultiplyAdd;
        let x = $x;
        let square = x * x;
        x.times_plus(fused_polynomial!(@odd square; $($c),+), fused_polynomial!(@even square; $($c),+))
    }};
    (@even $s:ident; $a:expr $(, $b:expr)?) => { $a };
    (@even $s:ident; $a:expr, $b:expr, $($rest:expr),+) => {
        $s.times_plus(fused_polynomial!(@even $s; $($rest),+), $a)
    };
    (@odd $s:ident; $a:expr, $b:expr $(, $c:expr)?) => { $b };
    (@odd $s:ident; $a:expr, $b:expr, $($rest:expr),+) => {
        $s.times_plus(fused_polynomial!(@odd $s; $($rest),+), $b)
    };
}

pub(crate) use fused_polynomial;

/// Whether the machine multiplies and adds with one rounding.
#[cfg(any(not(target_arch = "x86_64"), target_feature = "fma"))]
#[inline(always)]
pub(crate) fn is_fused() -> bool {
    cfg!(any(target_feature = "fma", target_arch = "aarch64"))
}

#[cfg(all(target_arch = "x86_64", not(target_feature = "fma")))]
pub(crate) use asked::is_fused;
#[cfg(all(target_arch = "x86_64", not(target_feature = "fma")))]
pub(super) use asked::{promise, remember};

#[cfg(all(target_arch = "x86_64", not(target_feature = "fma")))]
mod asked {
    use std::arch::asm;
    use std::sync::atomic::AtomicU32;

    use crate::kernel::simd;

    const ONCE: u32 = 1;
    const TWICE: u32 = 2;

    /// How often the machine rounds, or 0 before that is known. Only the assembly below touches it.
    static ANSWER: AtomicU32 = AtomicU32::new(0);

    #[inline(always)]
    fn answer() -> u32 {
        let answer: u32;
        // SAFETY: it reads a static of this size and does nothing else. That makes it no function of nothing, as `pure`
        // says, since 0 is followed by another answer; but that answer is then the same for ever, and a 0 that is used
        // again is followed by the question, so it makes no difference which of them the compiler uses.
        unsafe {
            asm!(
                "mov {answer:e}, dword ptr [rip + {known}]",
                answer = out(reg) answer,
                known = sym ANSWER,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        answer
    }

    /// Whether the machine multiplies and adds with one rounding.
    #[inline(always)]
    pub(crate) fn is_fused() -> bool {
        match answer() {
            ONCE => true,
            TWICE => false,
            _ => ask(),
        }
    }

    #[cold]
    #[inline(never)]
    fn ask() -> bool {
        simd::level().is_fused()
    }

    /// Keeps the answer.
    pub(in crate::kernel) fn remember(fused: bool) {
        // SAFETY: it writes a static of this size, in one instruction, always the same number.
        unsafe {
            asm!(
                "mov dword ptr [rip + {known}], {answer:e}",
                answer = in(reg) if fused { ONCE } else { TWICE },
                known = sym ANSWER,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Tells the compiler what [`is_fused`] is from here on.
    ///
    /// # Safety
    /// It is `fused`, and that is [remembered](remember).
    #[inline(always)]
    pub(in crate::kernel) unsafe fn promise(fused: bool) {
        // SAFETY: the caller's promise.
        unsafe { std::hint::assert_unchecked(answer() == if fused { ONCE } else { TWICE }) }
    }
}
