//! A daemon that is killed, as a process of its own: this program once more, with the same test, which is told so.

use std::path::Path;
use std::process::Stdio;

use entity::id::TaskId;
use serde_json::json;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Running, options, said, token};
use crate::harness::{TestApp, World};

/// What the process of a daemon that is to be killed is told: server, token, directory.
const TOLD: [&str; 3] = [
    "CALLBOARD_TEST_SERVER",
    "CALLBOARD_TEST_TOKEN",
    "CALLBOARD_TEST_DIRECTORY",
];

/// Lives as that process, until it is killed.
async fn live(server: &str) {
    let [_, token, directory] = TOLD.map(|name| std::env::var(name).unwrap());
    let directory = Path::new(&directory);
    let command = command_that_meets_itself(directory);
    let options = options(server.parse().unwrap(), token, &command, directory);
    let ended = callboard_daemon::run(options, CancellationToken::new()).await;
    ended.unwrap();
}

/// Says whether the command before this one still runs, or is itself the first and goes on for long.
fn command_that_meets_itself(directory: &Path) -> String {
    let pid = directory.join("pid");
    let pid = pid.display();
    format!(
        "if test -e '{pid}'; then
             case \"$(cut -d ' ' -f 3 \"/proc/$(cat '{pid}')/stat\" 2>/dev/null)\" in
                 '' | Z | X) echo alone ;;
                 *) echo together ;;
             esac
         else
             echo $$ > '{pid}'
             echo '::callboard progress here'
             exec sleep 600
         fi"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_daemon_leaves_running_is_ended_before_its_task_is_tried_again() {
    if let Ok(server) = std::env::var(TOLD[0]) {
        return live(&server).await;
    }
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let directory = tempfile::tempdir().unwrap();
    let token = token(&app, &world).await;
    let told = [
        app.address().to_string(),
        token.clone(),
        directory.path().to_str().unwrap().to_owned(),
    ];
    let process = "daemon::killed::what_a_killed_daemon_leaves_running_is_ended_before_its_task_is_tried_again";
    let mut killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", process, "--nocapture"])
        .envs(TOLD.into_iter().zip(told))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let agent = world.agent(1).await;
    let issue = json!({"issueId": Uuid::new_v4()});
    let first = world.enqueue(agent, issue).await;
    let said_so = format!(
        "exists (select from agent_task_queue where id = '{first}' and progress_at is not null)"
    );
    app.database.until(&said_so).await;
    killed.kill().await.unwrap();

    let command = command_that_meets_itself(directory.path());
    let options = options(app.address(), token, &command, directory.path());
    let daemon = Running::with(options, directory);
    let ended = "(select count(*) = 1 from agent_task_queue where status = 'completed')";
    app.database.until(ended).await;
    let second = "select id from agent_task_queue where status = 'completed'";
    let second = app.database.rows(second).await[0]
        .try_get("", "id")
        .unwrap();
    assert_eq!(said(&world, TaskId(second)).await, ["alone"]);
    daemon.end().await;
}
