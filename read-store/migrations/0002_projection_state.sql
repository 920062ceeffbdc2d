-- Where the projections stand. Beside the read model, not part of it: a rebuild starts these anew.

create table projection_offsets (
    projection  text not null,
    version     integer not null,
    partition   integer not null,
    next_offset bigint not null,              -- the first log offset that is not applied; never moves back
    attempts    integer not null default 0,   -- starts at this offset that have not moved it yet
    primary key (projection, partition)
);

create table output_offsets (
    projection  text not null,
    partition   integer not null,
    next_offset bigint not null,
    primary key (projection, partition)
);

-- Records that could not be read or applied.
create table dead_letters (
    dead_letter_id bigint generated always as identity primary key,
    projection     text not null,
    partition      integer not null,
    log_offset     bigint not null,
    project_id     uuid,                      -- null where not even that could be read
    task_id        uuid,
    event_type     text,
    error          text not null,
    raw            bytea not null,            -- the record's value as the log holds it
    headers        jsonb not null,
    attempts       integer not null,          -- times it was tried
    state          text not null,             -- parked | retrying | retried | discarding | discarded
    parked_at      timestamptz not null default now(),
    updated_at     timestamptz not null default now(),
    unique (projection, partition, log_offset)
);
create index dead_letters_by_project on dead_letters (project_id, state);

-- Projects whose later events wait behind a dead letter, for one projection only.
create table parked_projects (
    projection     text not null,
    project_id     uuid not null,
    partition      integer not null,
    from_offset    bigint not null,           -- the first record of the project that is not applied
    dead_letter_id bigint not null references dead_letters,
    parked_at      timestamptz not null default now(),
    primary key (projection, project_id)
);
