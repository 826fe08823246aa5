//! What many measurements of one thing come to.

use std::time::Duration;

/// Measurements, in milliseconds or whatever their unit is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// Adds one.
    pub(crate) fn add(&mut self, value: f64) {
        let place = self.0.partition_point(|other| *other < value);
        self.0.insert(place, value);
    }

    /// Adds a time, in milliseconds.
    pub(crate) fn add_time(&mut self, time: Duration) {
        self.add(time.as_secs_f64() * 1000.0);
    }

    /// Adds those of another.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for value in &other.0 {
            self.add(*value);
        }
    }

    /// The value below which a part of them is, by the nearest rank.
    pub(crate) fn quantile(&self, permille: usize) -> f64 {
        let index = (self.0.len().saturating_sub(1) * permille + 500) / 1000;
        self.0.get(index).copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(500)
    }

    /// The smallest.
    pub(crate) fn min(&self) -> f64 {
        self.quantile(0)
    }

    /// The largest.
    pub(crate) fn max(&self) -> f64 {
        self.quantile(1000)
    }

    /// The smallest and the largest, as text.
    pub(crate) fn spread(&self) -> String {
        format!("{}–{}", short(self.min()), short(self.max()))
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }
}

/// A number with as many digits as one reads.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let mut sample = Sample::default();
        for value in [5.0, 1.0, 4.0, 2.0, 3.0] {
            sample.add(value);
        }
        let quantiles = [0, 500, 950, 1000].map(|permille| sample.quantile(permille));
        assert_eq!(quantiles.map(short), ["1.00", "3.00", "5.00", "5.00"]);
        assert_eq!(sample.spread(), "1.00–5.00");
    }

    #[test]
    fn measurements_are_the_same_one_by_one_and_all_at_once() {
        let values = [5.0, 1.0, 4.0];
        let mut one_by_one = Sample::default();
        for value in values {
            one_by_one.add(value);
        }
        assert_eq!(values.into_iter().collect::<Sample>().0, one_by_one.0);
    }

    #[test]
    fn nothing_measured_is_not_a_number() {
        assert!(Sample::default().median().is_nan());
    }
}
