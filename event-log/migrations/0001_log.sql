-- One row for each partition. The row's lock is what makes appends to a partition one after the other; `epoch` is
-- what fences a writer that was taken over; `end_offset` is where the next append goes.
CREATE TABLE muster_log.partitions (
    partition integer PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 0,
    end_offset bigint NOT NULL DEFAULT 0,
    output_end_offset bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Every version of every schema that was ever written with.
CREATE TABLE muster_log.schemas (
    schema_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    avsc text NOT NULL
);
CREATE UNIQUE INDEX schemas_subject_avsc ON muster_log.schemas (subject, md5(avsc));

-- The events. `value` is the schema registry's wire format: a zero byte, the schema's id, the Avro datum.
CREATE TABLE muster_log.events (
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    project_id uuid,
    position bigint,
    event_type text,
    value bytea NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
CREATE UNIQUE INDEX events_project_position ON muster_log.events (project_id, position);

-- `content` is UTF-8; it is bytes because agents may print what Postgres takes for no text, such as NUL.
CREATE TABLE muster_log.agent_output (
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    project_id uuid NOT NULL,
    task_id uuid NOT NULL,
    run_id uuid NOT NULL,
    line_number bigint NOT NULL,
    timestamp_micros bigint NOT NULL,
    stream text NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
CREATE UNIQUE INDEX agent_output_run_line ON muster_log.agent_output (run_id, line_number);

CREATE TABLE muster_log.dead_letters (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    consumer text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL,
    failed_at_micros bigint NOT NULL,
    event_type text,
    project_id uuid,
    value bytea NOT NULL,
    headers jsonb NOT NULL
);
