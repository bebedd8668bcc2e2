//! Numbers that follow upon each other: what is asked for or removed by many of them is so by the run.

use std::ops::RangeInclusive;

/// Numbers in any order, as ranges without a gap in them, ascending.
pub(super) fn runs(numbers: impl IntoIterator<Item = i64>) -> Vec<RangeInclusive<i64>> {
    let mut sorted: Vec<i64> = numbers.into_iter().collect();
    sorted.sort_unstable();
    let mut runs: Vec<RangeInclusive<i64>> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some(run) if number.saturating_sub(1) <= *run.end() => *run = *run.start()..=number,
            _ => runs.push(number..=number),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::runs;

    #[test]
    fn runs_have_no_gap() {
        for (numbers, wanted) in [
            (vec![], vec![]),
            (vec![7], vec![7..=7]),
            (vec![3, 1, 2], vec![1..=3]),
            (vec![5, 9, 5, 6, 8, 5], vec![5..=6, 8..=9]),
            (vec![1, 3, 5], vec![1..=1, 3..=3, 5..=5]),
            (vec![-1, 0, 1], vec![-1..=1]),
            (vec![i64::MAX, i64::MIN, i64::MAX - 1], vec![i64::MIN..=i64::MIN, i64::MAX - 1..=i64::MAX]),
        ] {
            assert_eq!(runs(numbers.clone()), wanted, "{numbers:?}");
        }
    }
}
