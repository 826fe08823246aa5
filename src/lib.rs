//! Callboard: a board on which work for coding agents is posted as tasks, claimed by daemons, and watched live.
//!
//! This page is the architecture: the whole in a few lines, where to enter, the parts, what always holds, and two walks
//! through it.
//!
//! # The whole
//!
//! ```text
//! front ends ── queries, mutations ──┐                       ┌─ Postgres: the tables,
//! front ends ══ subscriptions ═══════╡  callboard (n of them)╞═ the event log, one LISTEN
//! daemons ───── mutations ───────────┤                       │  per server
//! daemons ═════ taskAvailable ═══════╛                       ┘
//! ```
//!
//! Postgres is the only truth and the only coordinator. A server holds nothing that another could not rebuild, so any
//! number of them run side by side. A *task* waits on the board for its agent's *runtime*; the runtime's *daemon* claims
//! it, starts it within a *lease*, and settles it. Every change is written to the *event log* by the database itself, and
//! every live view is a reader of that log.
//!
//! # Where to enter
//!
//! - What can happen to a task: [`task`], a file for each verb.
//! - Which task may be claimed: `migration/src/m20261125_000008_claim_from_the_mark.sql`, the one place where the rule
//!   stands, and the search by it. Which failure is tried again: `m20261126_000016_fail_together.sql` beside it.
//! - How events come about, and why their order has no gaps: `migration/src/m20261123_000003_event_log.sql`.
//! - How a front end is kept up to date: [`event::hub`], then `graphql/feed.rs`.
//! - Who may see and do what: [`auth`].
//!
//! # The parts
//!
//! A module uses those below it in this list, never those above: [`cli`] → [`demo`] → [`app`] → [`http`], [`background`]
//! → [`graphql`] → the capabilities ([`task`], [`agent`], [`runtime`], [`issue`], [`presence`], [`workspace`]) →
//! [`auth`], [`event`], [`doorbell`], [`group`], [`db`] → [`settings`], [`limits`], [`error`], [`metrics`] → `entity`.
//!
//! - [`cli`], [`config`], [`telemetry`]: the command line, its flags and the log. What is for machines goes to standard
//!   output, all else to standard error.
//! - [`demo`]: an installation in one process, to be looked at.
//! - [`app`]: the composition root. Puts a server together, runs it, stops it within bounds.
//! - [`http`]: the edge, a file or folder for each transport. A token becomes a [`Viewer`](auth::Viewer), what a client says
//!   a request; what one client may do is bounded there, and what it has open ends with its token.
//! - [`background`]: loops that every server runs, harmless on several at once.
//! - [`graphql`]: the schema. Authorises, calls a capability, wraps what it returns; no SQL and no rules.
//! - [`task`]: enqueue, claim, start, settle, retry, cancel, session, transcript. Rule and statement in one file.
//! - [`agent`], [`runtime`], [`issue`], [`presence`], [`workspace`]: the other nouns.
//! - [`auth`]: whose token it is; who sees which rows, as conditions that every finder takes, and who may change them.
//! - [`event`]: reads the log after a cursor; [`event::hub`] reads it once for all subscribers of a server, and those who
//!   are behind read it with those who are at the same place (`event/catch_up.rs`).
//! - [`doorbell`]: empty wake-ups, within the process and over LISTEN/NOTIFY.
//! - [`group`]: requests of one kind that arrive at the same moment, done in one transaction; the kinds in turns.
//! - [`db`]: connecting, migrating, writing; [`db::Pool`] lends the connection first that was used last, and
//!   [`db::embedded`] is the Postgres that Callboard brings along.
//! - [`error`]: what can go wrong in terms a client can act on, and its one conversion to GraphQL.
//! - [`metrics`]: what a server counts of itself; those that do something count it, [`http`] shows it.
//!
//! Beside this crate: `entity` (rows, ids, closed vocabularies), `migration` (the history of the database), and
//! `callboard-daemon`, which knows `schema.graphql` and nothing of the server. There is no layer of services and none of
//! repositories, and there are no traits of our own: every seam that would need one has one side.
//!
//! # What always holds
//!
//! 1. **Capabilities know neither GraphQL nor HTTP.**
//! 2. **Every statement on behalf of a viewer is bound to what the viewer may see.** Another workspace's row and a missing
//!    row are one answer: `NOT_FOUND`.
//! 3. **Every write on behalf of a claim carries task and claim token in its `WHERE`.** No row means
//!    [`ClaimConflict`](error::Error::ClaimConflict). Repeating a settled write returns the row and emits nothing.
//! 4. **Terminal rows never change status.**
//! 5. **The database's clock decides.** No code compares a stored time with its own now; what depends on now is read with
//!    the database's now in it.
//! 6. **Events come from the database,** in the transaction that made the change. No write path can forget one.
//! 7. **A wake-up carries no data.** Whatever is lost, reading after the cursor finds.
//! 8. **Agents are locked before their tasks,** in the order of their ids, in a statement of its own. It makes capacity and
//!    serialisation exact, and keeps any two verbs from waiting for each other.
//! 9. **No transaction spans an await on anything but the database.**
//! 10. **What has begun to execute is executed to its end,** though nobody waits for the answer any more: dropped while it
//!     begins, a transaction would stay open on a connection of the pool.
//! 11. **Nothing is spawned except on a tracker,** and everything spawned ends when told to.
//! 12. **There are no globals.** Two servers run in one process; the tests do that.
//! 13. **A secret is redacted from the moment it is read.** Claim tokens, custom environments and MCP configurations never
//!     reach events, logs or task reads.
//! 14. **A token that has ended is refused,** whatever is asked for after that is committed; and what is open on behalf of it
//!     ends within a second: sockets and event streams, however idle.
//!
//! # A task from enqueue to completion
//!
//! The host application sends `enqueueTask`. `http/viewer.rs` finds the token's hash and from it the viewer, or recalls them
//! ([`auth::gate`]); `graphql/executor.rs` reads the document, if it has not seen it before;
//! `graphql/task/host.rs` asks [`task::together`], which checks the input. If no enqueue, claim, start, report or end of a
//! task is under way it begins at once, or else, when it is the turn of enqueues, with all that have arrived by then: in one
//! statement `asked_by` sees whether the tokens of all of them hold, and `task_enqueue_together` finds each agent, if the viewer
//! may see it, and inserts the rows. The table's trigger opens the event log for the transaction, which takes a
//! shared advisory lock keyed by the last position drawn, and writes a `queued` event for each at the next positions. The commit
//! makes all visible at once; then each is answered, and the [`doorbell`] is rung.
//!
//! The ring wakes this server's [`hub`](event::hub::Hub) directly, and those of others through one NOTIFY, which the ringer
//! sends for all commits of the last ten milliseconds. Each hub reads a page of the log, in one round trip:
//! `task_event_page` asks for the *horizon*, up to where no transaction can still add an earlier event, and then for the rows
//! up to there. The hub hands them to its subscribers. A front end's `taskEvents`
//! shows the event: where others ask the same and may see the same, one execution makes the bytes that all of them are sent
//! (`graphql/feed/alike.rs`). A daemon's `taskAvailable` for the task's runtime fires.
//!
//! The daemon sends `claimTask`. [`task::claim`] takes back what the runtime was given and did not start, chooses the agent
//! whose next claimable task is the best, locks that agent, looks at the task again under the lock, and dispatches it with a
//! random claim token and a lease; where several daemons ask at once, one statement does so for all of them. If the
//! answer is lost, the daemon repeats the request with the same request id and gets the same claim. `startTask` locks first
//! and decides after: a repetition finds the task running and gets it again. While its command runs the daemon reports
//! progress and messages, and a heartbeat every 15 seconds that says which claims it holds and is told which it has lost.
//!
//! `completeTask` locks the agent, then ends the task where the token still holds it. The trigger writes the event and sets
//! `agent.status`, which depends on the agent's other tasks and is why the agent was locked. The event wakes the runtime
//! again: the task's successor may have waited for just this.
//!
//! # A daemon is killed and comes back
//!
//! Its tasks stay as they are: running ones are running for all that anybody knows, and nobody else may take them, because
//! the claim is the daemon's. When it starts again it registers its runtimes, delivers the settlements that it had written
//! to disk and not seen acknowledged, ends the commands that outlived it, and calls `recoverOrphanedTasks`. [`runtime::recover_orphans`] fails what is left as
//! `runtime_recovery`, and [`task::retry`] puts the next try of each on the board in the same transaction, if somebody
//! waits for it and tries are left. The old try's token holds nothing any more: should some remainder of the old life
//! complete it after all, it finds a terminal row and changes nothing.
//!
//! Had the server been killed instead, the daemon would repeat what was not answered until another answers. Front ends
//! reconnect with the cursor of the last event they saw. Nobody could send a heartbeat meanwhile, so a server that begins
//! concludes nothing from silence until it has listened for as long as a runtime may be silent. Had Postgres been killed,
//! requests would be told `UNAVAILABLE`, subscriptions would wait, and both go on when it is back.

pub mod cli;
pub mod config;
pub mod telemetry;

pub mod demo;

pub mod app;

pub mod background;
pub mod http;

pub mod graphql;

pub mod agent;
pub mod issue;
pub mod presence;
pub mod runtime;
pub mod task;
pub mod workspace;

pub mod auth;

pub mod event;

pub mod doorbell;

pub mod group;

pub mod db;

pub mod limits;
pub mod settings;

pub mod error;

pub mod metrics;
