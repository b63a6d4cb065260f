//! Sets of instants as sorted, disjoint, closed intervals. Touching counts as overlapping: where two
//! readings of the clock are equal the observer cannot say which came first, and gives the benefit
//! of the doubt.

use super::event::Nanos;

/// A closed interval; empty when its end lies before its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) start: Nanos,
    pub(super) end: Nanos,
}

impl Interval {
    pub(super) fn new(start: Nanos, end: Nanos) -> Interval {
        Interval { start, end }
    }

    pub(super) fn and(self, other: Interval) -> Interval {
        Interval::new(self.start.max(other.start), self.end.min(other.end))
    }

    pub(super) fn is_empty(self) -> bool {
        self.end < self.start
    }
}

/// A union of intervals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Intervals(Vec<Interval>);

impl Intervals {
    pub(super) fn union_of(parts: impl IntoIterator<Item = Interval>) -> Intervals {
        let mut parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.sort_unstable_by_key(|part| part.start);
        let mut merged: Vec<Interval> = Vec::with_capacity(parts.len());
        for part in parts {
            match merged.last_mut() {
                Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
                _ => merged.push(part),
            }
        }
        Intervals(merged)
    }

    /// Whether some instant lies in both.
    pub(super) fn meets(&self, window: Interval) -> bool {
        // The first part that does not end before the window is the only candidate.
        let first = self.0.partition_point(|part| part.end < window.start);
        !window.is_empty()
            && self
                .0
                .get(first)
                .is_some_and(|part| part.start <= window.end)
    }

    pub(super) fn and(&self, other: &Intervals) -> Intervals {
        let (mut mine, mut its) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = Vec::new();
        while let (Some(&&a), Some(&&b)) = (mine.peek(), its.peek()) {
            let part = a.and(b);
            if !part.is_empty() {
                common.push(part);
            }
            if a.end <= b.end {
                mine.next();
            } else {
                its.next();
            }
        }
        Intervals(common)
    }
}

/// How many of many intervals meet a window, in logarithmic time.
#[derive(Debug, Default)]
pub(super) struct Overlaps {
    starts: Vec<Nanos>,
    ends: Vec<Nanos>,
}

impl Overlaps {
    pub(super) fn of(parts: impl IntoIterator<Item = Interval>) -> Overlaps {
        let (mut starts, mut ends): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(|part| (part.start, part.end))
            .unzip();
        starts.sort_unstable();
        ends.sort_unstable();
        Overlaps { starts, ends }
    }

    pub(super) fn count(&self, window: Interval) -> usize {
        let begun = self.starts.partition_point(|&start| start <= window.end);
        let over = self.ends.partition_point(|&end| end < window.start);
        begun.saturating_sub(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn union(parts: &[(Nanos, Nanos)]) -> Intervals {
        Intervals::union_of(parts.iter().map(|&(start, end)| Interval::new(start, end)))
    }

    #[test]
    fn unions_merge_and_meet() {
        let set = union(&[(10, 20), (15, 30), (40, 50), (9, 3)]);
        assert_eq!(set, union(&[(10, 30), (40, 50)]));
        let check = |start, end, expected| {
            assert_eq!(
                set.meets(Interval::new(start, end)),
                expected,
                "{start}..{end}"
            );
        };
        check(0, 9, false);
        check(0, 10, true);
        check(31, 39, false);
        check(30, 39, true);
        check(51, 60, false);
        check(45, 44, false);
    }

    #[test]
    fn intersections_keep_what_both_hold() {
        let common = union(&[(0, 10), (20, 30)]).and(&union(&[(5, 25), (30, 40)]));
        assert_eq!(common, union(&[(5, 10), (20, 25), (30, 30)]));
    }

    #[test]
    fn overlaps_are_counted() {
        let overlaps = Overlaps::of([(0, 10), (5, 20), (30, 40)].map(|(a, b)| Interval::new(a, b)));
        assert_eq!(overlaps.count(Interval::new(6, 7)), 2);
        assert_eq!(overlaps.count(Interval::new(21, 29)), 0);
        assert_eq!(overlaps.count(Interval::new(10, 30)), 3);
    }
}
