// A prompt that is a conversation: its turns, each with its role.
const ROLES = { tools: "Tools", system: "System", user: "User", assistant: "Assistant", tool: "Tool result" };
const SHOWN_FIELDS = ["role", "content", "name", "tool_call_id", "tool_calls"];
const LEADS = ["tools", "system"];
const MOST_TURNS = 5, LAST_TURNS = 3; // besides leads; of a longer conversation the last ones are open, and the last question
const WIDTH = 60; // of a line of JSON
const JSON_TOKENS = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g;

const isKnown = (turn) => Object.hasOwn(ROLES, turn.role);
const roleName = (turn) => (isKnown(turn) ? ROLES[turn.role] : turn.role);
const isJson = (turn) => turn.role === "tools" || turn.role === "tool"; // any other text stays as the model reads it

// JSON on lines of this width, or null for other text. What is between the signs stays as it is written: a parsed number may lose digits.
function readableJson(text, width = WIDTH) {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    JSON.parse(text);
    const tokens = text.match(JSON_TOKENS);
    let at = 0;
    const value = (margin) => {
      const open = tokens[at++];
      if (open !== "{" && open !== "[") return open;
      const close = open === "{" ? "}" : "]", parts = [];
      for (; tokens[at] !== close; at += tokens[at] === ",") {
        const name = open === "{" ? `${tokens[at]}: ` : "";
        if (name) at += 2;
        parts.push(name + value(`${margin}  `));
      }
      at++;
      const line = `${open}${parts.join(", ")}${close}`;
      if (line.length + margin.length <= width && !line.includes("\n")) return line;
      return `${open}\n${parts.map((part) => `${margin}  ${part}`).join(",\n")}\n${margin}${close}`;
    };
    return value("");
  } catch { return null; } // no JSON, or too deep
}

const callsOf = (turn) => (turn.tool_calls ?? []).map((call) => (typeof call === "string" ? { name: "", arguments: call } : call.function));
const otherFields = (turn) => Object.entries(turn).filter(([name]) => !SHOWN_FIELDS.includes(name));

// The name of the tool whose result a turn is: its own, or that of the call with its id.
function toolName(turn, turns) {
  if (turn.name || !turn.tool_call_id) return turn.name ?? "";
  const call = turns.flatMap((one) => one.tool_calls ?? []).find((one) => one.id === turn.tool_call_id);
  return call?.function?.name ?? turn.tool_call_id;
}

// A prompt as one text with the roles of its turns, as a table has it.
function promptText(prompt) {
  if (!Array.isArray(prompt)) return prompt;
  const parts = (turn) => [turn.content, ...callsOf(turn).map((call) => `${call.name}(${call.arguments})`), ...otherFields(turn).map(([name, value]) => `${name}: ${value}`)];
  return prompt.map((turn) => `${[roleName(turn), toolName(turn, prompt)].filter(Boolean).join(" ")}: ${parts(turn).filter(Boolean).join("\n")}`).join("\n\n");
}

// What the search looks into: JSON as it is written and as it is shown.
function searchedPrompt(prompt) {
  if (!Array.isArray(prompt)) return prompt;
  const texts = prompt.flatMap((turn) => [...(isJson(turn) ? [turn.content] : []), ...callsOf(turn).map((call) => call.arguments)]);
  const shown = texts.map((text) => readableJson(text, Infinity));
  return [promptText(prompt), ...shown.filter(Boolean)].join("\n");
}

// JSON in lines; as it is written where only that holds what is searched for.
function jsonOf(text, query) {
  const shown = readableJson(text);
  return shown === null || (finds(text, query) && !finds(shown, query)) ? text : shown;
}

function jsonBox(text, query, limits, ...head) {
  return shortened(jsonOf(text, query), query, limits, (...content) => element("p", { class: "text json" }, ...head, ...content));
}

function callBox(call, query) {
  return jsonBox(call.arguments, query, IN_PROMPT, element("span", { class: "kind" }, "call "), element("b", null, marked(call.name, query)), " ");
}

// The content of a turn, then its calls.
function turnBody(turn, query) {
  const body = element("div", { class: "body" });
  if (turn.role === "tools") body.append(toolsBox(turn.content, query));
  else if (isJson(turn) && readableJson(turn.content) !== null) body.append(jsonBox(turn.content, query, IN_PROMPT));
  else if (turn.content.trim()) body.append(shortened(turn.content, query, turn.role === "system" ? IN_LEAD : IN_PROMPT));
  body.append(...callsOf(turn).map((call) => callBox(call, query)));
  body.append(...otherFields(turn).map(([name, value]) => element("p", { class: "read" }, `${name}: `, marked(value, query))));
  if (!body.childNodes.length) body.append(element("p", { class: "text none" }, "(empty)"));
  return body;
}

// The schemas of tools: their names, and the whole on request or where the search finds something in it.
function toolsBox(schemas, query) {
  let names = "";
  try { names = JSON.parse(schemas).map((schema) => (schema.function ?? schema).name).join(", "); } catch { /* a task of a user's own may write anything */ }
  if (!names || finds(searchedPrompt([{ role: "tools", content: schemas }]), query)) return jsonBox(schemas, query, IN_PROMPT);
  return unfolding(jsonOf(schemas, query), query, [names], (...content) => element("p", { class: "text json" }, ...content));
}

// The turns of a conversation, of a long one those that the reader needs first; the others behind a button.
function conversationBox(turns, query) {
  const question = turns.map((turn) => turn.role).lastIndexOf("user");
  const isShort = turns.filter((turn) => !LEADS.includes(turn.role)).length <= MOST_TURNS;
  const isOpen = turns.map((turn, i) => isShort || LEADS.includes(turn.role) || i === question || i >= turns.length - LAST_TURNS || finds(searchedPrompt([turn]), query));
  const item = (turn) => element("li", { class: `turn ${isKnown(turn) ? turn.role : ""}` }, roleLine(turn, turns, query), turnBody(turn, query));
  const list = element("ol", { class: "turns", role: "list", "aria-label": `Conversation of ${count(turns.length)} turns` });
  for (let i = 0, end; i < turns.length; i = end) {
    for (end = i; end < turns.length && !isOpen[end];) end++;
    list.append(end - i > 1 ? gapItem(turns.slice(i, end), item) : item(turns[i]));
    end = Math.max(end, i + 1);
  }
  return list;
}

function roleLine(turn, turns, query) {
  const tool = toolName(turn, turns);
  return element("p", { class: "role" }, roleName(turn), ...(tool ? [" ", element("span", null, marked(tool, query))] : []));
}

// Stands for turns that are not shown yet.
function gapItem(turns, item) {
  const button = element("button", { type: "button", class: "more" }, `Show ${count(turns.length)} more turns`);
  const gap = element("li", { class: "turn" }, element("span", { class: "gap" }, `[${count(turns.length)} turns]`), button);
  button.addEventListener("click", () => {
    const items = turns.map(item);
    gap.replaceWith(...items);
    focusOn(items[0]);
  });
  return gap;
}
