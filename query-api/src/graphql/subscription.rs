//! What can be followed. Every stream resumes where a client left off, and none is held up by another.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::{Context, ID, Subscription as GraphqlSubscription};
use futures::stream::{self, Stream, StreamExt};
use muster_domain::id::{ProjectId, RunId, TaskId};
use muster_read_store::query::InProject;
use muster_read_store::{ReadStore, query};

use super::context::{caller, id, maybe_id, services};
use super::event::Event;
use super::run::OutputLine;
use super::task::Task;
use crate::fault::Result;
use crate::follow::{Follow, FollowOutput};

/// Subscriptions.
pub struct Subscription;

#[GraphqlSubscription]
impl Subscription {
    /// Every event of a project, once and in order: those behind `after` first, then live. Without `after`, from now on.
    async fn events(
        &self,
        ctx: &Context<'_>,
        project_id: ID,
        #[graphql(desc = "A position; 0 for the whole history.")] after: Option<u64>,
        #[graphql(desc = "Only events of this task. Positions of the others are passed over.")] task_id: Option<ID>,
    ) -> Result<impl Stream<Item = Result<Event>> + use<>> {
        let only: Option<TaskId> = maybe_id("taskId", task_id.as_ref())?;
        let mut follow = follow(ctx, id("projectId", &project_id)?, after).await?;
        if let Some(task_id) = only {
            follow = follow.only(services(ctx)?.store.clone(), task_id).await?;
        }
        let store =
            ctx.look_ahead().field("task").exists().then(|| services(ctx).map(|services| services.store.clone()));
        let store = store.transpose()?;
        let batches = batches(follow).then(move |batch| told(store.clone(), batch));
        until_stop(ctx, batches.flat_map(stream::iter))
    }

    /// A task of the project as it is after each change, from now on; several changes at once are told as one.
    async fn task_changed(
        &self,
        ctx: &Context<'_>,
        project_id: ID,
        #[graphql(desc = "Tasks that changed behind this position first.")] after: Option<u64>,
    ) -> Result<impl Stream<Item = Result<Task>> + use<>> {
        let follow = follow(ctx, id("projectId", &project_id)?, after).await?;
        let store = services(ctx)?.store.clone();
        let batches = batches(follow).then(move |batch| changed(store.clone(), batch));
        until_stop(ctx, batches.flat_map(stream::iter))
    }

    /// Lines that a run's agent writes, once and in order: those behind line `after` first, then live. Without `after`,
    /// from the first.
    async fn agent_output(
        &self,
        ctx: &Context<'_>,
        run_id: ID,
        #[graphql(desc = "A line number.")] after: Option<u64>,
    ) -> Result<impl Stream<Item = Result<OutputLine>> + use<>> {
        let services = services(ctx)?;
        let run_id: RunId = id("runId", &run_id)?;
        let caller = caller(ctx)?;
        let run = services.access.require_run(caller, run_id, None).await?;
        let (access, live, project_id) = (&services.access, &services.live, ProjectId(run.project_id));
        let after = after.unwrap_or(0);
        access.reach_line(project_id, run_id, after).await?;
        let follow = FollowOutput::run(access, live, caller, project_id, run_id, after);
        let lines = stream::unfold(Some(follow), |follow| async move {
            let mut follow = follow?;
            match follow.next().await {
                Ok(lines) => Some((lines.into_iter().map(|line| Ok(line.into())).collect(), Some(follow))),
                Err(fault) => Some((vec![Err(fault)], None)),
            }
        });
        until_stop(ctx, lines.flat_map(stream::iter))
    }
}

async fn follow(ctx: &Context<'_>, project_id: ProjectId, after: Option<u64>) -> Result<Follow> {
    let services = services(ctx)?;
    let caller = caller(ctx)?;
    services.access.require(caller, project_id, None).await?;
    Follow::project(&services.access, &services.live, caller, project_id, after).await
}

type Batch = Vec<Arc<query::Event>>;

/// The batches of events; ends after an error.
fn batches(follow: Follow) -> impl Stream<Item = Result<Batch>> {
    stream::unfold(Some(follow), |follow| async move {
        let mut follow = follow?;
        match follow.next().await {
            Ok(events) => Some((Ok(events), Some(follow))),
            Err(fault) => Some((Err(fault), None)),
        }
    })
}

/// The events of a batch, with their tasks where there is a store to read them from.
async fn told(store: Option<ReadStore>, batch: Result<Batch>) -> Vec<Result<Event>> {
    let events = match (batch, store) {
        (Ok(events), Some(store)) => Event::with_tasks(&store, events).await,
        (Ok(events), None) => Ok(events.into_iter().map(Event::from).collect()),
        (Err(fault), _) => Err(fault),
    };
    match events {
        Ok(events) => events.into_iter().map(Ok).collect(),
        Err(fault) => vec![Err(fault)],
    }
}

/// The tasks of a batch as they are now, in the order of their last change in it.
async fn changed(store: ReadStore, batch: Result<Batch>) -> Vec<Result<Task>> {
    let events = match batch {
        Ok(events) => events,
        Err(fault) => return vec![Err(fault)],
    };
    let mut order: Vec<InProject> = Vec::new();
    for event in events.iter().rev() {
        let task = event.task_id.map(|id| InProject { project_id: event.project_id, id });
        order.extend(task.filter(|task| !order.contains(task)));
    }
    order.reverse();
    match store.tasks_in(&order).await {
        Ok(rows) => {
            let mut rows: HashMap<_, _> = rows.into_iter().map(|row| (row.task_id, row)).collect();
            order.iter().filter_map(|task| rows.remove(&task.id)).map(|row| Ok(row.into())).collect()
        }
        Err(error) => vec![Err(error.into())],
    }
}

/// Ends the stream when the service stops.
fn until_stop<S: Stream>(ctx: &Context<'_>, stream: S) -> Result<impl Stream<Item = S::Item> + use<S>> {
    let stop = services(ctx)?.shutdown.token().cancelled_owned();
    Ok(stream.take_until(stop))
}
