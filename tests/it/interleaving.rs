//! Many who ask at once, in rounds, about the same few things. Whatever committed state an observer catches, and whatever
//! the event log tells of those that it did not catch, capacity and serialisation hold, agents' statuses are true, what
//! has ended stays as it is, and every change of a status has one event in the one order.
//!
//! Which requests are sent follows from the seed; how they meet does not. `CALLBOARD_TEST_CASES` says how many rounds
//! there are to be, `CALLBOARD_TEST_SEED` with which seed they begin.

mod course;
mod observer;

use futures::future::join_all;
use rand::RngExt;
use rand::seq::IndexedRandom;
use tokio_util::sync::CancellationToken;

use crate::chance;
use crate::crowd::{Crowd, MUTATIONS, PASSING};
use crate::harness::TestApp;
use course::Course;
use observer::Ended;

/// How many rounds there are where nobody says.
const ROUNDS: u64 = 10;

/// How many ask at once.
const ASKING: u64 = 8;

/// How much each asks for in a round.
const QUESTIONS: usize = 10;

/// What is asked for most of the time, so that there are tasks, and these get somewhere.
const OFTEN: [&str; 12] = [
    "enqueueTask",
    "enqueueTask",
    "claimTask",
    "claimTask",
    "claimTasks",
    "startTask",
    "startTask",
    "startTask",
    "completeTask",
    "failTask",
    "restoreAgent",
    "heartbeat",
];

#[tokio::test]
async fn whoever_asks_for_whatever_at_once_what_always_holds_does_hold() {
    let app = TestApp::start().await;
    let second = app.second_server().await;
    let crowd = Crowd::gather(&app, second.address).await;
    let (mut course, mut ended, mut looks) = (Course::default(), Ended::default(), 0);
    let (rounds, seed) = (chance::cases(ROUNDS), chance::seed());
    for round in 0..rounds {
        let over = CancellationToken::new();
        let (asked, observed) = tokio::join!(
            async {
                let crowd = &crowd;
                let asked =
                    join_all((0..ASKING).map(|who| ask(crowd, seed, round * ASKING + who))).await;
                over.cancel();
                asked.into_iter().collect::<Result<(), String>>()
            },
            observer::observe(&app.database, &over)
        );
        looks += observed.clone().unwrap_or_default();
        let followed = course.follow(&app.database, &crowd).await;
        let compared = ended.compare(&app.database).await;
        if let Err(broken) = asked.and(observed.map(drop)).and(followed).and(compared) {
            panic!("with CALLBOARD_TEST_SEED={seed}, in round {round}: {broken}");
        }
    }
    chance::tell(&format!("{rounds} rounds, {looks} looks, {course:?}"));
}

/// Asks for one thing after another.
async fn ask(crowd: &Crowd<'_>, seed: u64, who: u64) -> Result<(), String> {
    let mut dice = chance::dice(seed.wrapping_add(who));
    let anything: Vec<&str> = [&MUTATIONS[..], &PASSING].concat();
    for _ in 0..QUESTIONS {
        let from = if dice.random_bool(0.8) {
            &OFTEN[..]
        } else {
            &anything
        };
        let what = from.choose(&mut dice).expect("there are many");
        crowd.act(what, &mut dice).await?;
    }
    Ok(())
}
