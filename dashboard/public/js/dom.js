// Makes elements. Text is always set as text: nothing that an agent or a person wrote is ever read as HTML.
"use strict";

/**
 * @param {string} tag
 * @param {object} [properties] properties of the element; `data` sets data attributes, `on…` listeners
 * @param {...(Node|string|null|undefined|false)} children
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "data") Object.assign(made.dataset, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria")) made.setAttribute(name.replace(/([A-Z])/, "-$1").toLowerCase(), value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

/** `IN_FLIGHT` as `in flight`. @param {string} name */
export const plain = (name) => name.toLowerCase().replaceAll("_", " ");

/** Hours, minutes and seconds of a time. @param {string} time */
export const clock = (time) => new Date(time).toTimeString().slice(0, 8);
