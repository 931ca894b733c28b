//! Reals of two bytes (IEEE 754 binary16): one bit of sign, five of exponent, ten of fraction.

/// The number as `f32`, which is exact.
pub(crate) fn widen(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), bits & 1023);
    match exponent {
        0 => sign * f32::from(fraction) * 2.0_f32.powi(-24),
        31 if fraction == 0 => sign * f32::INFINITY,
        // The sign and the bits of a NaN are kept.
        31 => f32::from_bits(u32::from(bits >> 15) << 31 | 0x7f80_0000 | u32::from(fraction) << 13),
        _ => sign * f32::from(1024 + fraction) * 2.0_f32.powi(exponent - 25),
    }
}

/// The nearest number of two bytes, of two equally near ones the even.
pub(crate) fn narrow(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let exponent = (bits >> 23 & 255) as i32 - 127;
    let fraction = bits & 0x7f_ffff;
    if exponent == 128 {
        // A NaN keeps its upper bits, and stays one.
        let kept = (fraction >> 13) as u16 | u16::from(fraction != 0 && fraction >> 13 == 0);
        return sign | 0x7c00 | kept;
    }
    if exponent < -25 {
        return sign;
    }
    // The fraction with its leading 1, in units of a half's last place, and the bits below.
    let whole = fraction | 0x80_0000;
    let shift = if exponent < -14 { (-1 - exponent) as u32 } else { 13 };
    let (kept, rest, tie) = (whole >> shift, whole & ((1 << shift) - 1), 1 << (shift - 1));
    let rounded = kept + u32::from(rest > tie || rest == tie && kept & 1 == 1);
    // A carry moves into the exponent, as it should.
    let above = if exponent < -14 { 0 } else { ((exponent + 14) as u32) << 10 };
    sign | (above + rounded).min(0x7c00) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_its_own_nearest() {
        for bits in 0..=u16::MAX {
            assert_eq!(narrow(widen(bits)), bits, "{bits:04x}");
        }
    }

    #[test]
    fn a_real_becomes_the_nearest_half() {
        // Between two halves: below, at and above the middle; below half of the smallest; above the largest.
        let cases = [
            (1.0, 0x3c00),
            (1.0 + 1.0 / 2048.0, 0x3c00),
            (1.0 + 3.0 / 2048.0, 0x3c02),
            (1.000_489, 0x3c01),
            (2.0_f32.powi(-25), 0),
            (2.0_f32.powi(-25) * 1.000_001, 1),
            (2.0_f32.powi(-24) * 1.5, 2),
            (65_504.0, 0x7bff),
            (65_519.996, 0x7bff),
            (65_520.0, 0x7c00),
            (1e30, 0x7c00),
            (-2.0, 0xc000),
            (-1e-30, 0x8000),
        ];
        for (value, bits) in cases {
            assert_eq!(narrow(value), bits, "{value}");
        }
        assert!(widen(narrow(f32::NAN)).is_nan());
    }
}
