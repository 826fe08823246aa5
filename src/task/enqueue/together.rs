//! Putting several tasks on the board in one transaction.

use entity::id::{MemberId, TaskId, WorkspaceId};
use entity::task;
use sea_orm::{DatabaseTransaction, FromQueryResult, Statement, raw_sql};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Enqueued, NewTask};
use crate::auth::Viewer;
use crate::auth::asked_by::AskedBy;
use crate::db::Writer;
use crate::error::{Error, Result};
use crate::group::{Patience, Turn, places};

/// A task to be put on the board, and who asks for it.
#[derive(Clone, Debug)]
pub(in super::super) struct Enqueueing {
    /// The only workspace whose agents they see.
    pub workspace_id: Option<WorkspaceId>,
    /// The only member whose private agents they see.
    pub member_id: Option<MemberId>,
    /// The task.
    pub new: NewTask,
}

impl Enqueueing {
    /// Refuses what can never be right.
    pub(in super::super) fn check(viewer: &Viewer, new: NewTask) -> Result<Self> {
        viewer.require_host()?;
        new.check()?;
        Ok(Self {
            workspace_id: viewer.workspace_id(),
            member_id: viewer.own_private_agents_only(),
            new,
        })
    }

    /// As the function of the database reads it.
    fn record(&self, place: usize) -> Record<'_> {
        let Self {
            workspace_id,
            member_id,
            new,
        } = self;
        Record {
            place,
            workspace_id: workspace_id.map(|id| id.0),
            member_id: member_id.map(|id| id.0),
            id: TaskId::generate().0,
            agent_id: new.agent_id.0,
            issue_id: new.issue_id.map(|id| id.0),
            chat_session_id: new.chat_session_id.map(|id| id.0),
            autopilot_run_id: new.autopilot_run_id.map(|id| id.0),
            priority: new.priority,
            trigger_comment_id: new.trigger_comment_id.map(|id| id.0),
            trigger_summary: new.trigger_summary.as_deref(),
            context: new.context.as_ref(),
            force_fresh_session: new.force_fresh_session,
            is_leader_task: new.is_leader_task,
            max_attempts: new.max_attempts,
        }
    }
}

/// Such a task as the function of the database reads it.
#[derive(Debug, Serialize)]
struct Record<'a> {
    place: usize,
    workspace_id: Option<Uuid>,
    member_id: Option<Uuid>,
    id: Uuid,
    agent_id: Uuid,
    issue_id: Option<Uuid>,
    chat_session_id: Option<Uuid>,
    autopilot_run_id: Option<Uuid>,
    priority: i32,
    trigger_comment_id: Option<Uuid>,
    trigger_summary: Option<&'a str>,
    // A null would be a context too.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a Value>,
    force_fresh_session: bool,
    is_leader_task: bool,
    max_attempts: i32,
}

/// What became of it.
#[derive(Debug, FromQueryResult)]
struct Put {
    place: i32,
    archived: bool,
    inserted: bool,
    #[sea_orm(nested)]
    task: Option<task::Model>,
}

/// Puts tasks on the board, and rings for them. None: the one that was in the way has ended meanwhile, and there is room.
pub(in super::super) async fn enqueue_together(
    writer: &Writer,
    asked: Vec<AskedBy<Enqueueing>>,
    turn: Turn,
) -> Result<Vec<Result<Option<Enqueued>>>> {
    let (asked, tokens) = AskedBy::part(asked)?;
    let statement = statement(&asked, &tokens, turn.patience())?;
    let put = writer.in_turn(statement, turn).await?;
    Ok(answers(asked.len(), put))
}

/// Puts a task on the board within a transaction that has more to do.
pub(super) async fn enqueue_within(
    txn: &DatabaseTransaction,
    asked: Enqueueing,
) -> Result<Enqueued> {
    let asked = [asked];
    loop {
        let statement = statement(&asked, &json!([]), Patience::Long)?;
        let put = Put::find_by_statement(statement).all(txn).await?;
        let put = put.into_iter().map(|put| (put.place, Ok(put)));
        for answer in answers(asked.len(), put) {
            if let Some(enqueued) = answer? {
                return Ok(enqueued);
            }
        }
    }
}

fn statement(asked: &[Enqueueing], tokens: &Value, patience: Patience) -> Result<Statement> {
    let records = places::numbered(asked, Enqueueing::record)?;
    let (tokens, lock_timeout) = (tokens.clone(), patience.lock_timeout());
    Ok(raw_sql!(
        Postgres,
        r#"select place, archived, inserted, (task).*
           from task_enqueue_together(asked_by({records}, {tokens}), {lock_timeout})"#
    ))
}

/// What each of so many is told.
fn answers(
    asked: usize,
    found: impl IntoIterator<Item = (i32, Result<Put>)>,
) -> Vec<Result<Option<Enqueued>>> {
    let mut answers: Vec<_> = (0..asked).map(|_| Err(Error::NotFound("agent"))).collect();
    for (place, put) in found {
        let answer = put.and_then(|put| {
            if put.archived {
                return Err(Error::precondition("the agent is archived"));
            }
            Ok(put.task.map(|task| Enqueued {
                task,
                deduplicated: !put.inserted,
            }))
        });
        places::put(&mut answers, place, answer);
    }
    answers
}
