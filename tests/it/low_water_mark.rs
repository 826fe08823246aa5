//! The low-water marks of the queue: they spare claims the look at what was claimed before, and pass over nothing.

use callboard::background::marker;
use entity::id::{AgentId, RuntimeId};
use uuid::Uuid;

use crate::harness::{Held, TestDatabase};

/// A queue without a server, so that nobody else takes marks.
struct Queue {
    database: TestDatabase,
    runtime_id: RuntimeId,
    agent_id: AgentId,
}

impl Queue {
    /// An empty one.
    async fn new() -> Self {
        let database = TestDatabase::create().await;
        let [workspace, runtime, agent] = [(); 3].map(|()| Uuid::new_v4());
        database
            .execute(&format!(
                "insert into workspace (id, slug, name) values ('{workspace}', 'test', 'Test');
                 insert into agent_runtime (id, workspace_id, daemon_id, name, provider, status)
                 values ('{runtime}', '{workspace}', 'laptop', 'laptop', 'claude', 'online');
                 insert into agent (id, workspace_id, name, runtime_id, max_concurrent_tasks)
                 values ('{agent}', '{workspace}', 'agent', '{runtime}', 1000000)"
            ))
            .await;
        Self {
            database,
            runtime_id: RuntimeId(runtime),
            agent_id: AgentId(agent),
        }
    }

    /// One whose marks are good: of priority 0, with a task that waits since a minute.
    async fn marked() -> Self {
        let queue = Self::new().await;
        queue.put(Uuid::new_v4(), 0, "1 min").await;
        queue.take_marks().await;
        queue.take_marks().await;
        assert!(queue.is_marked().await);
        queue
    }

    /// The statement that puts a task in line, of an issue of its own.
    fn insertion(&self, task: Uuid, priority: i32, since: &str) -> String {
        let (agent, runtime) = (self.agent_id, self.runtime_id);
        format!(
            "insert into agent_task_queue (id, agent_id, runtime_id, issue_id, priority, created_at)
             values ('{task}', '{agent}', '{runtime}', gen_random_uuid(), {priority}, now() - interval '{since}')"
        )
    }

    /// Puts a task in line.
    async fn put(&self, task: Uuid, priority: i32, since: &str) {
        let sql = self.insertion(task, priority, since);
        self.database.execute(&sql).await;
    }

    async fn take_marks(&self) {
        marker::run_once(&self.database.pool, &[self.runtime_id])
            .await
            .unwrap();
    }

    /// Whether the runtime's mark is good.
    async fn is_marked(&self) -> bool {
        let sql = format!(
            "select count((task_low_water_mark_of('{}')).runtime_id)",
            self.runtime_id
        );
        self.database.count(&sql).await == 1
    }

    /// The first task in line, by the way that the claim takes, the mark included, and by looking at all.
    async fn first(&self) -> [Option<Uuid>; 2] {
        let marked = format!(
            "select id from task_first_in_line('{}', 1)",
            self.runtime_id
        );
        let all = "select id from agent_task_queue where status = 'queued' order by priority desc, created_at, id limit 1";
        [self.id(&marked).await, self.id(all).await]
    }

    async fn id(&self, sql: &str) -> Option<Uuid> {
        let rows = self.database.rows(sql).await;
        rows.first().map(|row| row.try_get_by_index(0).unwrap())
    }

    /// The task is the first in line, whichever way one looks.
    async fn expect_first(&self, task: Uuid) {
        assert_eq!(self.first().await, [Some(task); 2]);
    }
}

#[tokio::test]
async fn a_mark_is_good_from_the_second_time_that_it_is_taken() {
    let queue = Queue::new().await;
    queue.put(Uuid::new_v4(), 0, "1 min").await;
    assert!(!queue.is_marked().await);
    queue.take_marks().await;
    assert!(!queue.is_marked().await);
    queue.take_marks().await;
    assert!(queue.is_marked().await);
}

#[tokio::test]
async fn what_is_put_at_the_end_of_the_line_leaves_the_mark_good() {
    let queue = Queue::marked().await;
    let last = Uuid::new_v4();
    queue.put(last, 0, "0 s").await;
    assert!(queue.is_marked().await);
    let first_is_gone = "update agent_task_queue set status = 'dispatched'
        where id in (select id from agent_task_queue order by created_at limit 1)";
    queue.database.execute(first_is_gone).await;
    queue.take_marks().await;
    assert!(queue.is_marked().await);
    queue.expect_first(last).await;
}

#[tokio::test]
async fn a_priority_that_the_mark_does_not_know_makes_it_void() {
    for priority in [7, -7] {
        let queue = Queue::marked().await;
        let other = Uuid::new_v4();
        queue.put(other, priority, "0 s").await;
        assert!(!queue.is_marked().await);
        let [by_mark, by_all] = queue.first().await;
        assert_eq!(by_mark, by_all);
        queue.take_marks().await;
        assert!(queue.is_marked().await);
        let [by_mark, by_all] = queue.first().await;
        assert_eq!(by_mark, by_all);
    }
}

#[tokio::test]
async fn a_task_that_is_older_than_the_mark_is_not_passed_over() {
    let queue = Queue::marked().await;
    let old = Uuid::new_v4();
    queue.put(old, 0, "1 hour").await;
    assert!(!queue.is_marked().await);
    queue.expect_first(old).await;
    queue.take_marks().await;
    assert!(queue.is_marked().await);
    queue.expect_first(old).await;
}

#[tokio::test]
async fn a_task_that_comes_back_into_line_is_not_passed_over() {
    let queue = Queue::new().await;
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());
    queue.put(first, 0, "2 min").await;
    queue.put(second, 0, "1 min").await;
    let set = |to: &str| format!("update agent_task_queue set {to} where id = '{first}'");
    queue.database.execute(&set("status = 'dispatched'")).await;
    queue.take_marks().await;
    queue.take_marks().await;
    queue.expect_first(second).await;
    let mut marked = vec![queue.is_marked().await];
    for back in [
        "status = 'queued'",
        "priority = 3",
        "created_at = now() - interval '1 day'",
    ] {
        queue.database.execute(&set(back)).await;
        marked.push(queue.is_marked().await);
        queue.expect_first(first).await;
        queue.take_marks().await;
        queue.expect_first(first).await;
    }
    assert_eq!(marked, [true, false, false, false]);
}

#[tokio::test]
async fn a_mark_is_not_taken_past_a_writer_who_is_not_done() {
    let queue = Queue::marked().await;
    // It waits with an older task than all others, which nobody sees yet.
    let old = Uuid::new_v4();
    let writer = queue
        .database
        .hold(&queue.insertion(old, 0, "1 hour"))
        .await;
    queue.take_marks().await;
    assert!(!queue.is_marked().await);
    writer.commit().await;
    queue.expect_first(old).await;
    queue.take_marks().await;
    assert!(queue.is_marked().await);
    queue.expect_first(old).await;
}

#[tokio::test]
async fn a_writer_who_saw_no_mark_is_waited_for_before_the_first_is_good() {
    let queue = Queue::new().await;
    let waiting = Uuid::new_v4();
    queue.put(waiting, 0, "1 min").await;
    let first = Uuid::new_v4();
    let writer = queue.database.hold(&queue.insertion(first, 5, "0 s")).await;
    queue.take_marks().await;
    queue.take_marks().await;
    assert!(!queue.is_marked().await);
    queue.expect_first(waiting).await;
    writer.commit().await;
    queue.expect_first(first).await;
    queue.take_marks().await;
    assert!(queue.is_marked().await);
    queue.expect_first(first).await;
}

#[tokio::test]
async fn who_may_not_see_the_newest_mark_makes_it_void() {
    let queue = Queue::new().await;
    queue.put(Uuid::new_v4(), 0, "1 min").await;
    let early: Held = queue
        .database
        .hold("set transaction isolation level repeatable read")
        .await;
    early.execute("select from task_low_water_mark").await;
    queue.take_marks().await;
    queue.take_marks().await;
    assert!(queue.is_marked().await);
    let first = Uuid::new_v4();
    early.execute(&queue.insertion(first, 9, "0 s")).await;
    early.commit().await;
    assert!(!queue.is_marked().await);
    queue.expect_first(first).await;
}

#[tokio::test]
async fn too_many_priorities_are_forgotten_and_learnt_anew() {
    let queue = Queue::new().await;
    for priority in 0..40 {
        queue.put(Uuid::new_v4(), priority, "1 min").await;
    }
    queue.take_marks().await;
    queue.take_marks().await;
    let known = "select cardinality(priorities) from task_low_water_mark";
    // It is good for a moment, and then begins anew: what is no longer in use is left out.
    assert_eq!(
        queue
            .database
            .count(&format!("select count(*) from ({known}) as k"))
            .await,
        1
    );
    assert!(!queue.is_marked().await);
    queue
        .database
        .execute("update agent_task_queue set status = 'cancelled', completed_at = now() where priority >= 5")
        .await;
    queue.take_marks().await;
    assert!(queue.is_marked().await);
    let few = format!("select count(*) from ({known}) as k (known) where known = 5");
    assert_eq!(queue.database.count(&few).await, 1);
}

#[tokio::test]
async fn a_claim_does_not_look_at_what_was_claimed_since_a_snapshot_was_taken() {
    let queue = Queue::new().await;
    let snapshot = queue
        .database
        .hold("set transaction isolation level repeatable read")
        .await;
    snapshot.execute("select from workspace").await;
    let (agent, runtime) = (queue.agent_id, queue.runtime_id);
    queue
        .database
        .execute(&format!(
            "insert into agent_task_queue (agent_id, runtime_id, issue_id, created_at)
             select '{agent}', '{runtime}', gen_random_uuid(), now() - interval '1 min'
             from generate_series(1, 5000);
             update agent_task_queue set status = 'cancelled', completed_at = now();"
        ))
        .await;
    queue.put(Uuid::new_v4(), 0, "10 s").await;
    let look = format!("select * from task_first_in_line('{runtime}', 1)");
    let before = queue.database.buffers(&look).await;
    queue.take_marks().await;
    queue.take_marks().await;
    let after = queue.database.buffers(&look).await;
    assert!(after * 20 < before, "{after} buffers instead of {before}");
    snapshot.commit().await;
}

#[tokio::test]
async fn who_inserts_while_a_mark_waits_for_others_is_not_passed_over() {
    let queue = Queue::marked().await;
    let gone = "update agent_task_queue set status = 'cancelled', completed_at = now()";
    queue.database.execute(gone).await;
    let (clock, drawn) = (
        "(extract(epoch from clock_timestamp()) * 1000)::int8",
        "select last_value from task_event_position",
    );
    let begun = queue.database.count(&format!("select {clock}")).await;
    let at = async |millis: i64| {
        let sql = format!("{clock} >= {}", begun + millis);
        queue.database.until(&sql).await;
    };
    let writer = queue.database.hold("select 1").await;
    let other = queue.database.hold("select task_event_open()").await;
    at(200).await;
    let before = queue.database.count(drawn).await;
    let task = Uuid::new_v4();
    tokio::join!(queue.take_marks(), async {
        let has_drawn = format!("(select last_value from task_event_position) > {before}");
        queue.database.until(&has_drawn).await;
        writer.execute(&queue.insertion(task, 0, "0 s")).await;
        at(1080).await;
        other.commit().await;
    });
    writer.commit().await;
    queue.expect_first(task).await;
    queue.take_marks().await;
    queue.expect_first(task).await;
}
