//! A history for each difference, in which it is met.

use super::super::deed::{Deed, Link, Past, Token};
use super::super::difference::{DIFFERENCES, Difference};
use super::Table;

const AGENT: &str = "agent 0";
const RUNTIME: &str = "runtime 0";
const FIRST: &str = "task 000";
const SECOND: &str = "task 001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_difference_is_one() {
    let mut table = Table::set().await;
    for (difference, reason) in DIFFERENCES {
        table.met.0.clear();
        let outcome = table.follow(script(difference)).await;
        assert_eq!(outcome, Ok(()), "{difference:?}");
        assert!(
            table.met.0.contains_key(&difference),
            "the queries do not differ in this: {reason}"
        );
    }
}

/// The history.
fn script(difference: Difference) -> Vec<Deed> {
    let running = || vec![put(0, 0), claim(), start(FIRST)];
    let with = |mut before: Vec<Deed>, more: Vec<Deed>| {
        before.extend(more);
        before
    };
    match difference {
        Difference::CompleteChecksTheToken => with(running(), vec![complete(Token::Wrong)]),
        Difference::CompleteKeepsTheSession => {
            with(running(), vec![pin(Token::Right), complete(Token::Right)])
        }
        Difference::PinChecksTheToken => with(running(), vec![pin(Token::Wrong)]),
        Difference::RetryGivesWay => with(running(), vec![put(0, 0), fail("timeout")]),
        Difference::ArchivedAgentsAreGivenNothing => {
            let agent = AGENT.to_owned();
            vec![Deed::Archive { agent }, put(0, 0)]
        }
        Difference::NoTwoAtWorkOnAnIssue => {
            let (agent, priority) = (AGENT.to_owned(), 0);
            let (task, issue) = (SECOND.to_owned(), "issue 0".to_owned());
            let quick = Deed::QuickCreate { agent, priority };
            with(
                running(),
                vec![quick, claim(), Deed::LinkToIssue { task, issue }],
            )
        }
        Difference::RerunLeavesWhatRuns => {
            let (agent, issue) = (AGENT.to_owned(), "issue 0".to_owned());
            with(running(), vec![Deed::Rerun { issue, agent }])
        }
        Difference::LongRunsAreSpared => with(
            running(),
            vec![turn_back(FIRST, Past::StartedLongAgo), Deed::Sweep],
        ),
        Difference::TheBusyAreSpared => {
            let waits = turn_back(SECOND, Past::PutOnBoardLongAgo);
            with(running(), vec![put(1, 0), waits, Deed::Sweep])
        }
        Difference::LeasesAreTakenBackByTheirRuntime => {
            vec![
                put(0, 0),
                claim(),
                turn_back(FIRST, Past::LeaseRanOut),
                Deed::Sweep,
            ]
        }
        Difference::DeliveriesEnd => {
            let often = turn_back(FIRST, Past::HandedOutOften);
            vec![
                put(0, 0),
                claim(),
                often,
                turn_back(FIRST, Past::LeaseRanOut),
                claim(),
            ]
        }
        Difference::OfflineRuntimesAreHandedNothing => {
            let (runtime, seconds) = (RUNTIME.to_owned(), 200);
            vec![
                put(0, 0),
                Deed::Silence { runtime, seconds },
                Deed::Sweep,
                claim(),
            ]
        }
        Difference::TheBestOfAllAgentsIsFirst => {
            // The first of the line waits for the running one; another agent's comes before its agent's next.
            let others = put_for("agent 1", 1, 1);
            with(running(), vec![put(0, 2), others, put(2, 0), claim()])
        }
        Difference::OnlyTheArchivedAreRestored => {
            let agent = AGENT.to_owned();
            vec![Deed::Restore { agent }]
        }
        Difference::PoisonIsNotHandedOn => {
            let task = FIRST.to_owned();
            let more = vec![
                pin(Token::Right),
                fail("iteration_limit"),
                Deed::Retry { task },
            ];
            with(running(), more)
        }
    }
}

fn put(issue: u8, priority: i32) -> Deed {
    put_for(AGENT, issue, priority)
}

fn put_for(agent: &str, issue: u8, priority: i32) -> Deed {
    let link = Link {
        issue: Some(format!("issue {issue}")),
        chat: None,
        run: None,
    };
    Deed::Enqueue {
        agent: agent.to_owned(),
        link,
        priority,
        comment: None,
        leader: false,
        fresh: false,
    }
}

fn claim() -> Deed {
    Deed::Claim {
        runtime: RUNTIME.to_owned(),
        agent: None,
        max: 1,
    }
}

fn start(task: &str) -> Deed {
    Deed::Start {
        task: task.to_owned(),
        token: Token::Right,
    }
}

fn pin(token: Token) -> Deed {
    Deed::Pin {
        task: FIRST.to_owned(),
        token,
        session: Some("a session".to_owned()),
    }
}

fn complete(token: Token) -> Deed {
    Deed::Complete {
        task: FIRST.to_owned(),
        token,
        session: None,
    }
}

fn fail(reason: &'static str) -> Deed {
    Deed::Fail {
        task: FIRST.to_owned(),
        token: Token::Right,
        reason: Some(reason),
        error: "it broke",
        session: None,
    }
}

fn turn_back(task: &str, past: Past) -> Deed {
    Deed::TurnBack {
        task: task.to_owned(),
        past,
    }
}
