// One task in full: plan and decision, questions, subtasks, runs, artifacts, history.
"use strict";

import { Refusal, command, query } from "./api.js";
import { clock, element, plain } from "./dom.js";
import { Moment } from "./moment.js";

const TASK = `query($id: ID!, $at: Int) { task(id: $id, minPosition: $at) {
  id projectId title description status statusReason priority complexity sequence position createdBy createdAt branch mergeCommit prUrl
  acceptanceCriteria { text check } evidence { criterionIndex detail }
  error { kind message logExcerpt } usage { totalTokens costUsd }
  plan { text digest state decidedBy rejectReason estimatedCostUsd chunks { subtaskId title } }
  questions { id question options answer answeredBy }
  subtasks { id title status }
  runs { id role status attempt iteration maxIterations progressMessage startedAt endedAt durationMs usage { totalTokens costUsd } }
  artifacts { id kind path description }
} }`;
const HISTORY = `query($id: ID!, $after: Int!) { eventHistory(taskId: $id, after: $after, first: 200) {
  nodes { sequence type timestamp actor source } } }`;

export class Detail {
  /**
   * @param {HTMLElement} place
   * @param {{close: () => void, logs: (run: object) => void, failed: (error: Error) => void}} actions
   */
  constructor(place, actions) {
    this.place = place;
    this.actions = actions;
    this.shown = null;
    this.loading = 0;
  }

  async open(id) {
    this.id = id;
    this.shown = null;
    await this.refresh();
  }

  close() {
    this.id = null;
    this.place.hidden = true;
    this.actions.close();
  }

  /** Reads the task again, not before it is at `position`. What comes back last, and only that, is shown. */
  async refresh(position) {
    const { id } = this;
    if (!id) return;
    const turn = (this.loading += 1);
    try {
      const { task } = await query(TASK, { id, at: position });
      if (turn !== this.loading || id !== this.id) return;
      if (!task) return this.close();
      const after = Math.max(0, task.sequence - 200);
      const { eventHistory } = await query(HISTORY, { id, after });
      if (turn === this.loading && id === this.id) this.draw(task, eventHistory.nodes);
    } catch (error) {
      this.actions.failed(error);
    }
  }

  /** Sends a command; a refusal that says the task has moved on shows it as it is now. */
  async act(name, inputType, input) {
    try {
      const { position } = await command(name, inputType, { taskId: this.id, ...input });
      await this.refresh(position);
    } catch (error) {
      this.actions.failed(error);
      if (error instanceof Refusal) await this.refresh();
    }
  }

  draw(task, events) {
    const typed = [...this.place.querySelectorAll("textarea, input:not([type=range])")].map((field) => [field.id, field.value]);
    const focused = this.shown === task.id ? document.activeElement?.id : null;
    if (this.shown !== task.id) this.moment = new Moment(task.id, this.actions.failed);
    this.moment.grow(task.sequence);
    this.place.hidden = false;
    const parts = [
      element("header", {}, element("h2", {}, task.title), element("button", { type: "button", onclick: () => this.close() }, "Close")),
      element("p", { className: "soft" }, `${plain(task.status)} · ${plain(task.priority)} · by ${task.createdBy}`, task.statusReason ? ` · ${task.statusReason}` : "", usage(task.usage)),
      task.description && element("pre", {}, task.description),
      this.buttons(task),
      task.error && section("Error", element("p", {}, `${task.error.kind}: ${task.error.message}`), task.error.logExcerpt && element("pre", {}, task.error.logExcerpt)),
      this.questions(task),
      this.plan(task),
      criteria(task),
      task.subtasks.length && section("Chunks", list(task.subtasks, ({ title, status }) => [title, element("span", { className: "soft" }, ` ${plain(status)}`)])),
      this.runs(task),
      task.artifacts.length && section("Artifacts", list(task.artifacts, (artifact) => [artifactLink(artifact), artifact.description ? ` ${artifact.description}` : ""])),
      this.prompt(),
      section("Time travel", ...this.moment.parts),
      section("History", list(events.toReversed(), (event) => [`${event.sequence} `, element("span", { className: "soft" }, `${clock(event.timestamp)} `), `${event.type} `, element("span", { className: "soft" }, `${event.actor} (${event.source})`)])),
    ];
    this.place.replaceChildren(...parts.filter((part) => part instanceof Node));
    if (this.shown === task.id) {
      for (const [id, value] of typed) {
        const field = id && document.getElementById(id);
        if (field) field.value = value;
      }
      if (focused) document.getElementById(focused)?.focus();
    }
    this.shown = task.id;
  }

  buttons(task) {
    const over = ["DONE", "CANCELLED"].includes(task.status);
    return element(
      "div",
      { className: "actions" },
      task.status === "INBOX" && button("Dispatch", () => this.act("dispatchTask", "DispatchTaskInput", {})),
      ["FAILED", "BLOCKED"].includes(task.status) && button("Retry", () => this.act("requestRetry", "RequestRetryInput", {})),
      !over && button("Cancel", () => this.act("cancelTask", "CancelTaskInput", {}), "danger"),
    );
  }

  plan(task) {
    const { plan } = task;
    if (!plan) return null;
    const reason = element("input", { id: "reject-reason", placeholder: "What should change?" });
    const decide = plan.state === "READY" && element(
      "div",
      { className: "actions" },
      button("Approve", () => this.act("approvePlan", "ApprovePlanInput", { digest: plan.digest }), "primary"),
      reason,
      button("Reject", () => this.act("rejectPlan", "RejectPlanInput", { digest: plan.digest, reason: reason.value || "No reason given" }), "danger"),
    );
    const decided = plan.decidedBy ? ` by ${plan.decidedBy}${plan.rejectReason ? `: ${plan.rejectReason}` : ""}` : "";
    return section(`Plan: ${plain(plan.state)}${decided}`, element("pre", {}, plan.text), list(plan.chunks, ({ title }) => [title]), decide);
  }

  questions(task) {
    const open = task.questions.map((question) => {
      if (question.answer !== null) return element("p", {}, question.question, element("br"), element("span", { className: "soft" }, `${question.answeredBy}: ${question.answer}`));
      const field = element("input", { id: `answer-${question.id}`, placeholder: "Answer" });
      const answer = (text) => this.act("answerQuestion", "AnswerQuestionInput", { questionId: question.id, answer: text });
      return element("div", {}, element("p", {}, question.question), element("div", { className: "actions" }, ...question.options.map((option) => button(option, () => answer(option))), field, button("Answer", () => field.value && answer(field.value), "primary")));
    });
    return open.length ? section("Questions", ...open) : null;
  }

  runs(task) {
    if (!task.runs.length) return null;
    return section("Runs", list(task.runs.toReversed(), (run) => [
      `${plain(run.role)} `,
      element("span", { className: "soft" }, `${plain(run.status)} · attempt ${run.attempt} · iteration ${run.iteration}${run.maxIterations ? `/${run.maxIterations}` : ""}${usage(run.usage)} `),
      button("View logs", () => this.actions.logs(run)),
    ]));
  }

  prompt() {
    const field = element("textarea", { id: "prompt", rows: 2, placeholder: "Context for the next iteration" });
    const send = () => { const message = field.value; field.value = ""; return message && this.act("injectPrompt", "InjectPromptInput", { message }); };
    return section("Add context", field, element("div", { className: "actions" }, button("Send", send)));
  }
}

function button(text, onclick, className = "") {
  const made = element("button", { type: "button", className }, text);
  made.addEventListener("click", async () => {
    made.disabled = true;
    try { await onclick(); } finally { made.disabled = false; }
  });
  return made;
}

const section = (title, ...children) => element("section", {}, element("h3", {}, title), ...children);
const list = (rows, draw) => element("ul", {}, ...rows.map((row, index) => element("li", {}, ...draw(row, index))));

function usage({ totalTokens, costUsd }) {
  const tokens = totalTokens === null ? "" : ` · ${totalTokens.toLocaleString()} tokens`;
  return costUsd === null ? tokens : `${tokens} · $${costUsd.toFixed(2)}`;
}

function criteria(task) {
  if (!task.acceptanceCriteria.length) return null;
  return section("Acceptance criteria", list(task.acceptanceCriteria, ({ text, check }, index) => {
    const shown = task.evidence.find(({ criterionIndex }) => criterionIndex === index);
    return [shown ? element("span", { className: "met", title: shown.detail }, "✓ ") : "", text, check ? element("span", { className: "soft" }, ` (${check})`) : ""];
  }));
}

function artifactLink({ kind, path }) {
  const web = /^https?:\/\//.test(path);
  return web ? element("a", { href: path, rel: "noreferrer", target: "_blank" }, path) : element("code", {}, `${plain(kind)} ${path}`);
}
