// Requests to this server: the key stays in this variable alone.
let key = "";

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// The response of a path; a Refusal with the server's words where it refuses.
async function request(path, options) {
  const headers = { ...(key ? { Authorization: `Bearer ${key}` } : {}), ...(options?.body ? { "Content-Type": "application/json" } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "omit", cache: "no-store" });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new Refusal(0, "The server does not answer. Is it running?");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new Refusal(response.status, body?.error?.message || `The server refuses the request with status ${response.status}.`);
}

// The objects of a stream of server-sent events, as they come.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n\n");
    rest = lines.pop();
    for (const line of lines) {
      const data = line.replace(/^data: /, "");
      if (data === "[DONE]") return;
      yield JSON.parse(data);
    }
  }
}
