//! Random sequences of everything that can be asked, against a model of the lifecycle: each answer, and after each step
//! the database, is what the model says. The model in `task`, `board`, `host`, `daemon` and `time` is plain on purpose, and can
//! be read as the specification.
//!
//! A case that fails is made smaller first; what is reported is the smallest one that fails, and the seed. The steps of
//! a case are taken one after another; what happens at once is tested in `interleaving`.
//!
//! `CALLBOARD_TEST_CASES` says how many cases there are to be, `CALLBOARD_TEST_SEED` with which seed they begin.

mod answer;
mod board;
mod case;
mod choice;
mod daemon;
mod host;
mod reading;
mod record;
mod request;
mod step;
mod task;
mod time;
mod verb;

use std::cell::Cell;

use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::chance;
use crate::harness::TestApp;
use case::{Case, settings};
use choice::step;
use step::Step;

/// How many cases there are where nobody says.
const CASES: u64 = 12;

/// The most steps of a case.
const STEPS: usize = 80;

#[test]
fn whatever_is_asked_in_whatever_order_the_board_is_as_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::with(settings()));
    let (cases, seed) = (chance::cases(CASES), chance::seed());
    let config = Config {
        cases: u32::try_from(cases).unwrap(),
        max_shrink_iters: 1000,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, chance::rng(seed));
    let taken = Cell::new(0);
    let outcome = runner.run(&vec(step(), 1..STEPS), |steps| {
        taken.set(taken.get() + steps.len());
        runtime
            .block_on(play(&app, &steps))
            .map_err(TestCaseError::fail)
    });
    chance::tell(&format!("{cases} cases, {} steps", taken.get()));
    let _entered = runtime.enter();
    drop(app);
    if let Err(error) = outcome {
        panic!("with CALLBOARD_TEST_SEED={seed}: {error}");
    }
}

/// Takes the steps of a case.
async fn play(app: &TestApp, steps: &[Step]) -> Result<(), String> {
    let mut case = Case::new(app).await;
    for (index, step) in steps.iter().enumerate() {
        case.take(step)
            .await
            .map_err(|different| format!("step {index}: {different}"))?;
    }
    Ok(())
}
