// GraphQL over HTTP, and subscriptions over one graphql-transport-ws connection that reconnects by itself.
// It must never know what is asked for.
"use strict";

const TOKEN = "muster.token";
const WAIT_FIRST_MS = 1_000;
const WAIT_LONGEST_MS = 30_000;
const PING_EVERY_MS = 20_000;
const ANSWER_WITHIN_MS = 10_000;

/** A refusal, with its stable code. */
export class Refusal extends Error {
  /** @param {{message: string, extensions?: {code?: string}}} error */
  constructor(error) {
    super(error.message);
    this.code = error.extensions?.code ?? "INTERNAL";
  }
}

export const token = {
  get: () => localStorage.getItem(TOKEN) ?? "",
  /** @param {string} value */
  set: (value) => localStorage.setItem(TOKEN, value.trim()),
  /** Takes a token out of the address (`#token=…`), where the terminal prints it, and hides it. */
  adopt() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!given) return;
    this.set(given);
    history.replaceState(null, "", location.pathname + location.search);
  },
};

/**
 * Runs a query or a mutation.
 * @param {string} document
 * @param {object} [variables]
 */
export async function query(document, variables = {}) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token.get()}`, "muster-source": "web" },
    body: JSON.stringify({ query: document, variables }),
  });
  const answer = await response.json();
  if (answer.errors?.length) throw new Refusal(answer.errors[0]);
  if (!response.ok) throw new Refusal({ message: answer.detail ?? response.statusText, extensions: { code: (answer.code ?? "").toUpperCase() } });
  return answer.data;
}

/**
 * Runs a mutation once, however often it has to be sent: the same idempotency key goes along each time.
 * @param {string} name
 * @param {string} inputType
 * @param {object} input
 */
export async function command(name, inputType, input) {
  const document = `mutation($input: ${inputType}!, $key: ID!) { ${name}(input: $input, idempotencyKey: $key) { position taskId } }`;
  const variables = { input, key: crypto.randomUUID() };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return (await query(document, variables))[name];
    } catch (error) {
      if (error instanceof Refusal || attempt === 4) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
    }
  }
}

/** One connection for every subscription. */
export class Live {
  /** @param {(connected: boolean) => void} onState */
  constructor(onState) {
    this.onState = onState;
    this.wait = WAIT_FIRST_MS;
    this.next = 1;
    /** @type {Map<string, {document: string, variables: () => object, onData: Function, onError: Function}>} */
    this.subscriptions = new Map();
    this.closed = false;
    this.open();
  }

  /**
   * Follows a subscription until the returned function is called. `variables` is asked anew for each connection, so
   * that it says where to resume.
   * @param {string} document
   * @param {() => object} variables
   * @param {(data: any) => void} onData
   * @param {(error: Refusal) => void} [onError]
   */
  subscribe(document, variables, onData, onError = () => {}) {
    const id = String(this.next++);
    this.subscriptions.set(id, { document, variables, onData, onError });
    if (this.ready) this.start(id);
    return () => {
      if (this.subscriptions.delete(id) && this.ready) this.send({ id, type: "complete" });
    };
  }

  close() {
    this.closed = true;
    this.socket?.close();
  }

  open() {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/graphql`, "graphql-transport-ws");
    this.socket = socket;
    this.ready = false;
    socket.onopen = () => this.send({ type: "connection_init", payload: { authorization: `Bearer ${token.get()}` } });
    socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    socket.onclose = () => this.lost(socket);
  }

  lost(socket) {
    clearInterval(this.pinging);
    clearTimeout(this.answering);
    this.ready = false;
    if (this.closed || socket !== this.socket) return;
    this.onState(false);
    setTimeout(() => this.closed || this.open(), this.wait);
    this.wait = Math.min(this.wait * 2, WAIT_LONGEST_MS);
  }

  receive(message) {
    clearTimeout(this.answering);
    const subscription = this.subscriptions.get(message.id);
    switch (message.type) {
      case "connection_ack":
        this.ready = true;
        this.wait = WAIT_FIRST_MS;
        this.onState(true);
        for (const id of this.subscriptions.keys()) this.start(id);
        this.pinging = setInterval(() => this.ping(), PING_EVERY_MS);
        break;
      case "ping":
        this.send({ type: "pong" });
        break;
      case "next":
        if (message.payload.errors?.length) subscription?.onError(new Refusal(message.payload.errors[0]));
        else subscription?.onData(message.payload.data);
        break;
      case "error":
        subscription?.onError(new Refusal(message.payload[0]));
        this.subscriptions.delete(message.id);
        break;
      case "complete":
        this.subscriptions.delete(message.id);
        break;
    }
  }

  /** A connection that does not answer is as good as lost. */
  ping() {
    this.send({ type: "ping" });
    const socket = this.socket;
    this.answering = setTimeout(() => { socket.close(); this.lost(socket); }, ANSWER_WITHIN_MS);
  }

  start(id) {
    const { document, variables } = this.subscriptions.get(id);
    this.send({ id, type: "subscribe", payload: { query: document, variables: variables() } });
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
