// The live log of one run: numbered lines as they come, following the end until someone scrolls up.
"use strict";

import { clock, element, plain } from "./dom.js";

const OUTPUT = "subscription($run: ID!, $after: Int) { agentOutput(runId: $run, after: $after) { lineNumber writtenAt stream content } }";
const LINES_MAX = 20_000;

export class Logs {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
  }

  /** @param {import("./api.js").Live} live */
  open(live, run) {
    this.close();
    this.after = 0;
    this.lines = element("ol");
    const follow = element("input", { type: "checkbox", id: "follow", checked: true });
    this.lines.addEventListener("scroll", () => {
      follow.checked = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 40;
    });
    this.follow = follow;
    this.place.replaceChildren(
      element("div", { className: "bar" },
        element("strong", {}, `${plain(run.role)} · attempt ${run.attempt}`),
        element("span", { className: "space" }),
        element("label", {}, follow, " Follow"),
        element("button", { type: "button", onclick: () => this.copy() }, "Copy all"),
        element("button", { type: "button", onclick: () => this.close() }, "Close")),
      this.lines,
    );
    this.place.hidden = false;
    const variables = () => ({ run: run.id, after: this.after });
    this.stop = live.subscribe(OUTPUT, variables, ({ agentOutput }) => this.add(agentOutput), (error) => this.note(error.message));
  }

  close() {
    this.stop?.();
    this.stop = null;
    this.place.hidden = true;
  }

  add({ lineNumber, writtenAt, stream, content }) {
    if (lineNumber <= this.after) return;
    this.after = lineNumber;
    this.lines.append(element("li", { className: stream }, element("span", {}, String(lineNumber)), element("span", {}, clock(writtenAt)), element("span", {}, content)));
    if (this.lines.children.length > LINES_MAX) this.lines.firstChild.remove();
    if (this.follow.checked) this.lines.scrollTop = this.lines.scrollHeight;
  }

  note(text) {
    this.lines.append(element("li", { className: "system" }, element("span"), element("span"), element("span", {}, text)));
  }

  async copy() {
    const text = [...this.lines.children].map((line) => line.lastChild.textContent).join("\n");
    await navigator.clipboard.writeText(text);
  }
}
