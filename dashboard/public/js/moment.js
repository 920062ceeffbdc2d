// A task as it was after any of its events, and what that event changed.
"use strict";

import { query } from "./api.js";
import { clock, element, plain } from "./dom.js";

const MOMENT = `query($id: ID!, $from: Int!, $to: Int!) {
  taskAt(taskId: $id, sequence: $to) { status updatedAt } taskDiff(taskId: $id, from: $from, to: $to) { path before after } }`;

/** It outlives each time that its task is read: what someone has chosen stays, until they choose the newest event. */
export class Moment {
  /** @param {string} taskId @param {(error: Error) => void} failed */
  constructor(taskId, failed) {
    this.taskId = taskId;
    this.failed = failed;
    this.turn = 0;
    this.newest = 0;
    this.follows = true;
    this.range = element("input", { type: "range", id: "moment", min: 1, ariaLabel: "Event", oninput: () => this.travel() });
    this.told = element("output", { className: "soft" });
    this.changes = element("pre", { id: "changes", hidden: true });
    this.parts = [this.range, element("div", {}, this.told), this.changes];
  }

  /** Takes in that the task has come to `newest`. */
  grow(newest) {
    if (newest === this.newest) return;
    this.newest = newest;
    this.range.max = newest;
    if (!this.follows) return;
    this.turn += 1;
    this.range.value = newest;
    this.told.textContent = `as of event ${newest}`;
    this.changes.hidden = true;
  }

  async travel() {
    const turn = (this.turn += 1);
    const to = Number(this.range.value);
    this.follows = to === this.newest;
    try {
      const { taskAt, taskDiff } = await query(MOMENT, { id: this.taskId, from: Math.max(1, to - 1), to });
      if (turn !== this.turn || !taskAt) return;
      this.told.textContent = `as of event ${to}, ${clock(taskAt.updatedAt)}: ${plain(taskAt.status)}`;
      const shown = (value) => (value === null ? "–" : JSON.stringify(value));
      this.changes.textContent = taskDiff.map(({ path, before, after }) => `${path}: ${shown(before)} → ${shown(after)}`).join("\n");
      this.changes.hidden = !taskDiff.length;
    } catch (error) {
      this.failed(error);
    }
  }
}
