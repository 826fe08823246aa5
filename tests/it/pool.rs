//! Connections: the one that was used last is used next, and nothing is lost by that.

use std::time::Duration;

use callboard::db::{self, ConnectOptions, Pool};
use futures::future::join_all;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::time::timeout;

use crate::harness::TestDatabase;

/// Longer than it may take, and shorter than the pool waits for a connection.
const SOON: Duration = Duration::from_secs(4);

#[tokio::test]
async fn the_connection_that_was_used_last_is_used_next() {
    let database = TestDatabase::create().await;
    let pool = pool(&database, 8);
    // Two at the same time: from here on there are two to choose from.
    let both = join_all([session(&pool), session(&pool)]).await;
    assert_ne!(both[0], both[1]);
    let last = session(&pool).await;
    for _ in 0..4 {
        assert_eq!(session(&pool).await, last);
    }
    pool.close().await;
}

#[tokio::test]
async fn what_is_kept_is_lent_to_a_transaction_where_there_is_no_other() {
    let database = TestDatabase::create().await;
    let pool = pool(&database, 4);
    session(&pool).await;
    let mut transactions = Vec::new();
    for _ in 0..4 {
        let begun = timeout(SOON, pool.begin()).await;
        transactions.push(begun.expect("a connection is lent").unwrap());
    }
    for transaction in transactions {
        transaction.rollback().await.unwrap();
    }
    timeout(SOON, pool.close())
        .await
        .expect("closing waits for nothing that is kept");
}

#[tokio::test]
async fn a_connection_that_broke_is_used_once_at_most() {
    let database = TestDatabase::create().await;
    let pool = pool(&database, 8);
    let broken = session(&pool).await;
    database
        .execute(&format!("select pg_terminate_backend({broken}, 5000)"))
        .await;
    let failed = pool.query_one_raw(asking()).await.is_err();
    assert_ne!(session(&pool).await, broken, "it had failed: {failed}");
    pool.close().await;
}

fn pool(database: &TestDatabase, max_connections: u32) -> Pool {
    let options = ConnectOptions {
        max_connections,
        statement_timeout: Duration::from_secs(15),
    };
    Pool::from(db::connect(&database.options, &options))
}

/// Which session of Postgres answers.
async fn session(pool: &Pool) -> i32 {
    let row = pool.query_one_raw(asking()).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

fn asking() -> Statement {
    Statement::from_string(DbBackend::Postgres, "select pg_backend_pid()")
}
