//! Who may do what: every mutation by everyone.

use callboard::auth::{Daemon, Identity};
use entity::id::{MemberId, WorkspaceId};
use entity::member::Role;
use serde_json::json;
use uuid::Uuid;

use super::scene::Scene;
use crate::harness::{Surface, TestApp, World};

/// Whose a mutation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The daemons', each for its runtimes.
    Daemons,
    /// The host application's, and its people's for agents that they see.
    Hosts,
    /// The same without those whose the agent is not.
    Managers,
}

/// Whose each mutation is. Who adds one says it here.
fn whose(mutation: &str) -> Whose {
    match mutation {
        "appendTaskMessages"
        | "claimTask"
        | "claimTasks"
        | "completeTask"
        | "deregisterRuntime"
        | "failTask"
        | "heartbeat"
        | "pinTaskSession"
        | "recoverOrphanedTasks"
        | "registerRuntime"
        | "reportTaskProgress"
        | "reportTaskUsage"
        | "startTask" => Whose::Daemons,
        "cancelByAgent"
        | "cancelByChatSession"
        | "cancelByIssue"
        | "cancelByTriggerComment"
        | "cancelTask"
        | "createAgent"
        | "enqueueQuickCreate"
        | "enqueueTask"
        | "linkTaskToIssue"
        | "rerunIssue"
        | "retryTask" => Whose::Hosts,
        "archiveAgent"
        | "archiveAgentsByRuntime"
        | "restoreAgent"
        | "setAgentStatus"
        | "updateAgent" => Whose::Managers,
        _ => panic!("whose is {mutation}?"),
    }
}

/// A member of a workspace.
fn member(workspace_id: WorkspaceId, role: Role) -> Identity {
    let member_id = MemberId(Uuid::new_v4());
    Identity::Member {
        workspace_id,
        member_id,
        role,
    }
}

/// A daemon of a workspace.
fn daemon(workspace_id: WorkspaceId, daemon_id: &str) -> Identity {
    let daemon_id = daemon_id.to_owned();
    Identity::Daemon(Daemon {
        workspace_id,
        daemon_id,
    })
}

/// Lets somebody try every mutation; each has to come out as expected, and what is not done has to change nothing.
async fn try_all(who: impl Fn(WorkspaceId) -> Identity, expected: impl Fn(&str) -> &'static str) {
    let app = TestApp::start().await;
    let surface = Surface::of(&World::new(&app).await.host).await;
    let mut scene = Scene::set(&app).await;
    let mut client = app.client(who(scene.world.workspace_id)).await;
    let mut before = app.database.contents().await;
    for mutation in surface.mutations() {
        let (outcome, expected) = (
            scene.outcome(&surface, &client, &mutation).await,
            expected(&mutation),
        );
        assert_eq!(outcome, expected, "{mutation}");
        if outcome == "done" {
            scene = Scene::set(&app).await;
            client = app.client(who(scene.world.workspace_id)).await;
            before = app.database.contents().await;
        } else {
            assert_eq!(app.database.contents().await, before, "{mutation}");
        }
    }
}

/// What those come to who see nothing of it.
fn hidden(mutation: &str) -> &'static str {
    match mutation {
        // The host application's ids: there is nothing of the viewer's that names them.
        "cancelByIssue" | "cancelByTriggerComment" | "cancelByChatSession" => "nothing",
        _ => "NOT_FOUND",
    }
}

#[tokio::test]
async fn an_admin_may_do_all_that_is_not_a_daemons() {
    try_all(
        |_| Identity::Admin,
        |mutation| match whose(mutation) {
            Whose::Daemons => "FORBIDDEN",
            Whose::Hosts | Whose::Managers => "done",
        },
    )
    .await;
}

#[tokio::test]
async fn the_host_application_may_do_all_that_is_not_a_daemons_in_its_workspace() {
    try_all(
        |workspace_id| Identity::Service { workspace_id },
        |mutation| match whose(mutation) {
            Whose::Daemons => "FORBIDDEN",
            Whose::Hosts | Whose::Managers => "done",
        },
    )
    .await;
}

#[tokio::test]
async fn owners_and_admins_of_a_workspace_may_do_what_the_host_application_may() {
    for role in [Role::Owner, Role::Admin] {
        try_all(
            |workspace_id| member(workspace_id, role),
            |mutation| match whose(mutation) {
                Whose::Daemons => "FORBIDDEN",
                Whose::Hosts | Whose::Managers => "done",
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_member_may_use_the_agents_of_the_workspace_and_not_change_them() {
    try_all(
        |workspace_id| member(workspace_id, Role::Member),
        |mutation| match whose(mutation) {
            Whose::Daemons | Whose::Managers => "FORBIDDEN",
            Whose::Hosts => "done",
        },
    )
    .await;
}

#[tokio::test]
async fn a_daemon_may_work_on_its_runtimes_and_nothing_else() {
    try_all(
        |workspace_id| daemon(workspace_id, "laptop"),
        |mutation| match whose(mutation) {
            Whose::Daemons => "done",
            Whose::Hosts | Whose::Managers => "FORBIDDEN",
        },
    )
    .await;
}

#[tokio::test]
async fn another_daemon_of_the_workspace_may_not_work_on_them() {
    try_all(
        |workspace_id| daemon(workspace_id, "desktop"),
        |mutation| match (mutation, whose(mutation)) {
            ("registerRuntime", _) | (_, Whose::Hosts | Whose::Managers) => "FORBIDDEN",
            (_, Whose::Daemons) => "NOT_FOUND",
        },
    )
    .await;
}

#[tokio::test]
async fn those_of_another_workspace_come_to_nothing() {
    let app = TestApp::start().await;
    let (scene, other) = (Scene::set(&app).await, World::new(&app).await);
    let workspace_id = other.workspace_id;
    let surface = Surface::of(&other.host).await;
    let hosts = [
        Identity::Service { workspace_id },
        member(workspace_id, Role::Owner),
        member(workspace_id, Role::Member),
    ];
    let mut before = app.database.contents().await;
    for identity in hosts.into_iter().chain([daemon(workspace_id, "laptop")]) {
        let is_daemon = matches!(identity, Identity::Daemon(_));
        let client = app.client(identity.clone()).await;
        // Making the client made its member known.
        before.clone_from(&app.database.contents().await);
        for mutation in surface.mutations() {
            let expected = if is_daemon == (whose(&mutation) == Whose::Daemons) {
                hidden(&mutation)
            } else {
                "FORBIDDEN"
            };
            let outcome = scene.outcome(&surface, &client, &mutation).await;
            assert_eq!(outcome, expected, "{mutation} by {identity:?}");
        }
        assert_eq!(app.database.contents().await, before, "{identity:?}");
    }
}

#[tokio::test]
async fn a_private_agent_is_its_owners_to_use_and_to_change_and_hidden_from_other_members() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let scene = Scene::around(&app, world, json!({"visibility": "PRIVATE"})).await;
    let workspace_id = scene.world.workspace_id;
    let (owner_id, role) = (MemberId(Uuid::new_v4()), Role::Member);
    app.database
        .execute(&format!("update agent set owner_id = '{owner_id}'"))
        .await;

    let stranger = app.client(member(workspace_id, Role::Member)).await;
    let before = app.database.contents().await;
    let about_agents = || {
        surface
            .mutations()
            .into_iter()
            .filter(|name| name != "createAgent")
    };
    for mutation in about_agents() {
        let expected = match whose(&mutation) {
            Whose::Daemons => "FORBIDDEN",
            // Of the runtime's agents the viewer sees none.
            _ if mutation == "archiveAgentsByRuntime" => "nothing",
            Whose::Hosts | Whose::Managers => hidden(&mutation),
        };
        let outcome = scene.outcome(&surface, &stranger, &mutation).await;
        assert_eq!(outcome, expected, "{mutation}");
    }
    assert_eq!(app.database.contents().await, before);

    let member_id = owner_id;
    let owner = app
        .client(Identity::Member {
            workspace_id,
            member_id,
            role,
        })
        .await;
    for mutation in
        about_agents().filter(|name| whose(name) == Whose::Managers || name == "enqueueTask")
    {
        // What one of them archived is there again for the next.
        app.database
            .execute("update agent set archived_at = null")
            .await;
        app.database.archive_agent(scene.archived_id).await;
        assert_eq!(
            scene.outcome(&surface, &owner, &mutation).await,
            "done",
            "{mutation}"
        );
    }
    assert_eq!(scene.outcome(&surface, &owner, "cancelTask").await, "done");
}
