//! Which rows are for training, which for validation and which for testing.
//!
//! Functions give the numbers of rows, for [`Dataset::select`](crate::Dataset::select),
//! [`Table::select`](crate::Table::select) and [`Rows::selected`](crate::Rows::selected). Without shuffling, the folds
//! are scikit-learn's.

use crate::dataset::Dataset;
use crate::shuffle::{permutation, shuffle};
use crate::split::Split;

/// The rows of one fold.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// The rows to learn from.
    pub train: Vec<usize>,
    /// The rows held out.
    pub test: Vec<usize>,
}

impl Fold {
    /// The two parts of a data set.
    ///
    /// # Panics
    /// If it has fewer rows than the fold was made for.
    ///
    /// # Example
    /// ```
    /// use gradus_data::{digits, folds};
    /// let digits = digits::all();
    /// for fold in folds::stratified(digits.targets().data(), 5) {
    ///     let split = fold.of(&digits);
    ///     assert!(split.test.len() >= 359);
    /// }
    /// ```
    #[track_caller]
    pub fn of<X: Clone, Y: Clone>(&self, dataset: &Dataset<X, Y>) -> Split<X, Y> {
        Split { train: dataset.select(&self.train), test: dataset.select(&self.test) }
    }
}

/// The rows whose group of `folds` this is.
fn folds_of(count: usize, of_row: &[usize]) -> Vec<Fold> {
    let fold = |k| {
        let (test, train) = (0..of_row.len()).partition(|&row| of_row[row] == k);
        Fold { train, test }
    };
    (0..count).map(fold).collect()
}

#[track_caller]
fn expect_folds(method: &str, count: usize, rows: usize) {
    assert!(count >= 2 && count <= rows, "`{method}`: {count} folds of {rows} rows");
}

/// `count` folds of neighbouring rows.
///
/// # Panics
/// If there are fewer than two folds, or fewer rows than folds.
///
/// # Example
/// ```
/// let folds = gradus_data::folds::in_order(7, 3);
/// assert_eq!(folds[1].test, [3, 4]);
/// assert_eq!(folds[1].train, [0, 1, 2, 5, 6]);
/// ```
#[track_caller]
pub fn in_order(rows: usize, count: usize) -> Vec<Fold> {
    expect_folds("folds::in_order", count, rows);
    let mut of_row = Vec::with_capacity(rows);
    for fold in 0..count {
        let size = rows / count + usize::from(fold < rows % count);
        of_row.extend(std::iter::repeat_n(fold, size));
    }
    folds_of(count, &of_row)
}

/// `count` folds of rows drawn by the seed.
///
/// # Panics
/// If there are fewer than two folds, or fewer rows than folds.
#[track_caller]
pub fn shuffled(rows: usize, count: usize, seed: u64) -> Vec<Fold> {
    expect_folds("folds::shuffled", count, rows);
    let mut of_row = vec![0; rows];
    for (place, row) in permutation(rows, seed, 0).into_iter().enumerate() {
        of_row[row] = place % count;
    }
    folds_of(count, &of_row)
}

/// `count` folds with as nearly the same share of each label as can be; of each label, earlier rows are in earlier
/// folds.
///
/// # Panics
/// If there are fewer than two folds, or every label has fewer rows than there are folds.
#[track_caller]
pub fn stratified(labels: &[i64], count: usize) -> Vec<Fold> {
    let of_row = strata("folds::stratified", labels, count, |_| {});
    folds_of(count, &of_row)
}

/// `count` folds with as nearly the same share of each label as can be, of rows drawn by the seed.
///
/// # Panics
/// If there are fewer than two folds, or every label has fewer rows than there are folds.
#[track_caller]
pub fn stratified_shuffled(labels: &[i64], count: usize, seed: u64) -> Vec<Fold> {
    let mut label = 0;
    let of_row = strata("folds::stratified_shuffled", labels, count, |folds| {
        shuffle(folds, seed, label);
        label += 1;
    });
    folds_of(count, &of_row)
}

/// The fold of each row. `order` puts the folds of the rows of one label into another order.
#[track_caller]
fn strata(method: &str, labels: &[i64], count: usize, mut order: impl FnMut(&mut [usize])) -> Vec<usize> {
    expect_folds(method, count, labels.len());
    // The rows of each label, in the order in which labels first occur.
    let mut rows: Vec<(i64, Vec<usize>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (row, &label) in labels.iter().enumerate() {
        let place = *places.entry(label).or_insert(rows.len());
        if place == rows.len() {
            rows.push((label, Vec::new()));
        }
        rows[place].1.push(row);
    }
    let most = rows.iter().map(|(_, rows)| rows.len()).max().unwrap_or(0);
    assert!(most >= count, "`{method}`: {count} folds, and no label has more than {most} rows");
    // Sorted by label, every `count`-th row would be in the same fold: this is the number of rows of each label in a fold.
    let mut start = 0;
    let mut of_row = vec![0; labels.len()];
    for (_, rows) in &rows {
        let mut folds = Vec::with_capacity(rows.len());
        for fold in 0..count {
            let taken = (start..start + rows.len()).filter(|place| place % count == fold).count();
            folds.extend(std::iter::repeat_n(fold, taken));
        }
        order(&mut folds);
        rows.iter().zip(folds).for_each(|(&row, fold)| of_row[row] = fold);
        start += rows.len();
    }
    of_row
}

/// `count` folds of whole groups, with as nearly the same number of rows as can be: rows of one patient, say, are never
/// in both parts. Large groups are placed first, each into the smallest fold.
///
/// # Panics
/// If there are fewer than two folds, or fewer groups than folds.
#[track_caller]
pub fn grouped(groups: &[i64], count: usize) -> Vec<Fold> {
    let mut sizes = std::collections::BTreeMap::new();
    groups.iter().for_each(|&group| *sizes.entry(group).or_insert(0_usize) += 1);
    assert!(count >= 2 && count <= sizes.len(), "`folds::grouped`: {count} folds of {} groups", sizes.len());
    let mut largest_first: Vec<(i64, usize)> = sizes.into_iter().collect();
    largest_first.sort_by_key(|&(_, size)| size);
    let mut filled = vec![0; count];
    let mut of_group = std::collections::HashMap::new();
    for (group, size) in largest_first.into_iter().rev() {
        let fold = (0..count).min_by_key(|&fold| filled[fold]).unwrap_or(0);
        filled[fold] += size;
        of_group.insert(group, fold);
    }
    folds_of(count, &groups.iter().map(|group| of_group[group]).collect::<Vec<_>>())
}

/// `count` folds of rows in the order of time: each is tested on the rows that follow those it learns from, `gap` rows
/// after the last.
///
/// # Panics
/// If there are no folds, or fewer rows than folds.
///
/// # Example
/// ```
/// let folds = gradus_data::folds::by_time(6, 2, 0);
/// assert_eq!((&folds[0].train[..], &folds[0].test[..]), (&[0, 1][..], &[2, 3][..]));
/// assert_eq!((&folds[1].train[..], &folds[1].test[..]), (&[0, 1, 2, 3][..], &[4, 5][..]));
/// ```
#[track_caller]
pub fn by_time(rows: usize, count: usize, gap: usize) -> Vec<Fold> {
    let size = rows / count.saturating_add(1);
    let first = rows - count * size;
    assert!(count > 0 && size > 0 && first > gap, "`folds::by_time`: {count} folds of {rows} rows with a gap of {gap}");
    let fold = |k| {
        let start = first + k * size;
        Fold { train: (0..start - gap).collect(), test: (start..start + size).collect() }
    };
    (0..count).map(fold).collect()
}

/// Three parts: as many rows as are asked for, drawn by the seed, for validation and for testing, and the others for
/// training. Each keeps the order of the rows.
///
/// # Panics
/// If there are fewer rows than both parts take.
///
/// # Example
/// ```
/// let [train, validation, test] = gradus_data::folds::three(100, 15, 20, 7);
/// assert_eq!((train.len(), validation.len(), test.len()), (65, 15, 20));
/// ```
#[track_caller]
pub fn three(rows: usize, validation: usize, test: usize, seed: u64) -> [Vec<usize>; 3] {
    let held_out = validation.checked_add(test).filter(|&held_out| held_out <= rows);
    assert!(held_out.is_some(), "`folds::three`: {validation} and {test} of {rows} rows cannot be held out");
    let mut order = permutation(rows, seed, 0);
    let mut parts = [order.split_off(validation + test), order.split_off(test), order];
    parts.iter_mut().for_each(|part| part.sort_unstable());
    parts
}

/// Holds out this share of the rows of each label, rounded, drawn by the seed. Both parts keep the order of the rows.
///
/// # Panics
/// If the share is not between 0 and 1.
#[track_caller]
pub fn held_out(labels: &[i64], share: f64, seed: u64) -> Fold {
    assert!((0.0..=1.0).contains(&share), "`folds::held_out`: a share is between 0 and 1, not {share}");
    let mut rows = std::collections::BTreeMap::<i64, Vec<usize>>::new();
    for row in permutation(labels.len(), seed, 0) {
        rows.entry(labels[row]).or_default().push(row);
    }
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for mut rows in rows.into_values() {
        train.extend(rows.split_off((rows.len() as f64 * share).round() as usize));
        test.extend(rows);
    }
    train.sort_unstable();
    test.sort_unstable();
    Fold { train, test }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_partition(fold: &Fold, rows: usize) {
        let mut all = [fold.train.clone(), fold.test.clone()].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..rows));
    }

    #[test]
    fn folds_are_partitions_and_their_tests_have_every_row_once() {
        let labels: Vec<i64> = (0..53).map(|row| (row * row) % 5).collect();
        let all = [
            in_order(53, 4),
            shuffled(53, 4, 1),
            stratified(&labels, 4),
            stratified_shuffled(&labels, 4, 1),
            grouped(&labels, 3),
        ];
        for folds in all {
            folds.iter().for_each(|fold| is_partition(fold, 53));
            let mut tests: Vec<usize> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
            tests.sort_unstable();
            assert!(tests.into_iter().eq(0..53));
        }
        assert_ne!(shuffled(53, 4, 1), shuffled(53, 4, 2));
        assert_ne!(stratified_shuffled(&labels, 4, 1), stratified_shuffled(&labels, 4, 2));
    }

    #[test]
    fn a_label_is_spread_evenly_and_a_group_not_at_all() {
        let labels: Vec<i64> = (0..60).map(|row| i64::from(row % 6 == 0)).collect();
        for fold in stratified_shuffled(&labels, 5, 3) {
            assert_eq!(fold.test.iter().filter(|&&row| labels[row] == 1).count(), 2);
        }
        let fold = held_out(&labels, 0.2, 3);
        is_partition(&fold, 60);
        assert_eq!(fold.test.iter().filter(|&&row| labels[row] == 1).count(), 2);
        for fold in grouped(&labels, 2) {
            assert!(fold.test.iter().all(|&row| labels[row] == labels[fold.test[0]]));
        }
    }

    #[test]
    #[should_panic = "`folds::stratified`: 3 folds, and no label has more than 2 rows"]
    fn too_few_rows_of_a_label_are_refused() {
        stratified(&[0, 0, 1, 1, 2], 3);
    }

    #[test]
    #[should_panic = "`folds::by_time`: 5 folds of 5 rows with a gap of 0"]
    fn too_few_rows_in_time_are_refused() {
        by_time(5, 5, 0);
    }
}
