// The board: a column for each status, a card for each task, redrawn card by card.
"use strict";

import { clock, element, plain } from "./dom.js";

export const CARD = `id projectId title status priority complexity createdAt sequence position assignedSessionId
  progressMessage progressPercent subtaskCount statusReason`;

const COLUMNS = ["INBOX", "PLANNING", "PLAN_REVIEW", "READY", "IN_FLIGHT", "REVIEW", "BLOCKED", "FAILED", "DONE", "CANCELLED"];
const RANK = { URGENT: 0, HIGH: 1, MEDIUM: 2, LOW: 3 };

export class Board {
  /**
   * @param {HTMLElement} place
   * @param {{open: (id: string) => void, move: (id: string, status: string) => void}} actions
   */
  constructor(place, actions) {
    this.actions = actions;
    this.tasks = new Map();
    this.cards = new Map();
    this.columns = new Map();
    for (const status of COLUMNS) {
      const list = element("ol", { data: { status } });
      const count = element("span");
      list.addEventListener("dragover", (event) => { event.preventDefault(); list.classList.add("over"); });
      list.addEventListener("dragleave", () => list.classList.remove("over"));
      list.addEventListener("drop", (event) => {
        event.preventDefault();
        list.classList.remove("over");
        const id = event.dataTransfer.getData("text/plain");
        if (this.tasks.get(id)?.status !== status) actions.move(id, status);
      });
      this.columns.set(status, { list, count });
      place.append(element("section", { className: "column" }, element("h2", {}, element("span", {}, plain(status)), count), list));
    }
  }

  clear() {
    this.tasks.clear();
    this.cards.clear();
    for (const { list, count } of this.columns.values()) {
      list.replaceChildren();
      count.textContent = "0";
    }
  }

  /** Shows a task as it is now. An older state than the one shown is passed over. */
  put(task) {
    const shown = this.tasks.get(task.id);
    if (shown && shown.sequence > task.sequence) return;
    this.tasks.set(task.id, task);
    this.cards.get(task.id)?.parentElement.remove();
    const card = this.draw(task);
    this.cards.set(task.id, card);
    const { list } = this.columns.get(task.status);
    const before = [...list.children].find((item) => this.follows(item.firstChild.dataset.id, task));
    list.insertBefore(element("li", {}, card), before ?? null);
    for (const column of this.columns.values()) column.count.textContent = String(column.list.children.length);
    this.mark(this.current);
  }

  /** Shows which task is open. */
  mark(id) {
    this.cards.get(this.current)?.removeAttribute("aria-current");
    this.current = id;
    this.cards.get(id)?.setAttribute("aria-current", "true");
  }

  follows(otherId, task) {
    const other = this.tasks.get(otherId);
    const rank = RANK[other.priority] - RANK[task.priority];
    return rank > 0 || (rank === 0 && other.createdAt > task.createdAt);
  }

  draw(task) {
    const about = [task.priority, task.complexity].map(plain).join(" · ");
    const card = element(
      "button",
      { type: "button", className: "card", draggable: true, data: { id: task.id, priority: task.priority } },
      element("strong", {}, task.title),
      element("small", {}, about, task.subtaskCount ? ` · ${task.subtaskCount} chunks` : "", task.assignedSessionId ? " · working" : ""),
      task.progressMessage && element("small", { title: task.progressMessage }, ` ${task.progressMessage}`),
      task.progressPercent !== null && element("progress", { max: 100, value: task.progressPercent }),
    );
    card.addEventListener("click", () => this.actions.open(task.id));
    card.addEventListener("dragstart", (event) => event.dataTransfer.setData("text/plain", task.id));
    card.title = `${task.title} (${clock(task.createdAt)})`;
    return card;
  }
}
