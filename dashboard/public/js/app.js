// Puts the page together: which project is shown, how it is kept up to date, and what the buttons do.
"use strict";

import { Live, Refusal, command, query, token } from "./api.js";
import { Board, CARD } from "./board.js";
import { Detail } from "./detail.js";
import { byId, element } from "./dom.js";
import { Logs } from "./logs.js";

const PROJECTS = "{ projects { id name } }";
const TASKS = `query($id: ID!, $after: String) { project(id: $id) { position } tasks(projectId: $id, first: 200, after: $after) {
  nodes { ${CARD} } pageInfo { hasNextPage endCursor } } }`;
const EVENTS = `subscription($id: ID!, $after: Int!) { events(projectId: $id, after: $after) { position type task { ${CARD} } } }`;
const POLL_EVERY_MS = 5_000;

let live = null;
let project = null;
let position = 0;
let unsubscribe = () => {};
let polling = null;

const logs = new Logs(byId("logs"));
const detail = new Detail(byId("detail"), {
  close: () => board.mark(null),
  logs: (run) => logs.open(live, run),
  failed: show,
});
const board = new Board(byId("board"), {
  open: (id) => { board.mark(id); detail.open(id); },
  move: (id, status) => command("moveTask", "MoveTaskInput", { taskId: id, status }).catch(show),
});

let hiding = null;
function show(error) {
  const notice = byId("notice");
  notice.textContent = error.message;
  notice.hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { notice.hidden = true; }, 8_000);
  if (error instanceof Refusal && error.code === "UNAUTHENTICATED") askForToken();
}

function badge(connected) {
  const place = byId("badge");
  place.hidden = false;
  place.textContent = connected ? "Live" : "Reconnecting";
  place.classList.toggle("live", connected);
  // Polling only while there is no connection.
  clearInterval(polling);
  polling = connected ? null : setInterval(() => project && load().catch(() => {}), POLL_EVERY_MS);
}

/** Reads every card. Returns the position from which events go on. */
async function load() {
  const id = project;
  let after = null;
  let from = null;
  do {
    const page = await query(TASKS, { id, after });
    if (id !== project) return null;
    // The position is read before the cards: an event in between is told again, which changes nothing.
    from ??= page.project?.position ?? 0;
    page.tasks.nodes.forEach((task) => board.put(task));
    after = page.tasks.pageInfo.hasNextPage ? page.tasks.pageInfo.endCursor : null;
  } while (after);
  return from;
}

async function openProject(id) {
  unsubscribe();
  logs.close();
  detail.close();
  board.clear();
  project = id;
  byId("new-task").hidden = !id;
  if (!id) return;
  localStorage.setItem("muster.project", id);
  const from = await load();
  if (from === null) return;
  position = from;
  let refreshing = null;
  unsubscribe = live.subscribe(EVENTS, () => ({ id, after: position }), ({ events }) => {
    position = events.position;
    if (events.task) board.put(events.task);
    if (events.task?.id === detail.id) {
      clearTimeout(refreshing);
      refreshing = setTimeout(() => detail.refresh(), 100);
    }
  }, show);
}

async function start() {
  live?.close();
  if (!token.get()) return askForToken();
  try {
    const { projects } = await query(PROJECTS);
    live = new Live(badge);
    const select = byId("project");
    select.replaceChildren(...projects.map(({ id, name }) => element("option", { value: id }, name)));
    if (!projects.length) select.replaceChildren(element("option", { value: "" }, "No project yet: muster create"));
    const last = localStorage.getItem("muster.project");
    if (projects.some(({ id }) => id === last)) select.value = last;
    await openProject(select.value);
  } catch (error) {
    show(error);
  }
}

function askForToken() {
  const dialog = byId("token-dialog");
  byId("token").value = token.get();
  if (!dialog.open) dialog.showModal();
}

byId("token-dialog").addEventListener("close", () => {
  if (byId("token-dialog").returnValue !== "ok") return;
  token.set(byId("token").value);
  start();
});
byId("sign-in").addEventListener("click", askForToken);
byId("project").addEventListener("change", (event) => openProject(event.target.value).catch(show));

byId("new-task").addEventListener("click", () => byId("task-dialog").showModal());
byId("task-dialog").addEventListener("close", async () => {
  if (byId("task-dialog").returnValue !== "ok") return;
  const criteria = byId("task-criteria").value.split("\n").map((text) => text.trim()).filter(Boolean);
  try {
    await command("createTask", "CreateTaskInput", {
      projectId: project,
      title: byId("task-title").value,
      description: byId("task-description").value,
      priority: byId("task-priority").value,
      acceptanceCriteria: criteria.map((text) => ({ text })),
    });
    byId("task-dialog").querySelector("form").reset();
  } catch (error) {
    show(error);
  }
});

token.adopt();
start();
