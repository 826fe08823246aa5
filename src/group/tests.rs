//! Who is served with whom, and what of it is whose.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::{FutureExt, join_all, pending, select_all};
use sea_orm::DbErr;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{Desk, Group, MOST_TOGETHER, MOST_WAITING, Patience, Weigh};
use crate::error::Error;
use crate::metrics::{Connections, Metrics};

/// What was asked for together, and how long it was to wait.
type Seen = Arc<Mutex<Vec<(Vec<usize>, Patience)>>>;

fn desk() -> Desk {
    Desk::new(&TaskTracker::new(), &Metrics::default().groups)
}

/// A group that notes who is served, each crowd when the gate lets it.
fn gated(weigh: Weigh<usize>, seen: &Seen, gate: &Arc<Semaphore>) -> Group<usize, usize> {
    let (seen, gate) = (Arc::clone(seen), Arc::clone(gate));
    Group::weighing("test", desk(), weigh, move |asked: Vec<usize>, turn| {
        let (seen, gate) = (Arc::clone(&seen), Arc::clone(&gate));
        async move {
            seen.lock().unwrap().push((asked.clone(), turn.patience()));
            gate.acquire().await.unwrap().forget();
            Ok(asked.into_iter().map(Ok).collect())
        }
    })
}

/// How many were served together, each time.
fn sizes(seen: &Seen) -> Vec<usize> {
    let seen = seen.lock().unwrap();
    seen.iter().map(|(asked, _)| asked.len()).collect()
}

#[tokio::test]
async fn who_comes_meanwhile_is_served_together_in_the_order_of_coming() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let group = gated(|_| 1, &seen, &gate);
    let crowd = MOST_TOGETHER + 3;
    let requests = (0..crowd).map(|nth| group.ask(nth));
    let (answers, ()) = tokio::join!(join_all(requests), async {
        while seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        gate.add_permits(crowd);
    });
    let answers: Vec<usize> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, (0..crowd).collect::<Vec<_>>());
    let sizes = sizes(&seen);
    assert_eq!(sizes.iter().sum::<usize>(), crowd);
    assert_eq!(sizes.iter().max(), Some(&MOST_TOGETHER));
}

#[tokio::test]
async fn fewer_are_served_together_where_each_is_as_much_work_as_several() {
    let (seen, gate) = (Seen::default(), Arc::new(Semaphore::new(0)));
    let group = gated(|_| MOST_TOGETHER / 2, &seen, &gate);
    let requests = (0..5).map(|nth| group.ask(nth));
    let (answers, ()) = tokio::join!(join_all(requests), async {
        gate.add_permits(5);
    });
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    let sizes = sizes(&seen);
    assert_eq!(sizes.iter().sum::<usize>(), 5);
    assert_eq!(sizes.iter().max(), Some(&2));
}

#[tokio::test]
async fn what_is_more_work_than_a_crowd_is_done_beside_it() {
    let seen = Seen::default();
    let weight = |asked: &usize| *asked;
    let group = Group::weighing("test", desk(), weight, {
        let seen = Arc::clone(&seen);
        move |asked: Vec<usize>, turn| {
            let patience = turn.patience();
            seen.lock().unwrap().push((asked.clone(), patience));
            async move {
                if patience == Patience::Brief {
                    pending::<()>().await;
                }
                Ok(asked.into_iter().map(Ok).collect())
            }
        }
    });
    // One has a turn without end.
    let much = async {
        while seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        group.ask(MOST_TOGETHER + 1).await
    };
    let first = select_all([group.ask(1).boxed(), much.boxed()]);
    let (first, ..) = timeout(Duration::from_secs(30), first).await.unwrap();
    assert_eq!(first.unwrap(), MOST_TOGETHER + 1);
}

#[tokio::test]
async fn what_fails_together_is_done_again_for_each_alone() {
    let seen = Seen::default();
    let group = Group::new("test", desk(), {
        let seen = Arc::clone(&seen);
        move |asked: Vec<usize>, turn| {
            let patience = turn.patience();
            seen.lock().unwrap().push((asked.clone(), patience));
            async move {
                if patience == Patience::Brief || asked == [1] {
                    return Err(Error::Internal(anyhow::anyhow!("as it was asked to")));
                }
                Ok(asked.into_iter().map(Ok).collect())
            }
        }
    });
    let answers = join_all((0..3).map(|nth| group.ask(nth))).await;
    assert!(matches!(
        answers.as_slice(),
        [Ok(0), Err(Error::Internal(_)), Ok(2)]
    ));
    let patient = seen.lock().unwrap().clone();
    let patient = patient
        .into_iter()
        .filter(|(_, patience)| *patience == Patience::Long);
    let mut alone: Vec<Vec<usize>> = patient.map(|(asked, _)| asked).collect();
    alone.sort();
    assert_eq!(alone, [[0], [1], [2]]);
}

#[tokio::test]
async fn a_database_that_is_away_is_asked_once_for_all() {
    let seen = Seen::default();
    let group = Group::<usize, usize>::new("test", desk(), {
        let seen = Arc::clone(&seen);
        move |asked, turn| {
            seen.lock().unwrap().push((asked, turn.patience()));
            async { Err(Error::Unavailable(DbErr::Custom("it is away".to_owned()))) }
        }
    });
    for answer in join_all((0..3).map(|nth| group.ask(nth))).await {
        assert_eq!(answer.unwrap_err().code(), "UNAVAILABLE");
    }
    let asked: usize = seen
        .lock()
        .unwrap()
        .iter()
        .map(|(asked, _)| asked.len())
        .sum();
    assert_eq!(asked, 3);
}

#[tokio::test]
async fn no_more_wait_than_there_is_room_for() {
    let metrics = Metrics::default();
    let desk = Desk::new(&TaskTracker::new(), &metrics.groups);
    let group = Group::<usize, usize>::new("test", desk, |_, _| pending());
    let requests = (0..=MOST_WAITING).map(|nth| Box::pin(group.ask(nth)));
    // Nobody is answered, but for the one for whom there is no room.
    let (answer, _, others) = select_all(requests).await;
    assert_eq!(answer.unwrap_err().code(), "RATE_LIMITED");
    assert_eq!(others.len(), MOST_WAITING);
    let page = metrics.page(Connections::default()).unwrap();
    for counted in [
        "refused_total{verb=\"test\"} 1",
        "waiting{verb=\"test\"} 4096",
    ] {
        let line = format!("\ncallboard_group_{counted}\n");
        assert!(page.contains(&line), "{page}");
    }
}

#[tokio::test]
async fn groups_at_one_desk_are_served_one_after_the_other() {
    let (desk, seen) = (desk(), Seen::default());
    let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let slow = Group::<usize, usize>::new("test", desk.clone(), {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        move |asked, turn| {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            async move {
                begun.add_permits(1);
                go_on.acquire().await.unwrap().forget();
                drop(turn);
                Ok(asked.into_iter().map(Ok).collect())
            }
        }
    });
    let other = Group::<usize, usize>::new("test", desk, {
        let seen = Arc::clone(&seen);
        move |asked, turn| {
            seen.lock().unwrap().push((asked.clone(), turn.patience()));
            async move { Ok(asked.into_iter().map(Ok).collect()) }
        }
    });
    let (first, others, ()) = tokio::join!(
        slow.ask(0),
        async {
            begun.acquire().await.unwrap().forget();
            join_all((1..4).map(|nth| other.ask(nth))).await
        },
        async {
            // Everybody else has come as far as they can.
            while other.shared.waiting().requests.len() < 3 {
                tokio::task::yield_now().await;
            }
            // Nor do they get any further, however often it is anybody's turn to run.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(seen.lock().unwrap().is_empty());
            go_on.add_permits(1);
        }
    );
    assert_eq!(first.unwrap(), 0);
    let others: Vec<usize> = others.into_iter().map(Result::unwrap).collect();
    assert_eq!(others, [1, 2, 3]);
    assert_eq!(*seen.lock().unwrap(), [(vec![1, 2, 3], Patience::Brief)]);
}

#[tokio::test]
async fn a_turn_that_is_over_keeps_nobody_waiting_until_the_answers_are_made_out() {
    let desk = desk();
    let made_out = Arc::new(Semaphore::new(0));
    let first = Group::<usize, usize>::new("test", desk.clone(), {
        let made_out = Arc::clone(&made_out);
        move |asked, turn| {
            let made_out = Arc::clone(&made_out);
            async move {
                drop(turn);
                made_out.acquire().await.unwrap().forget();
                Ok(asked.into_iter().map(Ok).collect())
            }
        }
    });
    let second = Group::<usize, usize>::new("test", desk, |asked, _| async move {
        Ok(asked.into_iter().map(Ok).collect())
    });
    let (first, ()) = tokio::join!(first.ask(1), async {
        let answer = timeout(Duration::from_secs(30), second.ask(2)).await;
        assert_eq!(answer.expect("it is their turn").unwrap(), 2);
        made_out.add_permits(1);
    });
    assert_eq!(first.unwrap(), 1);
}

#[tokio::test]
async fn a_panic_lets_everybody_go() {
    let group = Group::<usize, usize>::new("test", desk(), |asked, _| async move {
        assert!(!asked.contains(&0), "as it was asked to");
        Ok(asked.into_iter().map(Ok).collect())
    });
    assert_eq!(group.ask(0).await.unwrap_err().code(), "INTERNAL");
    assert_eq!(group.ask(7).await.unwrap(), 7);
}
