//! The order of locks: agents by id, then their tasks.

use entity::id::AgentId;
use sea_orm::{ConnectionTrait, DatabaseTransaction, Statement, raw_sql};
use uuid::Uuid;

use crate::error::Result;

/// Locks agents, in the order of their ids, to the end of the transaction. What they are busy with cannot change
/// meanwhile, and a *later* statement sees what it is. (FOR NO KEY UPDATE, so that enqueueing, which refers to the
/// agent, need not wait.)
pub(crate) async fn agents(txn: &DatabaseTransaction, agents: &[AgentId]) -> Result<()> {
    if agents.is_empty() {
        return Ok(());
    }
    let ids = uuids(agents);
    let statement: Statement = raw_sql!(
        Postgres,
        "select id from agent where id = any({ids}) order by id for no key update"
    );
    txn.query_all_raw(statement).await?;
    Ok(())
}

/// Locks one agent.
pub(crate) async fn agent(txn: &DatabaseTransaction, id: AgentId) -> Result<()> {
    agents(txn, &[id]).await
}

/// Waits for those who are putting work on the board for agents that this transaction has locked, and keeps others from
/// it to the end.
pub(crate) async fn agents_from_enqueues(
    txn: &DatabaseTransaction,
    agents: &[AgentId],
) -> Result<()> {
    let ids = uuids(agents);
    let statement: Statement = raw_sql!(
        Postgres,
        "select id from agent where id = any({ids}) order by id for update"
    );
    txn.query_all_raw(statement).await?;
    Ok(())
}

/// The agents that a statement names in its only column.
pub(crate) async fn ids(db: &impl ConnectionTrait, statement: Statement) -> Result<Vec<AgentId>> {
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(AgentId(row.try_get_by_index(0)?)))
        .collect()
}

/// The ids as the driver binds them.
pub(crate) fn uuids(agents: &[AgentId]) -> Vec<Uuid> {
    agents.iter().map(|id| id.0).collect()
}
