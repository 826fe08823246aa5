//! Chance that can be repeated: how long the tests that leave things to it go on, and with which seed they begin.
//!
//! `CALLBOARD_TEST_CASES` says how much they do, in cases, rounds or turns: each test says in which.
//! `CALLBOARD_TEST_SEED` repeats a run whose seed was reported.

use proptest::test_runner::{RngAlgorithm, TestRng};
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

/// How many cases, or rounds, there are to be.
pub(crate) fn cases(unless_told: u64) -> u64 {
    number("CALLBOARD_TEST_CASES").unwrap_or(unless_told)
}

/// With which seed to begin.
pub(crate) fn seed() -> u64 {
    number("CALLBOARD_TEST_SEED").unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0)
}

/// Tells whoever lets a test speak (`--nocapture`) how much it did.
#[expect(
    clippy::print_stderr,
    reason = "what a long run has covered is said nowhere else"
)]
pub(crate) fn tell(what: &str) {
    eprintln!("{what}");
}

/// Random numbers that follow from a seed.
pub(crate) fn rng(seed: u64) -> TestRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}: {value} is not a number")),
    )
}

/// Dice whose throws follow from a seed.
pub(crate) fn dice(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
