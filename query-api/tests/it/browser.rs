//! The pages in a real browser that can reach nothing but this service.

use std::time::Duration;

use muster_domain::command::InjectPrompt;
use muster_domain::model::{Priority, TaskStatus};

use crate::support::{Browser, Server, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_approved_on_the_board_and_the_log_is_live() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let task = world.task("ada", project, "Write the parser", Priority::Urgent).await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/#token=ada", server.url)).await;
    browser.until("document.getElementById('badge').textContent === 'Live'").await;
    assert_eq!(browser.run("location.hash").await, "", "the token does not stay in the address");

    // What happens elsewhere shows without a reload.
    browser.until("!!document.querySelector('[data-status=PLANNING] .card, [data-status=INBOX] .card')").await;
    let (_, run) = world.plan(project).await;
    world.task("ada", project, "<img src=x onerror=document.title='hacked'>", Priority::Low).await;
    let card = format!("document.querySelector('[data-status=PLAN_REVIEW] [data-id=\"{task}\"]')");
    browser.until(&format!("!!{card}")).await;
    browser.until("document.querySelectorAll('.card').length === 2").await;
    browser.run(&format!("{card}.click()")).await;
    browser.until("document.getElementById('detail').textContent.includes('# Plan')").await;

    let odd = "[...document.getElementById('detail').childNodes].some((node) => node.nodeType !== Node.ELEMENT_NODE)";
    assert_eq!(browser.run(odd).await, false, "what a task lacks is not shown");

    browser.press("View logs").await;
    world.output(project, task, run, 1..4).await;
    browser.until("document.querySelectorAll('#logs li').length === 3").await;
    browser.picture("board").await;

    browser.press("Approve").await;
    browser.until("document.getElementById('detail').textContent.includes('approved by ada')").await;
    browser.until(&format!("!!document.querySelector('[data-status=READY] [data-id=\"{task}\"]')")).await;
    muster_test_kit::eventually(Duration::from_secs(30), || async {
        world.task_state(project, task).await.status == TaskStatus::Ready
    })
    .await;
    assert_eq!(browser.run("document.title").await, "Muster", "text is never read as HTML");
    browser.run("moment.value = 1; moment.dispatchEvent(new Event('input'))").await;
    browser.until("document.getElementById('detail').textContent.includes('as of event 1, ')").await;
    browser.run("moment.value = 2; moment.dispatchEvent(new Event('input'))").await;
    browser.until("document.getElementById('changes').textContent.includes('/sequence: 1 → 2')").await;

    // What happens meanwhile shows beside the chosen moment, and does not end it.
    let newest = async |message: &str| {
        let prompt = InjectPrompt { task_id: task, message: message.to_owned() };
        world.send("ada", project, prompt).await;
        let sequence = world.task_state(project, task).await.sequence;
        browser.until(&format!("moment.max === '{sequence}'")).await;
        sequence
    };
    newest("One thing more").await;
    assert_eq!(browser.run("moment.value").await, "2");
    assert_eq!(browser.run("document.getElementById('detail').textContent.includes('as of event 2, ')").await, true);
    assert_eq!(browser.run("changes.textContent.includes('/sequence: 1 → 2') && !changes.hidden").await, true);
    // It ends where it is the newest event again.
    browser.run("moment.value = moment.max; moment.dispatchEvent(new Event('input'))").await;
    let sequence = newest("And another").await;
    assert_eq!(browser.run("moment.value").await, sequence.to_string());
    browser.picture("approved").await;

    server.shutdown.trigger();
    browser.until("document.getElementById('badge').textContent === 'Reconnecting'").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_playground_queries_and_subscribes_without_a_network() {
    let world = World::new().await;
    let server = Server::start(&world).await;
    let project = world.project("ada").await;
    let browser = Browser::start().await;
    browser.open(&format!("{}/graphiql#token=ada", server.url)).await;
    browser.until("!!document.querySelector('.graphiql-execute-button')").await;
    browser.run("document.querySelector('.graphiql-execute-button').click()").await;
    browser.until("(document.querySelector('.result-window')?.innerText ?? '').includes('Project of ada')").await;
    browser.picture("graphiql").await;

    let subscription = format!("subscription {{ events(projectId: \"{project}\", after: 0) {{ position type }} }}");
    let set =
        format!("document.querySelector('.graphiql-query-editor .CodeMirror').CodeMirror.setValue({subscription:?})");
    browser.run(&set).await;
    browser.run("document.querySelector('.graphiql-execute-button').click()").await;
    browser.until("(document.querySelector('.result-window')?.innerText ?? '').includes('project.created')").await;
    world.task("ada", project, "New", Priority::Low).await;
    browser.until("document.querySelector('.result-window').innerText.includes('task.')").await;
    browser.picture("subscription").await;
}
