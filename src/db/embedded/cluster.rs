//! The cluster: its creation and its database.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::account::Account;
use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::file::{self, refused};
use super::layout::Layout;

/// The role that owns everything; it is the cluster's superuser.
pub(super) const SUPERUSER: &str = "callboard";

/// The database that we live in.
pub(super) const DATABASE: &str = "callboard";

/// How long `initdb` may take. It takes seconds, on a slow disk some tens of them.
const INITDB_LIMIT: Duration = Duration::from_mins(3);

/// How the names begin under which clusters are made.
const UNFINISHED: &str = "cluster.new-";

/// What a duplicate database is called: by the check before its creation, and by the index after it.
const DUPLICATE_DATABASE: [&str; 2] = ["42P04", "23505"];

/// Makes sure that there is a cluster.
///
/// It is made under another name and renamed when complete, so that a crash leaves nothing half made in its place. The
/// other name is new each time, since `initdb` may survive us and go on writing where the next one works.
pub(super) async fn ensure(
    layout: &Layout,
    account: Account,
    binaries: &Binaries,
    durable: bool,
) -> Result<(), EmbeddedError> {
    let paths = layout.clone();
    let Some(unfinished) = file::blocking(move || prepare(&paths, account)).await? else {
        return Ok(());
    };

    tracing::info!(directory = %layout.cluster.display(), "creating the embedded database");
    let mut initdb = binaries
        .program("initdb", account)
        .cluster(&unfinished)
        .arg(format!("--username={SUPERUSER}"))
        // No password: the server listens only on a socket in a directory that is closed to all but us.
        .arg("--auth=trust")
        .arg("--encoding=UTF8")
        // Text sorts alike on every machine, and no update of the system's collations can spoil an index.
        .arg("--locale=C")
        .arg("--no-instructions");
    if !durable {
        initdb = initdb.arg("--no-sync");
    }
    initdb.run(INITDB_LIMIT).await?;

    let paths = layout.clone();
    file::blocking(move || finish(&paths, &unfinished)).await
}

/// Makes an empty directory for a new cluster; none if there is a cluster.
fn prepare(layout: &Layout, account: Account) -> Result<Option<PathBuf>, EmbeddedError> {
    file::sweep(&layout.directory, UNFINISHED);
    file::sweep(&layout.directory, file::DRAFT);
    if layout.cluster.join("PG_VERSION").exists() {
        return Ok(None);
    }
    if layout.cluster.exists() {
        return Err(EmbeddedError::NotACluster {
            path: layout.cluster.clone(),
        });
    }
    let name = format!("{UNFINISHED}{}", Uuid::new_v4().simple());
    let unfinished = layout.directory.join(name);
    file::private_directory(&unfinished, account)?;
    Ok(Some(unfinished))
}

/// Lets the new cluster read our settings and puts it in its place.
fn finish(layout: &Layout, unfinished: &Path) -> Result<(), EmbeddedError> {
    let settings = unfinished.join("postgresql.conf");
    let mut file = file::open(&settings)?;
    // Relative, so that the data directory can be moved.
    writeln!(
        file,
        "\n# What Callboard decides. A setting after this line has precedence over it.\ninclude = '../postgres.conf'"
    )
    .and_then(|()| file.sync_all())
    .map_err(refused("write", &settings))?;
    fs::rename(unfinished, &layout.cluster).map_err(refused("create", &layout.cluster))?;
    File::open(&layout.directory)
        .and_then(|directory| directory.sync_all())
        .map_err(refused("write", &layout.directory))
}

/// Makes sure that there is a database.
pub(super) async fn ensure_database(connection: &mut PgConnection) -> Result<(), EmbeddedError> {
    let is_there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(DATABASE)
            .fetch_one(&mut *connection)
            .await
            .map_err(|source| EmbeddedError::Database {
                action: "list its databases",
                source,
            })?;
    if is_there {
        return Ok(());
    }
    match sqlx::query("create database callboard")
        .execute(connection)
        .await
    {
        Ok(_) => Ok(()),
        Err(error) if is_duplicate(&error) => Ok(()),
        Err(source) => Err(EmbeddedError::Database {
            action: "create our database",
            source,
        }),
    }
}

/// Whether a database could not be created because somebody else was faster.
fn is_duplicate(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| DUPLICATE_DATABASE.contains(&code.as_ref()))
}
