-- The read model: what the queries see. Everything here can be thrown away and rebuilt from the log.
-- Names are unqualified on purpose: the connection's search_path says which schema is meant, so that a rebuild
-- can fill a second schema beside the live one. No column takes its value from a clock or a counter of the
-- database: two builds from the same log are byte-equal. Tables whose rows change often keep room on each page, so that
-- a change of no indexed column writes no index.

-- How far each project is applied. A row exists from the project's first event on.
create table project_positions (
    project_id uuid primary key,
    position   bigint not null,   -- last applied position
    audit_hash bytea  not null,   -- end of the project's audit chain
    event_at   timestamptz not null -- when the last applied event happened
) with (fillfactor = 50);

create table projects (
    project_id      uuid primary key,
    name            text not null,
    repository_path text not null,
    default_branch  text not null,
    owner           text not null,
    settings        jsonb not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null
);

create table project_members (
    project_id uuid not null,
    user_id    text not null,
    role       text not null,     -- owner | operator | viewer
    added_at   timestamptz not null,
    primary key (project_id, user_id)
);
create index project_members_by_user on project_members (user_id, project_id);

create table tasks (
    task_id             uuid primary key,
    project_id          uuid not null,
    title               text not null,
    description         text not null,
    acceptance_criteria jsonb not null,   -- [{text, check}]
    priority            text not null,    -- low | medium | high | urgent
    priority_rank       smallint not null, -- 0 | 1 | 2 | 3
    complexity          text not null,    -- xs | s | m | l | xl
    status              text not null,    -- inbox | planning | plan_review | ready | in_flight | review | done | blocked | failed | cancelled
    status_reason       text,
    status_changed_at   timestamptz not null,
    created_by          text not null,
    interactive         boolean not null,
    created_at          timestamptz not null,
    updated_at          timestamptz not null,
    dispatched_at       timestamptz,
    started_at          timestamptz,
    finished_at         timestamptz,
    sequence            bigint not null,  -- of its last event
    position            bigint not null,  -- of its last event
    dispatched          boolean not null,
    plan                text,             -- Markdown
    plan_chunks         jsonb not null,   -- [{subtask_id, title, description, depends_on}]
    plan_digest         text,
    plan_state          text,             -- ready | approved | rejected; null before the first plan
    plan_run_id         uuid,
    plan_decided_by     text,
    plan_reject_reason  text,
    estimated_cost_usd  double precision,
    current_run_id      uuid,             -- the run claimed last, while its lease lives
    assigned_session_id uuid,             -- that run's session
    subtask_count       integer not null,
    review_rounds       integer not null, -- times a reviewer wanted changes since the last retry
    retry_count         integer not null, -- times a person asked for another try
    progress_message    text,
    progress_percent    smallint,
    evidence            jsonb not null,   -- [{criterion_index, run_id, check, detail}]
    error               jsonb,            -- {kind, message, exit_code, log_excerpt}
    branch              text,
    merge_commit        text,
    pr_url              text,
    input_tokens        bigint,           -- of all its runs; null when unknown, which is not zero
    output_tokens       bigint,
    total_tokens        bigint,
    cost_usd            double precision
) with (fillfactor = 80);
create index tasks_board       on tasks (project_id, status, priority_rank desc, created_at, task_id);
create index tasks_by_rank     on tasks (project_id, priority_rank desc, created_at, task_id);
create index tasks_by_created  on tasks (project_id, created_at, task_id);
-- No index on updated_at: every event of a task changes it, and would then write every index of the table.

create table task_dependencies (
    task_id    uuid not null,
    blocked_by uuid not null,
    project_id uuid not null,
    primary key (task_id, blocked_by)
);
create index task_dependencies_blocks on task_dependencies (blocked_by, task_id);

create table subtasks (
    subtask_id  uuid primary key,
    project_id  uuid not null,
    task_id     uuid not null,
    ordinal     integer not null,         -- place in its task, from 0
    title       text not null,
    description text not null,
    depends_on  uuid[] not null,
    status      text not null,            -- blocked | ready | in_progress | completed | failed | merged
    run_id      uuid,                     -- the last run that worked on it
    commit      text,
    created_at  timestamptz not null,
    updated_at  timestamptz not null
);
create index subtasks_by_task on subtasks (task_id, ordinal, subtask_id);

create table runs (
    run_id            uuid primary key,
    project_id        uuid not null,
    task_id           uuid not null,
    subtask_id        uuid,
    role              text not null,
    status            text not null,      -- queued | running | succeeded | failed
    session_id        uuid,
    fencing_token     bigint,
    attempt           integer not null,   -- from 1
    lease_live        boolean not null,   -- granted and not yet released
    lease_expires_at  timestamptz,
    release_reason    text,               -- finished | failed | lease_expired | cancelled | shutdown
    iteration         integer not null,   -- the last one that started; 0 before the first
    max_iterations    integer,
    harness_config    jsonb,
    branch            text,
    workspace_path    text,
    workspace_live    boolean not null,
    base_commit       text,
    pid               bigint,
    progress_message  text,
    progress_percent  smallint,
    input_tokens      bigint,             -- null when unknown, which is not zero
    output_tokens     bigint,
    total_tokens      bigint,
    cost_usd          double precision,
    duration_ms       bigint,
    pr_url            text,
    error             jsonb,
    will_retry        boolean,
    queued_at         timestamptz not null,
    started_at        timestamptz,
    ended_at          timestamptz,
    updated_at        timestamptz not null
) with (fillfactor = 80);
create index runs_by_task    on runs (task_id, queued_at, run_id);
create index runs_by_subtask on runs (subtask_id, queued_at, run_id) where subtask_id is not null;
create index runs_active     on runs (project_id, queued_at, run_id) where status in ('queued', 'running');
create index runs_by_project on runs (project_id, queued_at, run_id);

create table iterations (
    run_id                  uuid not null,
    iteration               integer not null, -- from 1
    project_id              uuid not null,
    task_id                 uuid not null,
    feedback                text,
    started_at              timestamptz not null,
    agent_started_at        timestamptz,
    agent_command           text,
    agent_success           boolean,
    agent_result            jsonb,        -- {success, summary, exit_code, stop_reason, duration_ms, tokens, cost_usd, model}
    agent_error             jsonb,
    result_file             text,
    verification_started_at timestamptz,
    verification_passed     boolean,
    verification_report     jsonb,        -- {passed, checks, commit, duration_ms}
    report_file             text,
    decision                jsonb,        -- {action, reason, feedback}
    duration_ms             bigint,
    ended_at                timestamptz,
    primary key (run_id, iteration)
);

create table sessions (
    session_id       uuid primary key,
    project_id       uuid not null,
    session_key      text not null,
    status           text not null,       -- idle | working | blocked | completed | failed
    workspace_dir    text not null,
    data_dir         text not null,
    current_task_id  uuid,
    current_run_id   uuid,
    started_at       timestamptz not null,
    last_activity_at timestamptz not null,
    tokens_used      bigint not null
) with (fillfactor = 70);
create index sessions_by_project on sessions (project_id, started_at, session_id);

create table artifacts (
    artifact_id uuid primary key,
    project_id  uuid not null,
    task_id     uuid not null,
    run_id      uuid,
    kind        text not null,            -- file | pr | document | link
    path        text not null,
    description text not null,
    size_bytes  bigint,
    sha256      text,
    added_at    timestamptz not null
);
create index artifacts_by_task on artifacts (task_id, added_at, artifact_id);

create table questions (
    question_id uuid primary key,
    project_id  uuid not null,
    task_id     uuid not null,
    run_id      uuid,
    question    text not null,
    options     jsonb not null,           -- [text]
    asked_at    timestamptz not null,
    answer      text,
    answered_by text,
    answered_at timestamptz
);
create index questions_by_task on questions (task_id, asked_at, question_id);
create index questions_open on questions (project_id, asked_at, question_id) where answered_at is null;

-- Restorable points of workspaces.
create table workspace_snapshots (
    snapshot_id      uuid primary key,
    project_id       uuid not null,
    task_id          uuid not null,
    run_id           uuid not null,
    iteration        integer not null,
    commit           text not null,
    created_at       timestamptz not null,
    last_restored_at timestamptz
);
create index workspace_snapshots_by_run on workspace_snapshots (run_id, created_at);

-- What a run's commits did to files; the last report for a path wins.
create table file_changes (
    run_id        uuid not null,
    path          text not null,
    project_id    uuid not null,
    task_id       uuid not null,
    change        text not null,          -- added | modified | deleted | renamed
    lines_added   integer not null,
    lines_removed integer not null,
    changed_at    timestamptz not null,
    primary key (run_id, path)
);
create index file_changes_by_task on file_changes (task_id, path);

-- Every event, for time travel, replay, the audit trail and resume.
create table event_history (
    project_id     uuid not null,
    position       bigint not null,
    task_id        uuid,
    sequence       bigint not null,       -- 0 where there is no task
    event_id       uuid not null,
    event_type     text not null,
    event_at       timestamptz not null,
    source         text not null,
    actor          text not null,
    command_id     uuid not null,
    command_digest text,
    causation_id   uuid,
    correlation_id uuid not null,
    data           jsonb not null,
    audit_hash     bytea not null,        -- SHA-256 of the hash before it and this event's canonical bytes
    primary key (project_id, position)
);
create unique index event_history_by_task on event_history (task_id, sequence) where task_id is not null;

-- Lines that agents wrote.
create table agent_output (
    run_id      uuid not null,
    line_number bigint not null,          -- from 1, gapless per run
    project_id  uuid not null,
    task_id     uuid not null,
    written_at  timestamptz not null,
    stream      text not null,            -- stdout | stderr | agent | system
    content     text not null,
    primary key (run_id, line_number)
);
create index agent_output_age on agent_output using brin (written_at);
