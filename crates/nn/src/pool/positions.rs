//! Where the windows of a pooling lie along one axis.
//!
//! There are `(size + 2·padding − reach)/stride + 1` positions, where `reach = dilation·(kernel − 1) + 1`. The quotient
//! is rounded down, or up if the last window may begin within and end beyond; but it may not begin after the elements,
//! as in PyTorch.

/// The windows along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Positions {
    pub(super) size: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
    pub(super) ceil: bool,
}

impl Positions {
    /// How many there are; none if a window does not fit.
    pub(super) fn count(&self) -> usize {
        let reach = self.dilation * (self.kernel - 1) + 1;
        let Some(room) = (self.size + 2 * self.padding).checked_sub(reach) else { return 0 };
        if !self.ceil {
            return room / self.stride + 1;
        }
        let count = room.div_ceil(self.stride) + 1;
        if (count - 1) * self.stride >= self.size + self.padding { count - 1 } else { count }
    }

    /// The elements of the axis that the window at a position holds: the first, and how many.
    pub(super) fn elements(&self, position: usize) -> (usize, usize) {
        let start = position * self.stride;
        let skipped = self.padding.saturating_sub(start).div_ceil(self.dilation);
        let first = start + skipped * self.dilation;
        let left = (self.size + self.padding).saturating_sub(first).div_ceil(self.dilation);
        (first.saturating_sub(self.padding), left.min(self.kernel.saturating_sub(skipped)))
    }

    /// How many elements and zeros of the padding the window at a position holds; what lies beyond the padding does not
    /// count. For windows without gaps.
    pub(super) fn with_padding(&self, position: usize) -> usize {
        self.kernel.min(self.size + 2 * self.padding - position * self.stride)
    }
}

/// Panics if windows have no elements or do not move, or if the padding is more than half of them.
#[track_caller]
pub(super) fn expect_windows(what: &str, kernel: &[usize], stride: &[usize], padding: &[usize]) {
    for (number, along) in [("kernel", kernel), ("stride", stride)] {
        assert!(!along.contains(&0), "`{what}`: the {number} is {along:?}; it must be at least 1 on each axis");
    }
    let fits = kernel.iter().zip(padding).all(|(kernel, padding)| *padding <= kernel / 2);
    assert!(fits, "`{what}`: the padding {padding:?} must be at most half of the kernel {kernel:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_elements_by_hand() {
        let plain = Positions { size: 7, kernel: 3, stride: 2, padding: 1, dilation: 1, ceil: false };
        let elements = |positions: Positions| (0..positions.count()).map(|p| positions.elements(p)).collect::<Vec<_>>();
        assert_eq!(elements(plain), [(0, 2), (1, 3), (3, 3), (5, 2)]);
        assert_eq!(elements(Positions { padding: 0, size: 8, ceil: true, ..plain }), [(0, 3), (2, 3), (4, 3), (6, 2)]);
        assert_eq!(elements(Positions { kernel: 2, stride: 3, size: 6, padding: 0, ceil: true, ..plain }).len(), 2);
        assert_eq!(elements(Positions { dilation: 3, stride: 1, ..plain }), [(2, 2), (0, 3), (1, 2)]);
        assert_eq!(Positions { size: 1, padding: 0, ..plain }.count(), 0);
    }
}
