-- Analytics by SQL: how projects fare, where time and money go. Views over the read model, so a rebuild makes them anew.

-- How many cards there are and how they ended. completion_rate is done / (done + failed + cancelled); null before the first end.
create view analytics_completion as
select
    project_id,
    count(*)                                          as tasks,
    count(*) filter (where status = 'done')           as done,
    count(*) filter (where status = 'failed')         as failed,
    count(*) filter (where status = 'cancelled')      as cancelled,
    count(*) filter (where finished_at is null)       as open,
    count(*) filter (where status = 'done')::float8
        / nullif(count(*) filter (where finished_at is not null), 0) as completion_rate
from tasks
group by project_id;

-- Each stay of a card in a column. left_at and duration_ms are null while it is there.
create view analytics_status_time as
with entered as (
    select project_id, task_id, sequence, event_at,
           case event_type when 'task.created' then 'inbox' else data ->> 'new_status' end as status
    from event_history
    where event_type in ('task.created', 'task.status_changed') and task_id is not null
), stays as (
    select *, lead(event_at) over (partition by task_id order by sequence) as left_at from entered
)
select project_id, task_id, status, event_at as entered_at, left_at,
       (extract(epoch from left_at - event_at) * 1000)::bigint as duration_ms
from stays;

-- What went wrong, by kind of error and by the event that says so.
create view analytics_errors as
select
    project_id,
    data #>> '{error,kind}' as kind,
    event_type,
    count(*)                as errors,
    count(distinct task_id) as tasks,
    max(event_at)           as last_at
from event_history
where event_type in ('run.complete', 'run.failed', 'agent.failed', 'task.failed', 'error.occurred')
  and data #>> '{error,kind}' is not null
group by project_id, data #>> '{error,kind}', event_type;

-- What each role did and cost. Tokens and dollars are those that are known: runs_without_cost says how many runs told none.
create view analytics_cost_by_role as
select
    project_id,
    role,
    count(*)                                      as runs,
    count(*) filter (where status = 'succeeded')  as succeeded,
    count(*) filter (where status = 'failed')     as failed,
    sum(total_tokens)::bigint                     as total_tokens,
    sum(cost_usd)                                 as cost_usd,
    count(*) filter (where cost_usd is null)      as runs_without_cost,
    sum(duration_ms)::bigint                      as duration_ms
from runs
group by project_id, role;
