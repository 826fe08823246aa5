//! What a daemon tells of a task: progress, messages, usage; while it holds the task, and after it held it to the end.

use entity::id::ClaimToken;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Claim, TestApp, World};

#[tokio::test]
async fn progress_is_what_was_said_last() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let claim = world.claim().await.expect("the task");
    assert_eq!(world.host.task(task).await["progress"], Value::Null);
    let first = json!({"summary": "rea\u{0}ding", "step": 1, "total": 3});
    let told = tell(&world, "reportTaskProgress", claim.with(first)).await;
    assert_eq!(
        told["progress"],
        json!({"summary": "reading", "step": 1, "total": 3})
    );
    world.start(claim).await;
    tell(
        &world,
        "reportTaskProgress",
        claim.with(json!({"summary": "writing"})),
    )
    .await;
    let record = world.host.task(task).await;
    assert_eq!(
        record["progress"],
        json!({"summary": "writing", "step": null, "total": null})
    );
    assert_eq!(app.database.event_count("progress").await, 2);
    for (field, value) in [
        ("summary", json!(" ")),
        ("step", json!(-1)),
        ("total", json!(-1)),
    ] {
        let mut input = claim.with(json!({"summary": "s"}));
        input[field] = value;
        let error = world
            .daemon
            .mutate("reportTaskProgress", input)
            .await
            .unwrap_err();
        assert_eq!(error.code, "BAD_USER_INPUT");
        assert!(error.message.contains(field), "{}", error.message);
    }
}

#[tokio::test]
async fn a_line_that_is_there_stays_as_it_is() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    let line = |seq: i32, content: &str| json!({"seq": seq, "type": "text", "content": content});
    for batch in [
        json!([line(1, "one"), line(2, "two")]),
        json!([line(2, "other"), line(3, "three")]),
        json!([line(1, "one"), line(2, "two")]),
        json!([line(5, "five"), line(5, "five again"), line(4, "four")]),
        json!([]),
    ] {
        let batch = claim.with(json!({"messages": batch}));
        tell(&world, "appendTaskMessages", batch).await;
    }
    let said: Vec<Value> = messages(&world, claim, 0, 200)
        .await
        .iter()
        .map(|line| line["content"].clone())
        .collect();
    assert_eq!(said, ["one", "two", "three", "four", "five"]);
    let page = messages(&world, claim, 1, 2).await;
    assert_eq!((&page[0]["seq"], &page[1]["seq"]), (&json!(2), &json!(3)));
    assert_eq!(page.len(), 2);
}

#[tokio::test]
async fn batches_in_two_orders_at_once_do_not_wait_in_a_circle() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    // Both meet at the middle, with what they have written before.
    let lines = |order: [i32; 3]| order.map(|seq| json!({"seq": seq, "type": "text"}));
    let used =
        |order: [i32; 3]| order.map(|model| json!({"provider": "p", "model": model.to_string()}));
    let requests = |verb: &'static str, of: [Value; 2]| {
        of.map(|more| world.daemon.mutate(verb, claim.with(more)))
    };

    let middle =
        format!("insert into task_message (task_id, seq, type) values ('{task}', 2, 'text')");
    let held = app.database.hold(&middle).await;
    let both = [[1, 2, 3], [3, 2, 1]].map(|order| json!({"messages": lines(order)}));
    let answers = app
        .database
        .collide(
            held.roll_back(),
            requests("appendTaskMessages", both).into(),
        )
        .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(messages(&world, claim, 0, 200).await.len(), 3);

    let middle = format!("insert into task_usage values ('{task}', 'p', '2', 0, 0, 0, 0)");
    let held = app.database.hold(&middle).await;
    let both = [[1, 2, 3], [3, 2, 1]].map(|order| json!({"usage": used(order)}));
    let answers = app
        .database
        .collide(held.roll_back(), requests("reportTaskUsage", both).into())
        .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn a_line_has_all_that_was_given_without_nul_and_within_bounds() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    let line = json!({
        "seq": 1, "type": "tool\u{0}", "tool": "ba\u{0}sh", "content": "a\u{0}", "input": {"cmd\u{0}": "l\u{0}s"},
        "output": "\u{0}x",
    });
    let batch = claim.with(json!({"messages": [line]}));
    tell(&world, "appendTaskMessages", batch).await;
    let expected = json!({
        "seq": 1, "type": "tool", "tool": "bash", "content": "a", "input": {"cmd": "ls"}, "output": "x",
    });
    assert_eq!(messages(&world, claim, 0, 1).await, [expected]);

    let good = json!({"seq": 2, "type": "text"});
    for (bad, argument) in [
        (json!({"seq": 0, "type": "text"}), "input.messages.1.seq"),
        (json!({"seq": 3, "type": ""}), "input.messages.1.type"),
        (
            json!({"seq": 3, "type": "t", "output": "x".repeat(64 * 1024 + 1)}),
            "input.messages.1.output",
        ),
    ] {
        let batch = claim.with(json!({"messages": [good, bad]}));
        let error = world
            .daemon
            .mutate("appendTaskMessages", batch)
            .await
            .unwrap_err();
        assert_eq!(error.code, "BAD_USER_INPUT");
        assert!(error.message.contains(argument), "{}", error.message);
    }
    let many: Vec<&Value> = std::iter::repeat_n(&good, 1001).collect();
    let batch = claim.with(json!({"messages": many}));
    assert_eq!(
        world.daemon.refused("appendTaskMessages", batch).await,
        "BAD_USER_INPUT"
    );
    assert_eq!(
        messages(&world, claim, 1, 200).await.len(),
        0,
        "all or nothing"
    );
}

#[tokio::test]
async fn usage_that_is_told_again_replaces() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let claim = world.run().await;
    let used = |model: &str, tokens: i32| {
        json!({
            "provider": "anthropic", "model": model, "inputTokens": tokens, "outputTokens": 2, "cacheReadTokens": 3,
            "cacheWriteTokens": 4,
        })
    };
    let (small, large) = (used("small", 10), used("large", 20));
    for usage in [
        json!([used("small", 1), large]),
        json!([used("small", 5), large]),
        json!([used("small", 7), small]),
        json!([]),
    ] {
        tell(
            &world,
            "reportTaskUsage",
            claim.with(json!({"usage": usage})),
        )
        .await;
    }
    let mut usage = world.host.task(task).await["usage"]
        .as_array()
        .unwrap()
        .clone();
    usage.sort_by_key(|row| row["inputTokens"].as_i64());
    assert_eq!(usage, [small, large]);
    for field in [
        "inputTokens",
        "outputTokens",
        "cacheReadTokens",
        "cacheWriteTokens",
    ] {
        let mut bad = json!({"provider": "p", "model": "m"});
        bad[field] = json!(-1);
        let input = claim.with(json!({"usage": [bad]}));
        let error = world
            .daemon
            .mutate("reportTaskUsage", input)
            .await
            .unwrap_err();
        assert_eq!(error.code, "BAD_USER_INPUT");
        assert!(error.message.contains(field), "{}", error.message);
    }
}

#[tokio::test]
async fn messages_and_usage_are_accepted_after_the_end() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let agent = world.agent(1).await;
    for end in ["COMPLETED", "FAILED", "CANCELLED"] {
        let task = world.enqueue(agent, json!({})).await;
        let claim = world.run().await;
        match end {
            "COMPLETED" => world.complete(claim).await,
            "FAILED" => world.fail(claim, "agent_error").await,
            _ => world
                .host
                .mutate("cancelTask", json!({"taskId": task.0}))
                .await
                .unwrap(),
        };
        let events = world.host.events(task).await;
        for (verb, more) in after_the_end() {
            tell(&world, verb, claim.with(more.clone())).await;
            let wrong = Claim {
                token: ClaimToken(Uuid::new_v4()),
                ..claim
            };
            assert_eq!(
                world.daemon.refused(verb, wrong.with(more)).await,
                "CLAIM_CONFLICT",
                "{verb} {end}"
            );
        }
        let progress = claim.with(json!({"summary": "s"}));
        assert_eq!(
            world.daemon.refused("reportTaskProgress", progress).await,
            "CLAIM_CONFLICT"
        );
        assert_eq!(messages(&world, claim, 0, 200).await.len(), 1);
        let record = world.host.task(task).await;
        assert_eq!(record["usage"].as_array().unwrap().len(), 1);
        assert_eq!(record["status"], end);
        assert_eq!(world.host.events(task).await, events);
    }
}

#[tokio::test]
async fn a_claim_that_does_not_hold_tells_nothing() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (foreign, _) = world.second_daemon("desktop").await;
    let agent = world.agent(1).await;
    let task = world.enqueue(agent, json!({})).await;
    let superseded = world.claim().await.expect("the task");
    app.database.expire_lease(task).await;
    let claim = world.claim().await.expect("the task again");
    for status in ["DISPATCHED", "RUNNING", "COMPLETED"] {
        match status {
            "RUNNING" => drop(world.start(claim).await),
            "COMPLETED" => drop(world.complete(claim).await),
            _ => {}
        }
        for (verb, more) in all() {
            let mut without = more.clone();
            without["taskId"] = json!(task.0);
            for input in [superseded.with(more.clone()), without] {
                let code = world.daemon.refused(verb, input.clone()).await;
                assert_eq!(code, "CLAIM_CONFLICT", "{verb} {status} {input}");
            }
            let input = claim.with(more);
            assert_eq!(foreign.refused(verb, input.clone()).await, "NOT_FOUND");
            assert_eq!(world.host.refused(verb, input).await, "FORBIDDEN");
        }
    }
    let record = world.host.task(task).await;
    assert_eq!(
        (&record["progress"], &record["usage"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(messages(&world, claim, 0, 200).await.len(), 0);
}

/// The verbs that tell something after the end too, with something to tell.
fn after_the_end() -> [(&'static str, Value); 2] {
    [
        (
            "appendTaskMessages",
            json!({"messages": [{"seq": 1, "type": "text"}]}),
        ),
        (
            "reportTaskUsage",
            json!({"usage": [{"provider": "p", "model": "m"}]}),
        ),
    ]
}

/// All verbs that tell something.
fn all() -> Vec<(&'static str, Value)> {
    let mut all = Vec::from(after_the_end());
    all.push(("reportTaskProgress", json!({"summary": "s"})));
    all
}

/// Tells something that is accepted.
async fn tell(world: &World<'_>, verb: &str, input: Value) -> Value {
    world.daemon.mutate(verb, input).await.unwrap()
}

/// A page of a task's transcript.
async fn messages(world: &World<'_>, claim: Claim, after: i32, first: i32) -> Vec<Value> {
    let document = "query($id: UUID!, $after: Int!, $first: Int!) {
        task(id: $id) { messages(afterSeq: $after, first: $first) { seq type tool content input output } } }";
    let variables = json!({"id": claim.task_id.0, "after": after, "first": first});
    let data = world.host.data(document, variables).await;
    data["task"]["messages"].as_array().unwrap().clone()
}
