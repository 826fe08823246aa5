//! How steps are chosen. One that fails shrinks towards smaller numbers, and a case towards fewer steps.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::board::Silence;
use super::step::{Step, TokenPick, User};
use super::task::Links;
use super::verb::{AgentVerb, BoardVerb, ClaimVerb, New, RuntimeVerb, TimeVerb, Verb};

/// A step.
pub(super) fn step() -> impl Strategy<Value = Step> {
    let user = prop_oneof![5 => Just(User::Host), 1 => Just(User::Member)];
    let token = prop_oneof![
        20 => Just(TokenPick::Held),
        1 => any::<Index>().prop_map(TokenPick::Another),
        1 => Just(TokenPick::Unknown),
        1 => Just(TokenPick::None),
    ];
    let stranger = prop::bool::weighted(0.05);
    let apt = prop::bool::weighted(0.85);
    (verb(), user, stranger, apt, any::<Index>(), token).prop_map(
        |(verb, user, stranger, apt, task, token)| Step {
            verb,
            user,
            stranger,
            apt,
            task,
            token,
        },
    )
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        8 => host().prop_map(Verb::Board),
        5 => claiming().prop_map(Verb::Runtime),
        8 => holder().prop_map(Verb::Claim),
        3 => agent().prop_map(Verb::Agent),
        2 => runtime().prop_map(Verb::Runtime),
        4 => time().prop_map(Verb::Time),
    ]
}

/// An agent's, runtime's, issue's number.
fn one() -> impl Strategy<Value = usize> {
    0..3usize
}

fn maybe(likely: f64) -> impl Strategy<Value = Option<usize>> {
    prop::option::weighted(likely, 0..2usize)
}

fn host() -> impl Strategy<Value = BoardVerb> {
    let links = (maybe(0.6), maybe(0.3), maybe(0.15), maybe(0.3)).prop_map(
        |(issue, chat, autopilot, comment)| Links {
            issue,
            chat,
            autopilot,
            comment,
        },
    );
    let enqueue = (one(), links, 0..3i32, 1..4i32, prop::bool::weighted(0.2)).prop_map(
        |(agent, links, priority, max_attempts, fresh)| New {
            agent,
            links,
            priority,
            max_attempts,
            fresh,
        },
    );
    prop_oneof![
        20 => enqueue.prop_map(BoardVerb::Enqueue),
        2 => one().prop_map(|agent| BoardVerb::QuickCreate { agent }),
        3 => (0..2usize).prop_map(|issue| BoardVerb::Link { issue }),
        3 => Just(BoardVerb::Retry),
        2 => (0..2usize, one()).prop_map(|(issue, agent)| BoardVerb::Rerun { issue, agent }),
        2 => Just(BoardVerb::Cancel),
        1 => (0..2usize, prop::option::of(one())).prop_map(|(issue, agent)| BoardVerb::CancelByIssue { issue, agent }),
        1 => one().prop_map(|agent| BoardVerb::CancelByAgent { agent }),
        1 => (0..2usize).prop_map(|comment| BoardVerb::CancelByComment { comment }),
        1 => (0..2usize).prop_map(|chat| BoardVerb::CancelByChat { chat }),
    ]
}

fn agent() -> impl Strategy<Value = AgentVerb> {
    let status = select(vec!["idle", "working", "blocked", "error", "offline"]);
    prop_oneof![
        1 => one().prop_map(|agent| AgentVerb::Archive { agent }),
        1 => one().prop_map(|slot| AgentVerb::ArchiveByRuntime { slot }),
        4 => one().prop_map(|agent| AgentVerb::Restore { agent }),
        4 => (one(), one()).prop_map(|(agent, slot)| AgentVerb::Move { agent, slot }),
        2 => (one(), 1..4usize).prop_map(|(agent, capacity)| AgentVerb::Resize { agent, capacity }),
        1 => (one(), status).prop_map(|(agent, status)| AgentVerb::SetStatus { agent, status }),
    ]
}

fn runtime() -> impl Strategy<Value = RuntimeVerb> {
    prop_oneof![
        4 => one().prop_map(|slot| RuntimeVerb::Register { slot }),
        1 => one().prop_map(|slot| RuntimeVerb::Deregister { slot }),
        3 => one().prop_map(|slot| RuntimeVerb::Heartbeat { slot }),
        2 => one().prop_map(|slot| RuntimeVerb::Recover { slot }),
    ]
}

fn claiming() -> impl Strategy<Value = RuntimeVerb> {
    prop_oneof![
        3 => (one(), maybe(0.1), maybe(0.3))
            .prop_map(|(slot, agent, request)| RuntimeVerb::Claim { slot, agent, request }),
        1 => (prop::collection::vec(one(), 1..3), 1..5usize, maybe(0.3))
            .prop_map(|(slots, max, request)| RuntimeVerb::ClaimMany { slots, max, request }),
    ]
}

fn holder() -> impl Strategy<Value = ClaimVerb> {
    let named = || prop::option::weighted(0.4, 0..3u8);
    let reason = select(vec![
        None,
        Some("timeout"),
        Some("runtime_recovery"),
        Some("iteration_limit"),
    ]);
    let error = select(vec!["it broke", "status 400: invalid_request_error"]);
    prop_oneof![
        8 => Just(ClaimVerb::Start),
        2 => (named(), named()).prop_map(|(session, work_dir)| ClaimVerb::Pin { session, work_dir }),
        1 => Just(ClaimVerb::Progress),
        1 => Just(ClaimVerb::Append),
        3 => named().prop_map(|session| ClaimVerb::Complete { session }),
        4 => (reason, error, named()).prop_map(|(reason, error, session)| ClaimVerb::Fail { reason, error, session }),
    ]
}

fn time() -> impl Strategy<Value = TimeVerb> {
    let silence = select(vec![Silence::Offline, Silence::Lost, Silence::Gone]);
    prop_oneof![
        4 => Just(TimeVerb::ExpireLease),
        2 => Just(TimeVerb::DispatchWithoutToken),
        1 => Just(TimeVerb::DispatchedLong),
        1 => Just(TimeVerb::RunLong),
        1 => Just(TimeVerb::WaitLong),
        2 => (one(), silence).prop_map(|(slot, silence)| TimeVerb::BeSilent { slot, silence }),
        4 => Just(TimeVerb::Sweep),
    ]
}
