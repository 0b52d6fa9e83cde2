// The list of examples: filters, pages, and the address of one example.
const PAGE = 25;
const cells = JSON.parse(document.getElementById("index").textContent).cells;
const ledger = document.getElementById("ledger");
const form = ledger.querySelector("form");
const controls = form.elements;
const rows = document.getElementById("rows");
const state = { cell: null, shown: [], page: 0, linked: null, note: "" };

const some = (flag) => (arms) => arms.some((arm) => arm.flags.includes(flag));
const FLAGS = [
  ["", "any", () => true],
  ...Object.entries(FLAG_WORDS).map(([flag, label]) => [flag, label, some(flag)]),
  ["differ", "arms differ in score", (arms) => arms.some((arm) => arm.score !== arms[0].score)],
  ["seeds", "seeds differ in score", (arms) => { const t = arms.filter((arm) => arm.name === "tuned"); return t.some((arm) => arm.score !== t[0].score); }],
];
const ORDERS = [
  ["", "dataset order", null],
  ["gain", "largest gain first", (a, b) => b.gain - a.gain],
  ["loss", "largest loss first", (a, b) => a.gain - b.gain],
];
// An extra filter for graded scores, not a group: an example can be both gained and low.
const LOW = { value: "low", label: "both low", title: "Neither the base nor the fine-tuned model (mean over seeds) reaches a score of 0.5" };
const HALF = 0.5;
const AGAINST = [["target", "the target"], ["base", "the base"], ["", "nothing"]];

function searched(example) {
  if (!example.searchable) example.searchable = [example.id, example.prompt, example.target, ...example.accepted, ...example.arms.map((arm) => arm.text)].join("\n").toLowerCase();
  return example.searchable;
}

const checked = (name) => [...form.querySelectorAll(`input[name="${name}"]:checked`)].map((input) => input.value);

// Whether an example is in the group of a pill.
const inGroup = (value) => (example) => {
  if (value === LOW.value) return Math.max(example.base.score, example.mean) < HALF;
  return value === "" || example.kind === Number(value);
};

function choose() {
  if (!state.cell.examples) return; // another comparison was chosen while this one was unpacked
  const flag = FLAGS.find(([key]) => key === controls.flag.value)[2];
  const order = ORDERS.find(([key]) => key === controls.order.value)[2];
  const by = controls.by.value, query = controls.query.value.trim().toLowerCase();
  const hasFlag = (example) => flag(by ? example.arms.filter((arm) => arm.name === by) : example.arms);
  const fitting = state.cell.examples.filter((example) => hasFlag(example) && (!query || searched(example).includes(query)));
  for (const pill of form.querySelectorAll(".groups .pill")) {
    const kind = pill.querySelector("input").value;
    pill.querySelector("b").textContent = count(fitting.filter(inGroup(kind)).length);
  }
  state.shown = fitting.filter(inGroup(checked("group")[0]));
  if (order) state.shown = [...state.shown].sort(order);
}

function show() {
  const pages = Math.max(1, Math.ceil(state.shown.length / PAGE));
  state.page = Math.min(Math.max(0, state.page), pages - 1);
  const first = state.page * PAGE;
  const visible = state.shown.slice(first, first + PAGE);
  const view = { cell: state.cell, query: controls.query.value.trim(), against: checked("against")[0], arms: new Set(checked("arm")), linked: state.linked };
  rows.replaceChildren(...visible.map((example) => exampleElement(example, view)));
  const status = visible.length ? `${count(first + 1)} to ${count(first + visible.length)} of ${count(state.shown.length)}` : "No matching examples.";
  for (const place of ledger.querySelectorAll(".pager p")) place.textContent = state.note + status;
  for (const button of ledger.querySelectorAll("[data-step]")) {
    const to = state.page + Number(button.dataset.step);
    button.disabled = to < 0 || to >= pages;
  }
}

// After a change of the filters the linked example stays marked, and is named where the filters hide it.
function refresh() {
  state.page = 0;
  choose();
  const hidden = state.linked !== null && !state.shown.some((example) => example.id === state.linked);
  state.note = hidden ? `Linked example ${state.linked} is hidden by the current filters. ` : "";
  show();
}

function pills(name, kind, list, place) {
  return list.map(([value, label, on]) => {
    const input = element("input", { type: kind, name, value });
    input.defaultChecked = on; // what form.reset() restores
    return element("label", { class: "pill" }, input, element("span", null, label, ...(place ? [" ", element("b")] : [])));
  });
}

function fill(selector, nodes) {
  const set = form.querySelector(selector);
  set.replaceChildren(set.firstElementChild, ...nodes);
}

const options = (list) => list.map(([value, label]) => element("option", { value }, label));

async function enter(name) {
  state.cell = cells.find((cell) => cell.cell === name);
  controls.cell.value = name;
  const arms = [...new Map(state.cell.arms.map((arm) => [arm.name, arm.label]))];
  const groups = pills("group", "radio", [["", "all", true], ...state.cell.classes.map((label, kind) => [String(kind), label, false])], true);
  if (!state.cell.zero_one) {
    const [low] = pills("group", "radio", [[LOW.value, LOW.label, false]], true);
    low.title = LOW.title;
    groups.push(low);
  }
  fill(".groups", groups);
  fill(".arms", pills("arm", "checkbox", arms.map(([arm, label]) => [arm, label, true])));
  const chosenArm = controls.by.value;
  controls.by.replaceChildren(...options([["", "any arm"], ...arms]));
  controls.by.value = arms.some(([arm]) => arm === chosenArm) ? chosenArm : "";
  await examplesOf(state.cell);
}

// #cell0000/id shows one example among all of its comparison.
async function follow() {
  const match = /^#(cell\d+)\/(.+)$/.exec(location.hash);
  if (!match || !cells.some((cell) => cell.cell === match[1])) return false;
  let id;
  try { id = decodeURIComponent(match[2]); } catch { return false; }
  form.reset();
  await enter(match[1]);
  const at = state.cell.examples.findIndex((example) => example.id === id);
  choose();
  state.linked = at < 0 ? null : id;
  state.note = at < 0 ? `There is no example ${id} in this comparison. ` : "";
  state.page = Math.floor(Math.max(0, at) / PAGE);
  show();
  const row = rows.querySelector(".linked");
  if (row) row.scrollIntoView({ block: "center" });
  return true;
}

function linkTo(anchor) {
  history.replaceState(null, "", anchor.getAttribute("href")); // the address changes, the filters stay
  const row = anchor.closest(".example");
  state.linked = row.dataset.id;
  rows.querySelector(".linked")?.classList.remove("linked");
  row.classList.add("linked");
}

// The target of a link is unfolded; on paper everything is.
function unfold() {
  const row = document.getElementById(location.hash.slice(1));
  const fold = row?.closest("details:not([open])");
  if (!fold) return;
  for (let outer = fold; outer; outer = outer.parentElement.closest("details")) outer.open = true;
  row.scrollIntoView();
}

function unfoldForPrint() {
  const closed = [...document.querySelectorAll("details.fold:not([open])")];
  for (const fold of closed) fold.open = true;
  window.addEventListener("afterprint", () => { for (const fold of closed) fold.open = false; }, { once: true });
}

function listen() {
  let waiting = 0;
  const soon = (ms) => { clearTimeout(waiting); waiting = setTimeout(refresh, ms); };
  form.addEventListener("submit", (event) => { event.preventDefault(); soon(0); });
  controls.query.addEventListener("input", () => soon(150));
  controls.query.addEventListener("keydown", (event) => {
    // some browsers clear a search by themselves, Firefox does not
    if (event.key !== "Escape" || !controls.query.value) return;
    event.preventDefault();
    controls.query.value = "";
    soon(0);
  });
  form.addEventListener("change", async ({ target }) => {
    if (target.name === "cell") { state.linked = null; await enter(target.value); }
    if (target.name === "arm" || target.name === "against") show();
    else if (target.name !== "query") refresh();
  });
  rows.addEventListener("click", (event) => {
    const anchor = event.target.closest(".example header a");
    if (!anchor || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    linkTo(anchor);
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

async function start() {
  window.addEventListener("beforeprint", unfoldForPrint);
  window.addEventListener("hashchange", unfold);
  unfold();
  const fixed = document.getElementById("static");
  if (fixed) fixed.hidden = true; // the list has all examples
  if (!cells.length) { document.documentElement.dataset.ready = "yes"; return; }
  ledger.hidden = false;
  controls.cell.append(...options(cells.map((cell) => [cell.cell, cell.label])));
  controls.flag.append(...options(FLAGS));
  controls.order.append(...options(ORDERS));
  fill(".against", pills("against", "radio", AGAINST.map(([value, label], i) => [value, label, i === 0])));
  listen();
  if (!(await follow())) {
    await enter(cells[0].cell);
    refresh();
  }
  document.documentElement.dataset.ready = "yes"; // for tests: the list can be used
}

start().catch((error) => {
  ledger.hidden = false;
  form.hidden = true;
  rows.textContent = `This browser could not unpack the examples (${error.message}); they are in examples.jsonl in the compare folders.`;
  throw error;
});
