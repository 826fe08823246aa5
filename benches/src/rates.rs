//! How much was done in a second, beside what others did.

use crate::report::Cell;
use crate::sample::Sample;

/// How much was done in a second, a round after the other.
#[derive(Debug, Default)]
pub(crate) struct Rates(Vec<f64>);

impl Rates {
    /// Adds that of the next round.
    pub(crate) fn add(&mut self, rate: f64) {
        self.0.push(rate);
    }

    /// How many times as much this is as another, of the same round each.
    pub(crate) fn to(&self, other: &Self) -> Sample {
        let rounds = self.0.iter().zip(&other.0);
        rounds.map(|(rate, other)| rate / other).collect()
    }

    /// The middle one and the spread of these, and the same of how many times as much Callboard did.
    pub(crate) fn cells(&self, callboard: Option<&Self>) -> [Cell; 4] {
        let rates: Sample = self.0.iter().copied().collect();
        let ratios = callboard.map_or_else(Sample::default, |callboard| callboard.to(self));
        [
            Cell::Number(rates.median()),
            Cell::Text(rates.spread()),
            Cell::Number(ratios.median()),
            Cell::Text(ratios.spread()),
        ]
    }

    /// The same, and the middle one of each of the costs.
    pub(crate) fn cells_with<const N: usize>(
        &self,
        callboard: Option<&Self>,
        costs: [&Sample; N],
    ) -> Vec<Cell> {
        let costs = costs.map(|cost| Cell::Number(cost.median()));
        self.cells(callboard).into_iter().chain(costs).collect()
    }
}

impl FromIterator<f64> for Rates {
    fn from_iter<I: IntoIterator<Item = f64>>(rates: I) -> Self {
        Self(rates.into_iter().collect())
    }
}
