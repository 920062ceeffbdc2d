-- An id belongs to its project. Whoever makes a task, a session or a question may choose its id, so two projects may have the
-- same, and partitions are projected in no common order: which came first is nobody's to say. So no id alone is a key:
-- what one project does never meets a row of another. Artifacts, questions and snapshots are those of their task.

alter table tasks               drop constraint tasks_pkey,               add primary key (task_id, project_id);
alter table task_dependencies   drop constraint task_dependencies_pkey,   add primary key (task_id, project_id, blocked_by);
alter table subtasks            drop constraint subtasks_pkey,            add primary key (subtask_id, project_id);
alter table runs                drop constraint runs_pkey,                add primary key (run_id, project_id);
alter table iterations          drop constraint iterations_pkey,          add primary key (run_id, project_id, iteration);
alter table sessions            drop constraint sessions_pkey,            add primary key (session_id, project_id);
alter table artifacts           drop constraint artifacts_pkey,           add primary key (artifact_id, project_id, task_id);
alter table questions           drop constraint questions_pkey,           add primary key (question_id, project_id, task_id);
alter table workspace_snapshots drop constraint workspace_snapshots_pkey, add primary key (snapshot_id, project_id, task_id);
alter table file_changes        drop constraint file_changes_pkey,        add primary key (run_id, project_id, path);
alter table agent_output        drop constraint agent_output_pkey,        add primary key (run_id, project_id, line_number);

drop index event_history_by_task;
create unique index event_history_by_task on event_history (task_id, project_id, sequence) where task_id is not null;

create or replace view analytics_status_time as
with entered as (
    select project_id, task_id, sequence, event_at,
           case event_type when 'task.created' then 'inbox' else data ->> 'new_status' end as status
    from event_history
    where event_type in ('task.created', 'task.status_changed') and task_id is not null
), stays as (
    select *, lead(event_at) over (partition by project_id, task_id order by sequence) as left_at from entered
)
select project_id, task_id, status, event_at as entered_at, left_at,
       (extract(epoch from left_at - event_at) * 1000)::bigint as duration_ms
from stays;
