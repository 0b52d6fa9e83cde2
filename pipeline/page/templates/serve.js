// The page of `loralift serve`: a prompt, chosen models, and their answers side by side.
const MOST = 6; // a browser opens no more connections to a server at once
const $ = (id) => document.getElementById(id);
const ask = $("ask").elements, against = $("answers").querySelector("select");
const [FIRST, TARGET, NOTHING] = ["first", "target", "nothing"];
let setup = null, example = null, earlier = [], running = null, sides = [];

const say = (text) => { $("status").textContent = text; };
const chosen = () => [...$("models").querySelectorAll("input:checked")].map((box) => box.value);

// The models and test sets of this server; asks for the key where one is needed.
async function open() {
  try {
    setup = await (await request("/page/setup")).json();
  } catch (fault) {
    const isLocked = fault.status === 401;
    $("unlock").hidden = !isLocked;
    say(isLocked && !key ? "This server needs a key." : fault.message);
    if (isLocked) $("unlock").elements.key.focus();
    return;
  }
  $("unlock").hidden = true;
  $("unlock").reset();
  $("ask").hidden = false;
  $("base").textContent = `base ${setup.base}`;
  $("instructions").hidden = !setup.takes_turns;
  $("models").append(...setup.models.map(pill));
  ask.tokens.value = Math.max(1, Math.min(256, Math.floor(setup.context_window / 4)));
  ask.set.append(...setup.test_sets.map((set, index) => element("option", { value: index }, set.name)));
  $("pick").hidden = !setup.test_sets.length;
  if (setup.test_sets.length) describe();
  choose(setup.models.slice(1, 2));
  say("");
  document.documentElement.dataset.ready = "";
}

function pill(model) {
  return element("label", { class: "pill" }, element("input", { type: "checkbox", value: model }), element("span", null, model));
}

// The base and these models.
function choose(models) {
  const wanted = [setup.base, ...models].slice(0, MOST);
  for (const box of $("models").querySelectorAll("input")) box.checked = wanted.includes(box.value);
}

function describe() {
  const set = setup.test_sets[ask.set.value || 0];
  ask.place.max = set.size;
  $("picked").textContent = `${count(set.size)} examples${set.left_out ? `; ${count(set.left_out)} more have turns that the server does not take` : ""}.`;
}

// Fill the form with an example: its prompt, and how the report let it be answered.
async function pick(place) {
  const set = setup.test_sets[ask.set.value];
  const index = Math.min(Math.max(1, Math.trunc(place) || 1), set.size);
  try {
    example = await (await request(`/page/examples/${encodeURIComponent(set.name)}/${index - 1}`)).json();
  } catch (fault) {
    say(fault.message);
    return;
  }
  const turns = example.messages;
  const hasSystem = turns[0].role === "system";
  ask.place.value = index;
  ask.system.value = hasSystem ? turns[0].content : "";
  ask.prompt.value = turns[turns.length - 1].content;
  ask.tokens.value = example.max_tokens;
  ask.stop_text.value = example.stop.map((text) => text.replaceAll("\n", "\\n"))[0] ?? "";
  showEarlier(turns.slice(hasSystem ? 1 : 0, -1));
  $("picked").textContent = `${example.id}: example ${count(index)} of ${count(set.size)}.`;
  say("");
}

// The turns between the system text and the prompt.
function showEarlier(turns) {
  earlier = turns;
  const list = element("ol", { class: "turns" }, ...turns.map((turn) => element("li", { class: `turn ${turn.role}` },
    element("p", { class: "role" }, turn.role), element("p", { class: "text" }, turn.content))));
  const remove = element("button", { type: "button", class: "more" }, "Remove earlier turns");
  remove.addEventListener("click", () => { showEarlier([]); ask.prompt.focus(); });
  $("earlier").replaceChildren(element("p", { class: "caption" }, "Earlier turns"), list, remove);
  $("earlier").hidden = !turns.length;
}

function messages() {
  const system = setup.takes_turns && ask.system.value.trim() ? [{ role: "system", content: ask.system.value }] : [];
  return [...system, ...earlier, { role: "user", content: ask.prompt.value }];
}

// The stop texts of the example, as long as the form shows the first of them.
function stops() {
  const text = ask.stop_text.value.replaceAll("\\n", "\n");
  if (!text) return [];
  return example && example.stop[0] === text ? example.stop : [text];
}

function body(model) {
  const stop = stops(), tokens = Number(ask.tokens.value);
  const thinking = example?.thinks ? { chat_template_kwargs: { enable_thinking: true } } : {};
  return JSON.stringify({
    model, messages: messages(), stream: true, stream_options: { include_usage: true }, temperature: Number(ask.temperature.value),
    seed: Number(ask.seed.value), ...(tokens ? { max_tokens: tokens } : {}), ...(stop.length ? { stop } : {}),
    ...thinking,
  });
}

// One answer: its text as it comes, then its figures.
class Side {
  constructor(model) {
    this.model = model;
    this.text = "";
    this.isWhole = false;
    this.box = element("p", { class: "text" });
    this.figures = element("p", { class: "figures" });
    this.place = element("section", { class: "side", "aria-busy": "true", "aria-label": model }, element("h2", null, model), this.box, this.figures);
  }

  async answer(signal) {
    const start = performance.now();
    let first = null, usage = null, finish = null;
    try {
      const response = await request("/v1/chat/completions", { method: "POST", body: body(this.model), signal });
      for await (const chunk of events(response)) {
        if (chunk.error) throw new Refusal(500, chunk.error.message);
        const choice = chunk.choices[0];
        if (choice?.delta.content) {
          first ??= performance.now() - start;
          this.text += choice.delta.content;
          this.box.textContent = this.text;
        }
        finish = choice?.finish_reason ?? finish;
        usage = chunk.usage ?? usage;
      }
      if (!usage) throw new Refusal(0, "The connection broke before the answer was whole.");
      this.isWhole = true;
      this.figures.textContent = figures(usage, finish, first, performance.now() - start);
    } catch (fault) {
      const text = fault.name === "AbortError" ? "Stopped." : fault instanceof Refusal ? fault.message : "The connection broke before the answer was whole.";
      this.place.append(element("p", { class: "fault" }, text));
    }
    this.place.setAttribute("aria-busy", "false");
  }

  // The text, with the words marked that differ from another answer.
  draw(other) {
    if (this.isWhole && !this.text) this.box.replaceChildren(element("i", { class: "none" }, "empty"));
    else {
      const list = other === null || !this.isWhole ? null : differences(other, this.text);
      if (list) this.box.replaceChildren(...compared(list, ""));
      else this.box.textContent = this.text;
    }
  }
}

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(2)} s`;

function figures(usage, finish, first, whole) {
  const tokens = usage.completion_tokens;
  const rate = first !== null && tokens > 1 && whole > first ? `${((tokens - 1) * 1000 / (whole - first)).toFixed(0)} tok/s` : "";
  const parts = [
    `${count(usage.prompt_tokens)} prompt tokens`, `${count(tokens)} new${finish === "length" ? " (truncated)" : ""}`,
    first === null ? "" : `first after ${seconds(first)}`, `${seconds(whole)} in all`, rate,
  ];
  return parts.filter(Boolean).join(" · ");
}

function drawAll() {
  const first = sides[0]?.isWhole ? sides[0].text : null;
  for (const side of sides) {
    if (against.value === TARGET) side.draw($("target").querySelector(".text").textContent);
    else side.draw(against.value === NOTHING || side === sides[0] ? null : first);
  }
}

// The target, as long as the form holds the example as it is; and what answers can be compared with.
function showTarget(models) {
  const text = (turns) => JSON.stringify(turns.map((turn) => [turn.role, turn.content]));
  const isExample = example !== null && text(messages()) === text(example.messages);
  $("target").hidden = !isExample;
  $("target").querySelector(".text").textContent = isExample ? example.target : "";
  const before = against.value;
  const offers = [...(models.length > 1 ? [[FIRST, models[0]]] : []), ...(isExample ? [[TARGET, "the target"]] : []), [NOTHING, "nothing"]];
  against.replaceChildren(...offers.map(([value, label]) => element("option", { value }, label)));
  if (offers.some(([value]) => value === before)) against.value = before;
}

async function send() {
  const models = chosen();
  if (running || !$("ask").reportValidity()) return;
  if (!models.length || models.length > MOST) {
    say(models.length ? `Choose ${MOST} models at most: a browser opens no more connections to a server at once.` : "Choose a model.");
    return;
  }
  running = new AbortController();
  sides = models.map((model) => new Side(model));
  $("sides").replaceChildren(...sides.map((side) => side.place));
  $("answers").hidden = false;
  showTarget(models);
  let finished = 0;
  const tell = () => say(`${finished} of ${models.length} answers finished.`);
  tell();
  $("send").disabled = true;
  $("stop").disabled = false;
  await Promise.all(sides.map((side) => side.answer(running.signal).then(() => { finished++; tell(); })));
  const failed = sides.filter((side) => !side.isWhole).length;
  if (failed) say(`${models.length - failed} of ${models.length} answers finished, ${failed} did not.`);
  running = null;
  $("send").disabled = false;
  if (document.activeElement === $("stop")) ask.prompt.focus();
  $("stop").disabled = true;
  drawAll();
}

$("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("unlock").elements.key.value;
  open();
});
$("ask").addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("ask").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  if (event.ctrlKey || event.metaKey) {
    event.preventDefault();
    send();
  } else if (event.target === ask.place) {
    event.preventDefault();
    pick(ask.place.value);
  }
});
$("stop").addEventListener("click", () => running?.abort());
against.addEventListener("change", () => { if (!running) drawAll(); });
ask.set.addEventListener("change", () => {
  const set = setup.test_sets[ask.set.value];
  ask.place.value = "";
  describe();
  choose(set.models);
});
ask.place.addEventListener("change", () => pick(ask.place.value));
$("next").addEventListener("click", () => pick(1 + Number(ask.place.value || 0)));
$("random").addEventListener("click", () => pick(1 + Math.floor(Math.random() * ask.place.max)));
open();
