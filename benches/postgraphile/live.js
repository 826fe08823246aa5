// What users of PostGraphile write to show events live: a field that listens for what a trigger tells (live.sql). The task
// is read for each subscriber, as PostGraphile's documentation has it, or was told with the event.

import { jsonParse } from "postgraphile/@dataplan/json";
import { context, lambda, listen } from "postgraphile/grafast";
import { extendSchema } from "postgraphile/utils";

const typeDefs = /* GraphQL */ `
  extend type Subscription {
    taskEvents(workspaceId: UUID!): TaskEventTold
  }

  type TaskEventTold {
    cursor: String!
    kind: String!
    at: String!
    fromStatus: String
    toStatus: String
    task: AgentTaskQueue
    told: TaskTold
  }

  type TaskTold {
    rowId: UUID!
    agentId: UUID!
    status: String!
    priority: Int!
    createdAt: String!
    triggerSummary: String
  }
`;

export const taskEvents = extendSchema((build) => {
  const tasks = build.input.pgRegistry.pgResources.agent_task_queue;
  return {
    typeDefs,
    objects: {
      Subscription: {
        plans: {
          taskEvents: {
            subscribePlan(_root, { $workspaceId }) {
              const topic = lambda($workspaceId, (id) => `taskEvents:${id}`);
              return listen(context().get("pgSubscriber"), topic, jsonParse);
            },
            plan: (event) => event,
          },
        },
      },
      TaskEventTold: {
        plans: {
          task: (event) => tasks.get({ id: event.get("taskId") }),
        },
      },
    },
  };
});
