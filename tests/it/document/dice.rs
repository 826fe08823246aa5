//! Numbers that look random and can be had again.

/// Numbers that look random and are the same for the same seed, on every machine (`SplitMix64`).
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// The next number.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether something happens that happens so many times of a hundred.
    pub(super) fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.roll() % 100 < of_a_hundred
    }

    /// One of several.
    pub(super) fn of<T: Clone>(&mut self, several: &[T]) -> T {
        let index = self.roll() % u64::try_from(several.len()).unwrap();
        several[usize::try_from(index).unwrap()].clone()
    }

    /// `issue 0` to `issue 2`, and the like; the first is drawn most, so that much meets at it.
    pub(super) fn one(&mut self, kind: &str) -> String {
        format!("{kind} {}", self.of(&[0, 0, 0, 0, 1, 1, 2]))
    }
}
