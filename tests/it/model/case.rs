//! A case: a workspace, the board that it has to be like, and which numbers are whose.

use std::collections::BTreeMap;

use callboard::auth::Identity;
use callboard::settings::Settings;
use entity::id::{AgentId, MemberId, RuntimeId, TaskId};
use entity::member::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::board::{Agent, Board, MAX_DELIVERIES, REQUEUE_BATCH, Runtime, Silence};
use super::step::{Aim, Step};
use crate::harness::{Client, TestApp, World};

/// The daemon and provider of each slot.
pub(super) const SLOTS: [(usize, &str); 3] = [(0, "claude"), (0, "codex"), (1, "claude")];

/// What the daemons are called.
pub(super) const DAEMONS: [&str; 2] = ["laptop", "desktop"];

/// The thresholds of the specification, the two that it would take long to reach lowered, and a sweeper that leaves
/// everything to the steps.
pub(super) fn settings() -> Settings {
    Settings {
        claim_lease: std::time::Duration::from_mins(4),
        max_deliveries: i32::try_from(MAX_DELIVERIES).unwrap(),
        requeue_batch: i64::try_from(REQUEUE_BATCH).unwrap(),
        sweep_interval: std::time::Duration::from_hours(24),
        ..Settings::default()
    }
}

/// A workspace and the board that it has to be like.
pub(super) struct Case<'a> {
    pub(super) app: &'a TestApp,
    pub(super) world: World<'a>,
    pub(super) member: Client,
    pub(super) daemons: [Client; 2],
    pub(super) board: Board,
    pub(super) ids: Ids,
    /// Whatever is known of tasks that have ended: it is not to change.
    pub(super) ended: BTreeMap<usize, Value>,
}

/// Which number is whose.
#[derive(Debug, Default)]
pub(super) struct Ids {
    pub(super) agents: Vec<AgentId>,
    pub(super) runtimes: Vec<RuntimeId>,
    pub(super) tasks: Vec<TaskId>,
    pub(super) tokens: Vec<Uuid>,
    pub(super) issues: [Uuid; 2],
    pub(super) chats: [Uuid; 2],
    pub(super) autopilots: [Uuid; 2],
    pub(super) comments: [Uuid; 2],
    pub(super) requests: [Uuid; 2],
}

/// The number of what is in a list.
pub(super) fn number<T: PartialEq>(of: &T, list: &[T]) -> Option<usize> {
    list.iter().position(|known| known == of)
}

impl<'a> Case<'a> {
    /// Two daemons with three runtimes, and three agents: one that does a task at a time, a member's own that does two,
    /// and one that is hidden from the member.
    pub(super) async fn new(app: &'a TestApp) -> Self {
        // What an earlier case left would be swept with what is this one's.
        for table in ["agent_task_queue", "agent", "agent_runtime"] {
            app.database.execute(&format!("delete from {table}")).await;
        }
        let world = World::new(app).await;
        let (desktop, third) = world.second_daemon(DAEMONS[1]).await;
        let second = world.second_runtime(SLOTS[1].1).await;
        let member = app
            .client(Identity::Member {
                workspace_id: world.workspace_id,
                member_id: MemberId(Uuid::new_v4()),
                role: Role::Member,
            })
            .await;
        let mut case = Self {
            app,
            member,
            daemons: [world.daemon.clone(), desktop],
            board: Board::default(),
            ids: Ids {
                runtimes: vec![world.runtime_id, second, third],
                ..Ids::fresh()
            },
            ended: BTreeMap::new(),
            world,
        };
        for (slot, (daemon, _)) in SLOTS.into_iter().enumerate() {
            case.board.slots.push(slot);
            case.board.runtimes.push(Runtime {
                daemon,
                online: true,
                silence: Silence::None,
                removed: false,
            });
        }
        case.add_agent(false, false, 1).await;
        case.add_agent(true, false, 2).await;
        case.add_agent(false, true, 3).await;
        case
    }

    /// An agent on the first runtime.
    async fn add_agent(&mut self, of_member: bool, private: bool, capacity: usize) {
        let maker = if of_member {
            &self.member
        } else {
            &self.world.host
        };
        let visibility = if private { "PRIVATE" } else { "WORKSPACE" };
        let more = json!({"maxConcurrentTasks": capacity, "visibility": visibility});
        let id = self
            .world
            .agent_of(maker, self.world.runtime_id, more)
            .await;
        self.ids.agents.push(id);
        self.board.agents.push(Agent {
            of_member,
            private,
            capacity,
            runtime: 0,
            archived: false,
            status: "idle",
        });
    }

    /// Takes a step, and compares what came of it with what had to. In words, what is different.
    pub(super) async fn take(&mut self, step: &Step) -> Result<(), String> {
        let aim = step.aim(&self.board);
        let known = self.board.tasks.len();
        let expected = self.board.answer(&step.verb, aim);
        let different = self.carry_out(step, aim, known, &expected).await.err();
        different.map_or(Ok(()), |different| {
            Err(format!(
                "{:?} {aim:?} has to be answered {expected:?}; {different}",
                step.verb
            ))
        })
    }

    async fn carry_out(
        &mut self,
        step: &Step,
        aim: Aim,
        known: usize,
        expected: &Answer,
    ) -> Result<(), String> {
        let reply = self.ask(&step.verb, aim).await;
        self.number_new_tasks(known).await?;
        let given = self.read(&step.verb, reply)?;
        if given != *expected {
            return Err(format!("it is answered {given:?}"));
        }
        self.compare().await
    }

    /// Learns the ids of what came onto the board. What came at once, as retries do, is told apart by what it is a retry
    /// of, and stands in the order of its ids, which the board cannot know.
    async fn number_new_tasks(&mut self, known: usize) -> Result<(), String> {
        let rows = self
            .app
            .database
            .rows("select id, parent_task_id from agent_task_queue order by id")
            .await;
        let mut new: Vec<(Uuid, Option<Uuid>)> = rows
            .iter()
            .map(|row| {
                (
                    row.try_get("", "id").unwrap(),
                    row.try_get("", "parent_task_id").unwrap(),
                )
            })
            .collect();
        new.retain(|(id, _)| !self.ids.tasks.contains(&TaskId(*id)));
        if new.len() != self.board.tasks.len() - known {
            let expected = &self.board.tasks[known..];
            return Err(format!(
                "{} came onto the board instead of {expected:?}",
                new.len()
            ));
        }
        let mut numbered = BTreeMap::new();
        for (rank, (id, parent)) in new.into_iter().enumerate() {
            let parent = parent.and_then(|id| number(&TaskId(id), &self.ids.tasks));
            let of_parent =
                |no: &usize| self.board.tasks[*no].parent == parent && !numbered.contains_key(no);
            let Some(no) = (known..self.board.tasks.len()).find(of_parent) else {
                return Err(format!(
                    "a task came onto the board that is a retry of {parent:?}"
                ));
            };
            self.board.tasks[no].created.1 = known + rank;
            numbered.insert(no, TaskId(id));
        }
        self.ids.tasks.extend(numbered.into_values());
        Ok(())
    }
}

impl Ids {
    fn fresh() -> Self {
        let two = || [Uuid::new_v4(), Uuid::new_v4()];
        Self {
            issues: two(),
            chats: two(),
            autopilots: two(),
            comments: two(),
            requests: two(),
            ..Self::default()
        }
    }
}

/// A step's reply: what a mutation was answered, or what else came of it.
pub(super) enum Reply {
    Mutation(Result<Value, String>),
    Other(Answer),
}
