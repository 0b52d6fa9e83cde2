"use strict";
// The list of examples. Texts of models and data sets are only ever put on the page as text nodes.
(() => {
  const PAGE = 50;
  const LONG = 1500;
  const AS_IS = 1;
  const cells = JSON.parse(document.getElementById("index").textContent).cells;
  const ledger = document.getElementById("ledger");
  const form = ledger.querySelector("form");
  const controls = form.elements;
  const rows = document.getElementById("rows");
  const unpacked = new Map();
  const state = { cell: null, shown: [], page: 0, group: "", linked: null, missing: "" };

  const FLAGS = [
    ["", "any", () => true],
    ["base unreadable", "base unreadable", (e) => e.base.answer === null],
    ["tuned unreadable", "tuned unreadable", (e) => e.tuned.some((a) => a.answer === null)],
    ["base cut off", "base cut off", (e) => e.base.stopped === "length"],
    ["tuned cut off", "tuned cut off", (e) => e.tuned.some((a) => a.stopped === "length")],
    ["base empty", "base empty", (e) => !e.base.text.trim()],
    ["tuned empty", "tuned empty", (e) => e.tuned.some((a) => !a.text.trim())],
    ["seeds differ", "seeds differ in score", (e) => e.tuned.some((a) => a.score !== e.tuned[0].score)],
  ];
  const ORDERS = [
    ["", "as in the test set", null],
    ["gain", "largest gain first", (a, b) => b.gain - a.gain],
    ["loss", "largest loss first", (a, b) => a.gain - b.gain],
  ];

  function element(tag, options, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(options || {})) {
      if (name === "class") made.className = value;
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  async function unpack(name) {
    if (!unpacked.has(name)) {
      const packed = atob(document.getElementById(name).textContent);
      const bytes = new Uint8Array(packed.length);
      for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
      const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
      unpacked.set(name, JSON.parse(await new Response(stream).text()));
    }
    return unpacked.get(name);
  }

  function answerAt(arm, i) {
    const text = arm.text[i];
    const answer = arm.answer[i] === AS_IS ? text.trim() : arm.answer[i];
    return { text, answer, stopped: arm.stopped[i], tokens: arm.tokens[i], score: arm.score[i] };
  }

  async function examplesOf(cell) {
    if (cell.examples) return cell.examples;
    const [questions, base, tuned] = await Promise.all([cell.blocks.questions, cell.blocks.base, cell.blocks.tuned].map(unpack));
    cell.examples = questions.id.map((id, i) => {
      const before = answerAt(base, i);
      const after = tuned.arms.map((arm) => answerAt(arm, i));
      const mean = after.reduce((sum, a) => sum + a.score, 0) / after.length;
      return {
        id: String(id), prompt: questions.prompt[i], target: questions.target[i], kind: tuned.kind[i],
        base: before, tuned: after, mean, gain: mean - before.score,
      };
    });
    return cell.examples;
  }

  function searched(example) {
    if (!example.searchable) {
      const texts = [example.id, example.prompt, example.target, example.base.text, ...example.tuned.map((a) => a.text)];
      example.searchable = texts.join("\n").toLowerCase();
    }
    return example.searchable;
  }

  function choose() {
    if (!state.cell.examples) return; // another comparison was chosen while this one was unpacked
    const flag = FLAGS.find(([key]) => key === controls.flag.value)[2];
    const order = ORDERS.find(([key]) => key === controls.order.value)[2];
    const query = controls.query.value.trim().toLowerCase();
    const fitting = state.cell.examples.filter((e) => flag(e) && (!query || searched(e).includes(query)));
    const counts = state.cell.classes.map((_, kind) => fitting.filter((e) => e.kind === kind).length);
    for (const pill of form.querySelectorAll(".pill")) {
      const kind = pill.querySelector("input").value;
      pill.querySelector("b").textContent = (kind === "" ? fitting.length : counts[kind]).toLocaleString("en");
    }
    state.shown = state.group === "" ? fitting : fitting.filter((e) => e.kind === Number(state.group));
    if (order) state.shown = [...state.shown].sort(order);
  }

  function show() {
    const pages = Math.max(1, Math.ceil(state.shown.length / PAGE));
    state.page = Math.min(Math.max(0, state.page), pages - 1);
    const first = state.page * PAGE;
    const visible = state.shown.slice(first, first + PAGE);
    const query = controls.query.value.trim();
    rows.replaceChildren(...visible.map((example) => drawn(example, query)));
    const n = (value) => value.toLocaleString("en");
    const said = visible.length ? `${n(first + 1)} to ${n(first + visible.length)} of ${n(state.shown.length)}` : "No example fits.";
    for (const place of ledger.querySelectorAll(".pager p")) place.textContent = state.missing + said;
    for (const button of ledger.querySelectorAll("[data-step]")) {
      const to = state.page + Number(button.dataset.step);
      button.disabled = to < 0 || to >= pages;
    }
  }

  function refresh() {
    state.page = 0;
    state.linked = null;
    state.missing = "";
    choose();
    show();
  }

  function drawn(example, query) {
    const name = state.cell.classes[example.kind];
    const look = Math.abs(example.gain) < 1e-9 ? "same" : example.gain > 0 ? "up" : "down";
    const link = `#${state.cell.cell}/${encodeURIComponent(example.id)}`;
    const gain = `${state.cell.metric} ${score(example.base.score)} → ${score(example.mean)}`;
    const prompt = element("details", { class: "prompt" }, element("summary", null, marked(firstLine(example.prompt), query)));
    prompt.addEventListener("toggle", () => prompt.append(text(example.prompt, query)), { once: true });
    const sides = element("div", { class: "sides" },
      element("section", { class: "side", "aria-label": "Target" }, element("h4", null, "Target"), text(example.target, query)),
      element("section", { class: "side", "aria-label": "Base" }, said("Base", example.base, query)),
      element("section", { class: "side", "aria-label": "Tuned" }, ...alike(example.tuned).map(([seeds, a]) => said(tunedName(seeds), a, query))));
    const anchor = element("a", { href: link, title: "Link to this example" }, example.id);
    const row = element("article", { class: "example" },
      element("header", null,
        element("h3", null, anchor),
        element("span", { class: look }, name), element("span", { class: "gain" }, gain)),
      prompt, sides);
    anchor.addEventListener("click", (event) => {
      event.preventDefault(); // the address changes, the filters stay
      history.replaceState(null, "", link);
      rows.querySelector(".linked")?.classList.remove("linked");
      row.classList.add("linked");
    });
    if (state.linked === example.id) {
      row.classList.add("linked");
      prompt.open = true;
    }
    return row;
  }

  const score = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(2));

  function firstLine(prompt) {
    const flat = prompt.slice(0, 400).replace(/\s+/g, " ").trim();
    return `Prompt: ${flat.length > 160 ? `${flat.slice(0, 160)}…` : flat}`;
  }

  // Seeds that wrote the same text share one box.
  function alike(tuned) {
    const groups = new Map();
    tuned.forEach((a, i) => {
      const key = JSON.stringify([a.text, a.answer, a.stopped]);
      if (!groups.has(key)) groups.set(key, [[], a]);
      groups.get(key)[0].push(state.cell.seeds[i]);
    });
    return [...groups.values()];
  }

  function tunedName(seeds) {
    if (state.cell.seeds.length === 1) return "Tuned";
    return seeds.length === state.cell.seeds.length ? "Tuned, all seeds" : `Tuned, seed ${seeds.join(", ")}`;
  }

  function said(name, a, query) {
    const flags = [];
    if (a.answer === null) flags.push("unreadable");
    if (a.stopped === "length") flags.push("cut off");
    const box = element("div", { class: "answer" },
      element("h4", null, name, element("span", null, `score ${score(a.score)}`), ...flags.map((flag) => element("span", { class: "flag" }, flag))),
      a.text.trim() ? text(a.text, query) : element("p", { class: "text none" }, "(empty)"));
    if (a.answer !== null && a.answer !== a.text.trim()) box.append(element("p", { class: "read" }, "read as: ", marked(a.answer, query)));
    return box;
  }

  function text(whole, query) {
    const box = element("div", null);
    const body = element("p", { class: "text" }, marked(whole.length > LONG ? `${whole.slice(0, LONG)}…` : whole, query));
    box.append(body);
    if (whole.length > LONG) {
      const more = element("button", { type: "button", class: "more" }, `Show all ${whole.length.toLocaleString("en")} characters`);
      more.addEventListener("click", () => { body.replaceChildren(marked(whole, query)); more.remove(); });
      box.append(more);
    }
    return box;
  }

  function marked(whole, query) {
    const out = document.createDocumentFragment();
    const low = whole.toLowerCase(), wanted = query.toLowerCase();
    let from = 0;
    // Lower case may change the length of a text in rare scripts; then nothing is marked.
    if (wanted && low.length === whole.length) {
      for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, from)) {
        out.append(whole.slice(from, at), element("mark", null, whole.slice(at, at + wanted.length)));
        from = at + wanted.length;
      }
    }
    out.append(whole.slice(from));
    return out;
  }

  async function enter(name) {
    state.cell = cells.find((cell) => cell.cell === name);
    controls.cell.value = name;
    state.group = "";
    const names = [["", "all"], ...state.cell.classes.map((label, kind) => [String(kind), label])];
    const pills = form.querySelector(".pills");
    pills.replaceChildren(pills.firstElementChild, ...names.map(([value, label]) => {
      const input = element("input", { type: "radio", name: "group", value });
      input.checked = value === "";
      return element("label", { class: "pill" }, input, element("span", null, label, element("b")));
    }));
    await examplesOf(state.cell);
  }

  // #cell0000/id shows one example among all of its comparison.
  async function follow() {
    const found = /^#(cell\d+)\/(.+)$/.exec(location.hash);
    if (!found || !cells.some((cell) => cell.cell === found[1])) return false;
    let id;
    try { id = decodeURIComponent(found[2]); } catch { return false; }
    form.reset();
    await enter(found[1]);
    const at = state.cell.examples.findIndex((e) => e.id === id);
    choose();
    state.linked = at < 0 ? null : id;
    state.missing = at < 0 ? `There is no example ${id} here. ` : "";
    state.page = Math.floor(Math.max(0, at) / PAGE);
    show();
    const row = rows.querySelector(".linked");
    if (row) row.scrollIntoView({ block: "center" });
    return true;
  }

  async function start() {
    if (!cells.length) return;
    ledger.hidden = false;
    const options = (list) => list.map(([value, label]) => element("option", { value }, label));
    controls.cell.append(...options(cells.map((cell) => [cell.cell, cell.label])));
    controls.flag.append(...options(FLAGS));
    controls.order.append(...options(ORDERS));
    if (!(await follow())) {
      await enter(cells[0].cell);
      refresh();
    }
    let waiting = 0;
    form.addEventListener("submit", (event) => event.preventDefault());
    controls.query.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 150); });
    form.addEventListener("change", async (event) => {
      if (event.target.name === "cell") await enter(event.target.value);
      if (event.target.name === "group") state.group = event.target.value;
      if (event.target.name !== "query") refresh();
    });
    for (const button of ledger.querySelectorAll("[data-step]")) {
      button.addEventListener("click", () => {
        state.page += Number(button.dataset.step);
        show();
        ledger.querySelector(".pager").scrollIntoView({ block: "start" });
      });
    }
    window.addEventListener("hashchange", follow);
  }

  start().catch((error) => {
    ledger.hidden = false;
    form.hidden = true;
    rows.textContent = `This browser could not unpack the examples (${error.message}); they stand in examples.jsonl of the compare folders.`;
    throw error;
  });
})();
