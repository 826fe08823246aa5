//! Reading what is answered, in the board's terms.

use entity::id::{AgentId, RuntimeId, TaskId};
use sea_orm::ActiveEnum;
use serde_json::{Value, json};

use super::answer::{Answer, Given};
use super::case::{Case, Reply, number};
use super::verb::{AgentVerb, BoardVerb, ClaimVerb, RuntimeVerb, Verb};
use crate::harness::uuid;

/// What was read, or in words what is not as it has to be.
pub(super) type Read<T> = Result<T, String>;

impl Case<'_> {
    /// What was replied, in the board's terms. Learns the tokens that were given out.
    pub(super) fn read(&mut self, verb: &Verb, reply: Reply) -> Read<Answer> {
        let value = match reply {
            Reply::Other(answer) => return Ok(answer),
            Reply::Mutation(Err(code)) => return Ok(Answer::Refused(code)),
            Reply::Mutation(Ok(value)) => value,
        };
        Ok(match verb {
            Verb::Board(verb) => self.read_board(*verb, &value)?,
            Verb::Agent(AgentVerb::ArchiveByRuntime { .. }) => {
                let agents = list(&value).iter().map(|agent| AgentId(uuid(&agent["id"])));
                let known = agents.map(|agent| number(&agent, &self.ids.agents));
                Answer::Agents(
                    known
                        .collect::<Option<_>>()
                        .ok_or(format!("nobody's agents: {value}"))?,
                )
            }
            Verb::Runtime(verb) => self.read_runtime(verb, &value)?,
            Verb::Claim(ClaimVerb::Fail { .. }) => {
                let retry = &value["retry"];
                let retry = (!retry.is_null()).then(|| self.task(retry)).transpose()?;
                Answer::Failed {
                    task: self.task(&value["task"])?,
                    retry,
                }
            }
            Verb::Claim(_) => Answer::Task(self.task(&value)?),
            Verb::Agent(_) | Verb::Time(_) => Answer::Done,
        })
    }

    fn read_board(&self, verb: BoardVerb, value: &Value) -> Read<Answer> {
        Ok(match verb {
            BoardVerb::Enqueue(_) | BoardVerb::QuickCreate { .. } | BoardVerb::Rerun { .. } => {
                Answer::Enqueued {
                    task: self.task(&value["task"])?,
                    deduplicated: value["deduplicated"] == true,
                }
            }
            BoardVerb::Link { .. } | BoardVerb::Retry | BoardVerb::Cancel => {
                Answer::Task(self.task(value)?)
            }
            BoardVerb::CancelByIssue { .. }
            | BoardVerb::CancelByAgent { .. }
            | BoardVerb::CancelByComment { .. }
            | BoardVerb::CancelByChat { .. } => Answer::Tasks(self.tasks(value)?),
        })
    }

    fn read_runtime(&mut self, verb: &RuntimeVerb, value: &Value) -> Read<Answer> {
        Ok(match verb {
            RuntimeVerb::Register { .. } => {
                let id = RuntimeId(uuid(&value["id"]));
                if !self.ids.runtimes.contains(&id) {
                    self.ids.runtimes.push(id);
                }
                Answer::Done
            }
            RuntimeVerb::Deregister { .. } => Answer::Done,
            RuntimeVerb::Heartbeat { .. } => {
                Answer::Lost(self.tasks(&value["lost"])?.into_iter().collect())
            }
            RuntimeVerb::Recover { .. } => Answer::Recovered {
                failed: self.tasks(&value["failed"])?.into_iter().collect(),
                retried: self.tasks(&value["retried"])?.into_iter().collect(),
            },
            RuntimeVerb::Claim { .. } if value.is_null() => Answer::Claims(Vec::new()),
            RuntimeVerb::Claim { .. } => Answer::Claims(vec![self.given(value)?]),
            RuntimeVerb::ClaimMany { .. } => Answer::Claims(
                list(value)
                    .iter()
                    .map(|claim| self.given(claim))
                    .collect::<Read<_>>()?,
            ),
        })
    }

    /// The number of a task, if it is said to be as it has to be.
    fn task(&self, value: &Value) -> Read<usize> {
        let no = number(&TaskId(uuid(&value["id"])), &self.ids.tasks)
            .ok_or(format!("nobody's task: {value}"))?;
        let task = &self.board.tasks[no];
        let said = json!([
            value["status"],
            value["attempt"],
            value["priority"],
            value["failureReason"],
            value["sessionId"]
        ]);
        let status = task.status.to_value().to_uppercase();
        let expected = json!([
            status,
            task.attempt,
            task.priority,
            task.failure_reason,
            task.session
        ]);
        if said == expected {
            Ok(no)
        } else {
            Err(format!(
                "of task {no} it is said: {said}, instead of {expected}"
            ))
        }
    }

    fn tasks(&self, value: &Value) -> Read<Vec<usize>> {
        list(value).iter().map(|task| self.task(task)).collect()
    }

    fn given(&mut self, claim: &Value) -> Read<Given> {
        let token = uuid(&claim["claimToken"]);
        if !self.ids.tokens.contains(&token) {
            self.ids.tokens.push(token);
        }
        let task = self.task(&claim["task"])?;
        let resume = claim["resume"].as_object().map(|resume| {
            (
                resume["sessionId"].as_str().unwrap().to_owned(),
                resume["workDir"].as_str().map(str::to_owned),
            )
        });
        Ok(Given {
            task,
            token: number(&token, &self.ids.tokens).unwrap(),
            resume,
        })
    }
}

/// The elements of a list; of none, none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
