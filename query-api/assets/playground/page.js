// The playground: GraphiQL with a token, queries over HTTP, subscriptions over graphql-transport-ws.
"use strict";

const TOKEN = "muster.token";
const tokenField = document.getElementById("token");
const state = document.getElementById("state");

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  localStorage.setItem(TOKEN, given);
  history.replaceState(null, "", location.pathname);
}
tokenField.value = localStorage.getItem(TOKEN) ?? "";

const authorization = () => `Bearer ${tokenField.value.trim()}`;
const socketUrl = `${location.origin.replace(/^http/, "ws")}/graphql`;

const socket = graphqlWs.createClient({
  url: socketUrl,
  lazy: true,
  connectionParams: () => ({ authorization: authorization() }),
  on: {
    connected: () => { state.textContent = "live"; },
    closed: () => { state.textContent = ""; },
  },
});

// Looks at the text that is sent: the parsed document that GraphiQL hands out lags behind the editor.
function isSubscription({ query, operationName }) {
  const bare = query.replace(/"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*/g, "");
  let depth = 0;
  for (const [token, name] of bare.matchAll(/[{}]|\bsubscription\b\s*(\w*)/g)) {
    if (token === "{") depth += 1;
    else if (token === "}") depth -= 1;
    else if (depth === 0 && (!operationName || operationName === name)) return true;
  }
  return false;
}

async function post(request) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: authorization() },
    body: JSON.stringify(request),
  });
  return response.json();
}

function fetcher(request) {
  if (!isSubscription(request)) return post(request);
  return { subscribe: (observer) => ({ unsubscribe: socket.subscribe(request, observer) }) };
}

const root = ReactDOM.createRoot(document.getElementById("graphiql"));
let mounted = 0;

// A new token sees another schema only in what it may read, but the one before may have been refused: load it anew.
function mount() {
  mounted += 1;
  root.render(
    React.createElement(GraphiQL, {
      key: mounted,
      fetcher,
      defaultEditorToolsVisibility: true,
      defaultQuery: "{\n  viewer { user admin }\n  projects { id name position taskCounts { status count } }\n}\n",
    }),
  );
}

function adopt(event) {
  event.preventDefault();
  localStorage.setItem(TOKEN, tokenField.value.trim());
  mount();
}

document.getElementById("bar").addEventListener("submit", adopt);
tokenField.addEventListener("change", adopt);
mount();
