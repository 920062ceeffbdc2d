//! The GraphQL documents. Data only.

pub const PROJECTS: &str = "query Projects {
  projects { id name repositoryPath defaultBranch owner settings position }
}";

pub const PROJECT_AT: &str = "query ProjectAt($id: ID!, $minPosition: Int) {
  project(id: $id, minPosition: $minPosition) { position }
}";

pub const TASKS: &str = "query Tasks($projectId: ID!, $filter: TaskFilter, $first: Int, $after: String) {
  tasks(projectId: $projectId, filter: $filter, first: $first, after: $after) {
    nodes { id projectId title status priority complexity sequence createdAt updatedAt }
    pageInfo { hasNextPage endCursor }
  }
}";

pub const TASK: &str = "query Task($id: ID!, $minPosition: Int) {
  task(id: $id, minPosition: $minPosition) {
    id projectId title status priority complexity sequence createdAt updatedAt
  }
}";

pub const HISTORY: &str = "query History($taskId: ID!, $first: Int, $after: Int) {
  eventHistory(taskId: $taskId, first: $first, after: $after) {
    nodes {
      id type timestamp projectId taskId sequence position source actor commandId causationId correlationId data
    }
    hasNextPage
    endSequence
  }
}";

pub const RUNS: &str = "query Runs($projectId: ID!, $first: Int, $after: String) {
  runs(projectId: $projectId, first: $first, after: $after) {
    nodes { id taskId role status }
    pageInfo { hasNextPage endCursor }
  }
}";

pub const RUN: &str = "query Run($id: ID!) {
  run(id: $id) { id taskId role status }
}";

pub const OUTPUT: &str = "query Output($runId: ID!, $first: Int, $after: Int) {
  agentOutput(runId: $runId, first: $first, after: $after) {
    nodes { lineNumber writtenAt stream content }
  }
}";
