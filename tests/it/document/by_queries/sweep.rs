//! The sweep, as the service around the queries sweeps.

use super::super::difference::Difference;
use super::super::side::{Answer, Said};
use super::super::statement::{Argument, Row, some};
use super::ByQueries;

impl ByQueries<'_> {
    /// Silent runtimes go off line, what was left on lost ones fails, then what takes too long, then what waited too long.
    pub(super) async fn sweep(&mut self) -> Answer {
        let silenced = self
            .plain(
                "update agent_runtime set status = 'offline'
                 where status = 'online' and last_seen_at < now() - interval '150 s' returning id",
            )
            .await;
        let lost = self
            .plain(
                "update agent_task_queue as task
                 set status = 'failed', completed_at = now(), failure_reason = 'runtime_offline',
                     error = 'the runtime went offline while the task was in flight'
                 from agent_runtime as runtime
                 where runtime.id = task.runtime_id and task.status in ('dispatched', 'running')
                     and runtime.status = 'offline' and runtime.last_seen_at < now() - interval '7350 s'
                 returning task.*",
            )
            .await;
        for task in &lost {
            self.after_failure(task).await;
        }
        let timed_out = self.time_out().await;
        let expired = self.expire().await;
        let requeued = self
            .would("RequeueExpiredClaimLeases", &[some(150), some(50)])
            .await
            .unwrap();
        if !requeued.is_empty() {
            self.note(Difference::LeasesAreTakenBackByTheirRuntime);
        }
        let counts = [silenced.len(), lost.len(), timed_out, expired];
        Some(vec![Said::Text(format!("{counts:?}"))])
    }

    async fn time_out(&mut self) -> usize {
        let given = [some(300), some(9000)];
        let spared = "task.status = 'running' and runtime.last_seen_at >= now() - interval '150 s'";
        let failed = self
            .sparing(
                "FailStaleTasks",
                &given,
                Difference::LongRunsAreSpared,
                ("started_at", spared),
            )
            .await;
        for task in &failed {
            self.after_failure(task).await;
        }
        failed.len()
    }

    async fn expire(&mut self) -> usize {
        let given = [some(7200), some(500)];
        let spared = "task.status = 'queued' and runtime.status = 'online' and exists (
                select from agent_task_queue as active
                where active.agent_id = task.agent_id and active.status in ('dispatched', 'running'))";
        let failed = self
            .sparing(
                "ExpireStaleQueuedTasks",
                &given,
                Difference::TheBusyAreSpared,
                ("created_at", spared),
            )
            .await;
        failed.len()
    }

    /// Runs a query that fails tasks, with those that are spared hidden from it: their time is moved on meanwhile.
    async fn sparing(
        &mut self,
        query: &str,
        given: &[Argument],
        difference: Difference,
        (column, spared): (&str, &str),
    ) -> Vec<Row> {
        if !self.is_callboard() {
            return self.run(query, given).await;
        }
        let would = self.would(query, given).await.unwrap();
        let move_by = |sign: char, condition: &str| {
            format!(
                "update agent_task_queue as task set {column} = task.{column} {sign} interval '1000 days'
                 from agent_runtime as runtime where runtime.id = task.runtime_id and {condition} returning task.id"
            )
        };
        let hidden = self.plain(&move_by('+', spared)).await;
        let failed = self.run(query, given).await;
        let ids: Vec<String> = hidden
            .iter()
            .map(|row| format!("'{}'", row.id("id")))
            .collect();
        if !ids.is_empty() {
            self.plain(&move_by('-', &format!("task.id in ({})", ids.join(", "))))
                .await;
        }
        if would.len() > failed.len() {
            self.note(difference);
        }
        failed
    }
}
