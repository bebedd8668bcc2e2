//! Tables as ordered maps, and the layer of uncommitted changes that a step lays over them.

use std::collections::BTreeMap;
use std::ops::Bound;

/// What is committed.
pub(super) type Table<K, V> = BTreeMap<K, V>;

/// What one step has changed: the row as it will be, or `None` where it is removed.
#[derive(Debug)]
pub(super) struct Layer<K, V>(BTreeMap<K, Option<V>>);

impl<K, V> Default for Layer<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, V> Layer<K, V> {
    /// The row as this step sees it: its own change, else what is committed by now.
    pub(super) fn get<'a>(&'a self, below: &'a Table<K, V>, key: &K) -> Option<&'a V> {
        match self.0.get(key) {
            Some(change) => change.as_ref(),
            None => below.get(key),
        }
    }

    pub(super) fn put(&mut self, key: K, row: V) {
        self.0.insert(key, Some(row));
    }

    /// The rows changed, and whether they stay.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&K, Option<&V>)> {
        self.0.iter().map(|(key, change)| (key, change.as_ref()))
    }

    pub(super) fn remove(&mut self, key: K) {
        self.0.insert(key, None);
    }

    /// The rows within the bounds in ascending order, as this step sees them.
    pub(super) fn scan<'a>(
        &'a self,
        below: &'a Table<K, V>,
        lower: Bound<K>,
        upper: Bound<K>,
    ) -> impl Iterator<Item = (&'a K, &'a V)> {
        // `BTreeMap::range` panics on bounds that exclude each other.
        let empty = match (&lower, &upper) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
            _ => false,
        };
        let bounds = (!empty).then_some((lower, upper));
        let mut committed = bounds.clone().map(|bounds| below.range(bounds)).into_iter().flatten().peekable();
        let mut changed = bounds.map(|bounds| self.0.range(bounds)).into_iter().flatten().peekable();
        std::iter::from_fn(move || {
            loop {
                let take_change = match (committed.peek(), changed.peek()) {
                    (Some((row, _)), Some((change, _))) => {
                        if row == change {
                            committed.next();
                            true
                        } else {
                            change < row
                        }
                    }
                    (None, Some(_)) => true,
                    (_, None) => false,
                };
                if !take_change {
                    return committed.next();
                }
                if let Some((key, Some(row))) = changed.next() {
                    return Some((key, row));
                }
            }
        })
    }

    /// Makes the changes part of what is committed.
    pub(super) fn commit(self, below: &mut Table<K, V>) {
        for (key, change) in self.0 {
            match change {
                Some(row) => below.insert(key, row),
                None => below.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Bound::{Excluded, Included, Unbounded};

    #[test]
    fn a_layer_hides_and_adds() {
        let mut below: Table<i32, char> = [(1, 'a'), (3, 'c'), (5, 'e')].into();
        let mut layer = Layer::default();
        layer.put(0, 'z');
        layer.put(3, 'C');
        layer.put(4, 'd');
        layer.remove(5);
        layer.remove(9);
        let seen = |layer: &Layer<i32, char>, lower, upper| {
            layer.scan(&below, lower, upper).map(|(key, row)| (*key, *row)).collect::<Vec<_>>()
        };
        assert_eq!(seen(&layer, Unbounded, Unbounded), [(0, 'z'), (1, 'a'), (3, 'C'), (4, 'd')]);
        assert_eq!(seen(&layer, Excluded(1), Included(3)), [(3, 'C')]);
        for (lower, upper) in [
            (Excluded(3), Included(3)),
            (Included(4), Included(3)),
            (Excluded(3), Excluded(3)),
            (Included(9), Excluded(1)),
        ] {
            assert_eq!(seen(&layer, lower, upper), []);
        }
        assert_eq!(layer.get(&below, &5), None);
        layer.commit(&mut below);
        assert_eq!(below, [(0, 'z'), (1, 'a'), (3, 'C'), (4, 'd')].into());
    }
}
