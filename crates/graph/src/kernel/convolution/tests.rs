//! Buffers and sizes that do not fit are refused.

use super::Geometry;

const PLAIN: Geometry = Geometry {
    images: 2,
    groups: 1,
    channels: 3,
    filters: 2,
    size: [5, 4],
    kernel: [2, 2],
    positions: [4, 3],
    stride: [1, 1],
    dilation: [1, 1],
    before: [0, 0],
    is_reversed: false,
};

/// Runs all three with buffers of these sizes and returns which of them panic.
fn refused(geometry: Geometry, [x, w, y]: [usize; 3]) -> [bool; 3] {
    let buffers = || [vec![1.0_f64; x], vec![1.0; w], vec![1.0; y], vec![0.0; 4096]];
    let run = |work: &dyn Fn(Geometry, [Vec<f64>; 4])| {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(geometry, buffers())));
        let Err(message) = result else { return false };
        let message = message.downcast::<String>().expect("a formatted message");
        assert!(message.starts_with("convolution: "), "{message}");
        true
    };
    [
        run(&|geometry, [x, w, mut y, mut room]| geometry.forward(&x, &w, &mut y, &mut room)),
        run(&|geometry, [mut x, w, y, mut room]| geometry.backward_input(&y, &w, &mut x, &mut room)),
        run(&|geometry, [x, mut w, y, mut room]| geometry.backward_weight(&x, &y, &mut w, &mut room)),
    ]
}

#[test]
fn buffers_of_other_sizes_are_refused() {
    let right = [120, 24, 48];
    assert_eq!(refused(PLAIN, right), [false; 3]);
    for place in 0..3 {
        for wrong in [0, right[place] - 1, right[place] + 1] {
            let mut sizes = right;
            sizes[place] = wrong;
            assert_eq!(refused(PLAIN, sizes), [true; 3], "{sizes:?}");
        }
    }
}

/// Products of these sizes wrap around to the sizes of the buffers, or are zero although parts of them overflow.
#[test]
fn sizes_that_overflow_are_refused() {
    const THIRD: usize = usize::MAX / 3 * 2 + 1; // times 3 it is 1
    let empty = Geometry { images: 1, channels: 0, size: [1, 3], kernel: [1, 1], positions: [1, 3], ..PLAIN };
    assert_eq!(refused(Geometry { filters: THIRD, ..empty }, [0, 0, THIRD.wrapping_mul(3)]), [true; 3]);
    assert_eq!(refused(Geometry { kernel: [1 << 40, 1 << 40], ..empty }, [0, 0, 6]), [true; 3]);
    assert_eq!(refused(Geometry { images: 1 << 40, groups: 1 << 40, ..empty }, [0, 0, 0]), [true; 3]);
    let huge = Geometry { channels: 1 << 32, groups: 1 << 32, filters: 0, ..empty };
    assert_eq!(refused(huge, [0, 0, 0]), [true; 3]);
    assert_eq!(refused(Geometry { images: 0, size: [1 << 40, 1 << 40], ..empty }, [0, 0, 0]), [true; 3]);
    for far in [usize::MAX, usize::MAX / 2, 1 << 62] {
        for axis in 0..2 {
            let with = |change: &dyn Fn(&mut Geometry)| {
                let mut geometry = PLAIN;
                change(&mut geometry);
                assert_eq!(refused(geometry, [120, 24, 48]), [true; 3], "{geometry:?}");
            };
            with(&|geometry| geometry.stride[axis] = far);
            with(&|geometry| geometry.before[axis] = usize::MAX);
            with(&|geometry| geometry.dilation[axis] = usize::MAX);
            with(&|geometry| geometry.stride[axis] = 0);
        }
    }
}
