//! `a·b + c` with one rounding where the machine has an instruction for it, and with two where it has not.
//!
//! `f32::mul_add` is that instruction only in code that is compiled for a machine that has it. Elsewhere it calls the C
//! library, which takes about 20 times as long as a multiplication and an addition if the machine has no such
//! instruction. So [`MultiplyAdd`] asks what the machine has. A loop that [`vectorized`](super::simd::vectorized) has
//! compiled for an instruction set begins with [`promise`], from which the compiler knows the answer, and leaves the
//! question out.
//!
//! Why not a type that a loop is given: only the type of the numbers reaches the functions of a user's op. So it would
//! have to be other types than `f32` and `f64`, in all elementwise code.

#![allow(unsafe_code)] // A question in assembly, of which the compiler may use an earlier answer again.

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
pub(super) use asked::promise;

#[cfg(all(target_arch = "x86_64", not(target_feature = "fma")))]
mod asked {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
    use std::sync::atomic::AtomicU32;

    const ONCE: u32 = 1;
    const TWICE: u32 = 2;

    /// How often the machine rounds.
    #[inline(always)]
    fn answer() -> u32 {
        /// The answer, or 0 before it is known. The assembly below is all that can name it.
        static KNOWN: AtomicU32 = AtomicU32::new(0);
        let answer: u32;
        // SAFETY: the block depends on nothing and always gives the same number, as `pure` says: if that is not known
        // yet, the block asks for it. It touches no memory that anything else does, as `nomem` says: `KNOWN`, in single
        // instructions and always with the same number, and what `ask` has on the stack.
        unsafe {
            asm!(
                "mov eax, dword ptr [rip + {known}]",
                "test eax, eax",
                "jnz 2f",
                "call {ask}",
                "mov dword ptr [rip + {known}], eax",
                "2:",
                known = sym KNOWN,
                ask = sym ask,
                out("eax") answer,
                clobber_abi("sysv64"),
                options(pure, nomem),
            );
        }
        answer
    }

    /// The answer of the machine, which is the same on each of its cores: whether it has AVX2 and FMA, and the system
    /// keeps their registers. The calling convention is the one that asks nothing of the stack but its alignment.
    #[cold]
    #[inline(never)]
    extern "sysv64" fn ask() -> u32 {
        const SAVED: u32 = 1 << 27;
        const FMA: u32 = 1 << 12;
        const AVX2: u32 = 1 << 5;
        let fused = !super::super::simd::is_to_be_old() && __cpuid(0).eax >= 7 && {
            let first = __cpuid(1).ecx;
            // SAFETY: the system has turned the instruction on.
            first & FMA != 0 && first & SAVED != 0 && unsafe { saves_vectors() } && __cpuid_count(7, 0).ebx & AVX2 != 0
        };
        if fused { ONCE } else { TWICE }
    }

    /// Whether the system keeps the registers of 128 and 256 bits.
    #[target_feature(enable = "xsave")]
    fn saves_vectors() -> bool {
        // SAFETY: register 0 is there.
        unsafe { _xgetbv(0) & 6 == 6 }
    }

    /// Whether the machine multiplies and adds with one rounding.
    #[inline(always)]
    pub(crate) fn is_fused() -> bool {
        answer() == ONCE
    }

    /// Tells the compiler what [`is_fused`] is from here on.
    ///
    /// # Safety
    /// It is `fused`.
    #[inline(always)]
    pub(in crate::kernel) unsafe fn promise(fused: bool) {
        // SAFETY: the caller's promise.
        unsafe { std::hint::assert_unchecked(answer() == if fused { ONCE } else { TWICE }) }
    }
}
