//! Interleaved rounds: in every round each contender runs once, in a rotating order, so that a noisy
//! neighbour falls on all alike. Medians are told, and ratios are the medians of each round's ratio.

/// Measures of the contenders, one line each, one column a round.
pub(crate) struct Measures(Vec<Vec<f64>>);

/// Runs every contender once a round; each answers its own measure, such as nanoseconds a check.
pub(crate) fn interleave(rounds: usize, contenders: &mut [&mut dyn FnMut() -> f64]) -> Measures {
    // One round that doesn't count, to touch memory and wake the processor.
    contenders.iter_mut().for_each(|run| _ = run());
    let mut measures = vec![Vec::with_capacity(rounds); contenders.len()];
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let which = (turn + round) % contenders.len();
            measures[which].push(contenders[which]());
        }
    }
    Measures(measures)
}

impl Measures {
    /// The median of one contender.
    pub(crate) fn median(&self, which: usize) -> f64 {
        median(self.0[which].clone())
    }

    /// The median of what two contenders give in the same round.
    fn both(&self, of: usize, other: usize, give: impl Fn(f64, f64) -> f64) -> f64 {
        let pairs = self.0[of].iter().zip(&self.0[other]);
        median(pairs.map(|(of, other)| give(*of, *other)).collect())
    }

    /// The median of what one contender has more than another in the same round.
    pub(crate) fn difference(&self, of: usize, less: usize) -> f64 {
        self.both(of, less, |of, less| of - less)
    }

    /// The median of that difference as a ratio to a third in the same round.
    pub(crate) fn difference_ratio(&self, (of, less): (usize, usize), to: usize) -> f64 {
        let pairs = self.0[of].iter().zip(&self.0[less]).zip(&self.0[to]);
        median(pairs.map(|((of, less), to)| (of - less) / to).collect())
    }

    /// The median of the ratio of two contenders in the same round.
    pub(crate) fn ratio(&self, of: usize, to: usize) -> f64 {
        self.both(of, to, |of, to| of / to)
    }
}

/// The middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
