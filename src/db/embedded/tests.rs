//! Real servers in directories of their own. As root they run as an unprivileged account, elsewhere as ours.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::postmaster::Postmaster;
use super::*;

/// Options that make tests fast.
fn options(directory: &Path) -> Options {
    Options {
        data_dir: directory.to_owned(),
        durable: false,
        max_connections: 20,
    }
}

/// No PostgreSQL at all, and no network needed to find that out.
fn no_sources() -> Sources {
    Sources {
        installed: Vec::new(),
        releases: "https://example.invalid/no/releases",
    }
}

async fn start(directory: &TempDir) -> Embedded {
    Embedded::start(options(directory.path())).await.unwrap()
}

async fn connect(embedded: &Embedded) -> PgConnection {
    PgConnection::connect(&embedded.database_url())
        .await
        .unwrap()
}

async fn write_note(embedded: &Embedded) {
    let mut connection = connect(embedded).await;
    sqlx::raw_sql("create table note (text text); insert into note values ('kept')")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

async fn read_text(embedded: &Embedded, query: &'static str) -> String {
    let mut connection = connect(embedded).await;
    let text = sqlx::query_scalar(query)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    text
}

async fn read_note(embedded: &Embedded) -> String {
    read_text(embedded, "select text from note").await
}

fn postmaster_pid(directory: &Path) -> i32 {
    let text = fs::read_to_string(directory.join("cluster/postmaster.pid")).unwrap();
    text.lines().next().unwrap().parse().unwrap()
}

fn is_running(directory: &Path) -> bool {
    let cluster = directory.canonicalize().unwrap().join("cluster");
    Postmaster::of(&cluster).unwrap() != Postmaster::Gone
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A data directory with the beginnings of a cluster that a PostgreSQL of this major version might have made.
fn cluster_of_major(directory: &Path, major: &str) {
    let (layout, account) = Layout::open(directory).unwrap();
    file::private_directory(&layout.cluster, account).unwrap();
    fs::write(layout.cluster.join("PG_VERSION"), major).unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let first = start(&directory).await;
    write_note(&first).await;
    first.stop().await.unwrap();
    assert!(!is_running(directory.path()));

    let second = start(&directory).await;
    assert_eq!(read_note(&second).await, "kept");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn the_last_user_stops_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let first = start(&directory).await;
    let pid = postmaster_pid(directory.path());
    let second = start(&directory).await;
    assert_eq!(postmaster_pid(directory.path()), pid);

    first.stop().await.unwrap();
    assert!(is_running(directory.path()));
    assert_eq!(read_text(&second, "select 'here'").await, "here");
    second.stop().await.unwrap();
    assert!(!is_running(directory.path()));
}

#[tokio::test]
async fn users_that_come_and_go_together_share_one_server() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = tokio::join!(start(&directory), start(&directory));
    assert_eq!(read_text(&first, "select 'one'").await, "one");
    assert_eq!(read_text(&second, "select 'two'").await, "two");

    let (first, second) = tokio::join!(first.stop(), second.stop());
    first.unwrap();
    second.unwrap();
    assert!(!is_running(directory.path()));
}

#[tokio::test]
async fn a_killed_server_comes_back_with_what_was_committed() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.durable = true;
    let first = Embedded::start(options.clone()).await.unwrap();
    write_note(&first).await;
    // A session that is under way holds the server's memory for a moment longer.
    let session = connect(&first).await;
    let pid = postmaster_pid(directory.path());
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();

    let second = Embedded::start(options).await.unwrap();
    drop(session);
    assert_ne!(postmaster_pid(directory.path()), pid);
    assert_eq!(read_note(&second).await, "kept");
    first.stop().await.unwrap();
    assert!(is_running(directory.path()));
    second.stop().await.unwrap();
    assert!(!is_running(directory.path()));
}

#[tokio::test]
async fn a_server_that_a_crash_left_behind_is_adopted() {
    let directory = tempfile::tempdir().unwrap();
    drop(start(&directory).await);
    assert!(is_running(directory.path()));
    let pid = postmaster_pid(directory.path());

    let adopter = start(&directory).await;
    assert_eq!(postmaster_pid(directory.path()), pid);
    adopter.stop().await.unwrap();
    assert!(!is_running(directory.path()));
}

#[tokio::test]
async fn a_server_that_is_stopping_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    drop(start(&directory).await);
    let pid = postmaster_pid(directory.path());
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();

    let next = start(&directory).await;
    assert_eq!(read_text(&next, "select 'here'").await, "here");
    next.stop().await.unwrap();
}

#[tokio::test]
async fn a_number_that_another_process_got_does_not_prevent_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let embedded = start(&directory).await;
    let account = embedded.account;
    let pid_file = directory.path().join("cluster/postmaster.pid");
    let record = fs::read_to_string(&pid_file).unwrap();
    embedded.stop().await.unwrap();

    // Of the server's account, since Postgres minds no others. It lives until its input ends.
    let mut command = Command::new("cat");
    if account.is_foreign {
        use std::os::unix::process::CommandExt;
        command.uid(account.uid).gid(account.gid);
    }
    let mut other = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (_, rest) = record.split_once('\n').unwrap();
    fs::write(&pid_file, format!("{}\n{rest}", other.id())).unwrap();
    std::os::unix::fs::chown(&pid_file, Some(account.uid), Some(account.gid)).unwrap();

    let next = start(&directory).await;
    assert_eq!(read_text(&next, "select 'here'").await, "here");
    next.stop().await.unwrap();
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
}

#[tokio::test]
async fn an_interrupted_creation_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let half_made = directory.path().join("cluster.new-0123");
    fs::create_dir(&half_made).unwrap();
    fs::write(half_made.join("PG_VERSION"), "15").unwrap();

    start(&directory).await.stop().await.unwrap();
    assert!(!half_made.exists());
}

#[tokio::test]
async fn the_server_listens_on_its_socket_only_and_as_durably_as_told() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = options(directory.path());
    options.durable = true;
    let embedded = Embedded::start(options).await.unwrap();
    let settings = "select string_agg(setting, ' ' order by name) from pg_settings \
                    where name in ('fsync', 'listen_addresses', 'max_connections', 'port')";
    assert_eq!(read_text(&embedded, settings).await, "on  20 5432");
    let locale = "select datcollate || ' ' || pg_encoding_to_char(encoding) from pg_database \
                  where datname = current_database()";
    assert_eq!(read_text(&embedded, locale).await, "C UTF8");
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn the_url_serves_psql_and_sqlx_from_a_path_that_is_hard_to_spell() {
    let parent = tempfile::tempdir().unwrap();
    // The second is too long for a socket, and libpq would take it for two hosts.
    let long = format!("a,{}", "b".repeat(100));
    for name in [r#"it's "$(false)" 100% \ ü?&#"#, &long] {
        let directory = parent.path().join(name);
        let embedded = Embedded::start(options(&directory)).await.unwrap();
        assert_eq!(read_text(&embedded, "select 'here'").await, "here");
        let psql = Command::new(embedded.binaries.directory.join("psql"))
            .args([
                &embedded.database_url(),
                "-Atc",
                "select current_database()",
            ])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&psql.stdout), "callboard\n");

        let sockets = embedded.layout.sockets.clone();
        let is_within = sockets.starts_with(embedded.directory());
        assert_eq!(is_within, name != long);
        embedded.stop().await.unwrap();
        fs::remove_dir_all(sockets).unwrap();
    }
}

#[tokio::test]
async fn without_postgres_the_error_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let error = Embedded::start_from(options(directory.path()), no_sources())
        .await
        .unwrap_err();
    let sentence = error.to_string();
    assert!(sentence.contains("PostgreSQL 15"), "{sentence}");
    assert!(
        sentence.contains("apt-get install postgresql"),
        "{sentence}"
    );
    assert!(sentence.contains("DATABASE_URL"), "{sentence}");
    assert!(matches!(
        error,
        EmbeddedError::NoPostgres {
            source: DownloadError::Archive { .. },
            ..
        }
    ));
}

#[tokio::test]
async fn a_download_is_unpacked_for_everyone_and_whole() {
    let directory = tempfile::tempdir().unwrap();
    let release = directory.path().join("postgresql-17.5.0-some-target");
    fs::create_dir_all(release.join("bin")).unwrap();
    for (name, mode) in [("bin/postgres", 0o700), ("README", 0o600)] {
        fs::write(release.join(name), name).unwrap();
        fs::set_permissions(release.join(name), Permissions::from_mode(mode)).unwrap();
    }
    let archive = Command::new("tar")
        .args(["-czf", "-", "-C"])
        .arg(directory.path())
        .arg("postgresql-17.5.0-some-target")
        .output()
        .unwrap();
    let downloads = directory.path().join("postgresql");
    fs::create_dir_all(downloads.join("new-from-a-crash/bin")).unwrap();

    let releases = Sources::of_this_machine().releases;
    let target = downloads.join("17.5.0");
    let programs = download::unpack(releases, archive.stdout, target.clone())
        .await
        .unwrap();
    assert_eq!(programs, target.join("bin"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&downloads), 0o755);
    assert_eq!(mode(&target), 0o755);
    assert_eq!(mode(&programs.join("postgres")), 0o755);
    assert_eq!(mode(&target.join("README")), 0o644);
    assert_eq!(fs::read_dir(&downloads).unwrap().count(), 1);
}

#[tokio::test]
async fn a_cluster_is_not_given_to_another_major_version() {
    let directory = tempfile::tempdir().unwrap();
    cluster_of_major(directory.path(), "9999\n");
    let mut sources = Sources::of_this_machine();
    sources.releases = no_sources().releases;
    let error = Embedded::start_from(options(directory.path()), sources)
        .await
        .unwrap_err();
    assert!(matches!(
        error,
        EmbeddedError::MajorMissing { major: 9999, .. }
    ));
}

#[tokio::test]
async fn a_strangers_directory_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    cluster_of_major(directory.path(), "mine");
    let error = Embedded::start(options(directory.path()))
        .await
        .unwrap_err();
    assert!(matches!(error, EmbeddedError::NotACluster { .. }));
}

#[tokio::test]
async fn a_closed_data_directory_of_ours_is_opened_just_enough() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    start(&directory).await.stop().await.unwrap();

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let expected = if is_root() { 0o711 } else { 0o700 };
    assert_eq!(mode(directory.path()), expected);
    assert_eq!(mode(&directory.path().join("run")), 0o700);
    assert_eq!(mode(&directory.path().join("cluster")), 0o700);
}

#[tokio::test]
async fn a_closed_directory_above_is_named() {
    if !is_root() {
        return;
    }
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    let error = Embedded::start(options(&closed.path().join("within")))
        .await
        .unwrap_err();
    let EmbeddedError::Unreachable { directory, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(directory, closed.path().canonicalize().unwrap());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_server_has_no_part_in_our_powers_or_our_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let embedded = start(&directory).await;
    let process = Path::new("/proc").join(postmaster_pid(directory.path()).to_string());
    let status = fs::read_to_string(process.join("status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let uid = embedded.account.uid;
    assert_ne!(uid, 0);
    assert_eq!(field("Uid:"), format!("{uid} {uid} {uid} {uid}"));
    if is_root() {
        assert_eq!(field("Groups:"), "");
    }
    // A session of its own: no signal of a terminal reaches it.
    assert_eq!(field("NSsid:"), field("Pid:"));
    embedded.stop().await.unwrap();
}
