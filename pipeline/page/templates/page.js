// The list of examples: its controls, its keys and its pages.
const PAGE = 25;
const cells = JSON.parse(document.getElementById("index").textContent).cells;
// At first: base, fine-tuned and the best baseline, unless that is the same answer everywhere.
for (const cell of cells) cell.shown = ["base", "tuned", ...cell.arms.map((arm) => arm.name).filter((name) => name === cell.baseline && name !== "base" && name !== "constant")];
const ledger = document.getElementById("ledger");
const form = ledger.querySelector("form");
const controls = form.elements;
const rows = document.getElementById("rows");
const state = { cell: null, view: null, examples: [], typing: false };
const STEPS = { j: 1, arrowright: 1, pagedown: 1, k: -1, arrowleft: -1, pageup: -1 };

const checked = (name) => [...form.querySelectorAll(`input[name="${name}"]:checked`)].map((input) => input.value);

// The view that the controls say.
function viewOfForm() {
  const value = (name) => controls[name].value;
  return { ...state.view, cell: value("cell"), from: controls.from.selectedIndex > 0 ? value("from") : "", q: value("query"), flag: value("flag"), by: value("by"), target: value("target"), answer: value("answer"),
    sort: value("order"), group: checked("group")[0] ?? "", diff: checked("against")[0] ?? "", arms: checked("arm") };
}

const hasOption = (select, value) => [...select.options].some((option) => option.value === value);

function fillForm(view) {
  const values = { cell: view.cell, from: view.from || controls.from.options[0].value, flag: view.flag, by: view.by, target: view.target, answer: view.answer, order: view.sort };
  for (const [name, value] of Object.entries(values)) controls[name].value = hasOption(controls[name], value) ? value : "";
  if (controls.query.value !== view.q) controls.query.value = view.q;
  for (const [name, value] of [["group", view.group], ["against", view.diff]]) {
    const all = [...form.querySelectorAll(`input[name="${name}"]`)];
    (all.find((input) => input.value === value) ?? all[0]).checked = true;
  }
  for (const input of form.querySelectorAll('input[name="arm"]')) input.checked = view.arms.includes(input.value);
}

function show() {
  const { cell, view } = state;
  judge(cell, controls.from.value);
  const group = checked("group")[0];
  const all = fitting(cell, view);
  for (const pill of form.querySelectorAll(".groups .pill")) pill.querySelector("b").textContent = count(all.filter(inGroup(pill.querySelector("input").value)).length);
  state.examples = all.filter(inGroup(group));
  const at = state.examples.findIndex((example) => example.id === view.at);
  const pages = Math.max(1, Math.ceil(state.examples.length / PAGE));
  state.page = Math.min(Math.max(0, at < 0 ? Number.parseInt(view.page || "1", 10) - 1 || 0 : Math.floor(at / PAGE)), pages - 1);
  const first = state.page * PAGE;
  const visible = state.examples.slice(first, first + PAGE);
  const look = { cell, query: view.q.trim(), against: view.diff, isShown: isShown(view) };
  rows.replaceChildren(...visible.map((example, i) => exampleElement(example, look, { number: first + i + 1, of: state.examples.length })));
  mark(view.at);
  const status = note(at) + (visible.length ? `${count(first + 1)} to ${count(first + visible.length)} of ${count(state.examples.length)}` : "No matching examples.");
  for (const place of ledger.querySelectorAll(".pager .found")) place.textContent = status;
  for (const button of ledger.querySelectorAll("[data-step]")) {
    const to = state.page + Number(button.dataset.step);
    button.disabled = to < 0 || to >= pages;
  }
  for (const button of ledger.querySelectorAll("[data-save]")) button.disabled = !visible.length;
  document.getElementById("chosen").textContent = chosen();
  rows.hidden = !visible.length;
  if (["flag", "by", "target", "answer"].some((key) => view[key])) form.querySelector(".further").open = true;
  controls.clear.hidden = !isFiltered(view);
  document.documentElement.dataset.list = isFiltered(view) ? "chosen" : "all"; // paper shows what was chosen
}

// The filters in words, for paper.
function chosen() {
  const selected = (name, all) => (controls[name].value === all ? "" : controls[name].selectedOptions[0].textContent);
  const group = form.querySelector("input[name=group]:checked + span");
  const filters = [["Task", selected("cell")], ["Compared with", controls.from.selectedIndex > 0 ? selected("from") : ""], ["Change", state.view.group && group.firstChild.textContent], ["Search", state.view.q], ["Output flag", selected("flag", "")],
    ["Target", selected("target", "")], ["Parsed as", selected("answer", "")], ["Arm", selected("by", "")]];
  return filters.filter(([, value]) => value).map(([name, value]) => `${name}: ${value}.`).join(" ");
}

// A linked example stays in the address, and is named where the filters hide it.
function note(at) {
  const { cell, view } = state;
  if (!view.at || at >= 0) return "";
  if (cell.examples.some((example) => example.id === view.at)) return `Linked example ${view.at} is hidden by the current filters. `;
  return `There is no example ${view.at} in this comparison. `;
}

// One example of the list can be reached by Tab: the linked one, else the first.
function mark(id) {
  const all = [...rows.children];
  for (const row of all) {
    row.classList.toggle("linked", row.dataset.id === id);
    row.tabIndex = -1;
  }
  const current = all.find((row) => row.dataset.id === id) ?? all[0];
  if (current) current.tabIndex = 0;
  return current;
}

// Keeps the address up to date. A new entry of the history where the reader chose something, so that going back undoes it.
function record(isNew) {
  const address = addressOf(state.view, state.cell);
  if (isNew && address !== state.address) {
    history.replaceState({ view: state.address }, "", location.href);
    history.pushState({ view: address }, "", address);
  } else history.replaceState({ view: address }, "", address);
  state.address = address;
}

function pills(name, kind, list, hasCount) {
  return list.map(([value, label]) => element("label", { class: "pill" }, element("input", { type: kind, name, value }),
    element("span", null, label, ...(hasCount ? [" ", element("b")] : []))));
}

function fill(selector, nodes) {
  const set = form.querySelector(selector);
  set.replaceChildren(set.firstElementChild, ...nodes);
}

const options = (list) => list.map(([value, label]) => element("option", { value }, label));

// Shows a view: of another comparison its records are unpacked first.
async function enter(view) {
  const cell = cells.find((one) => one.cell === view.cell);
  if (cell !== state.cell) offer(cell);
  state.cell = cell;
  state.view = view;
  fillForm(view);
  state.view = viewOfForm(); // without what this comparison does not have
  await examplesOf(cell);
  if (state.cell !== cell) return false; // another one was chosen meanwhile
  show();
  return true;
}

// The controls of a comparison.
function offer(cell) {
  const arms = [...new Map(cell.arms.map((arm) => [arm.name, arm.label]))];
  const groups = pills("group", "radio", [["", "all"], ...cell.classes.map((label, kind) => [String(kind), label])], true);
  if (!cell.zero_one) {
    const [low] = pills("group", "radio", [[LOW.value, LOW.label]], true);
    low.title = LOW.title;
    groups.push(low);
  }
  fill(".groups", groups);
  controls.from.replaceChildren(...options(rivals(cell)));
  controls.from.parentElement.hidden = controls.from.options.length < 2;
  fill(".arms", pills("arm", "checkbox", arms));
  controls.by.replaceChildren(...options([["", "any arm"], ...arms]));
  for (const select of [controls.target, controls.answer]) {
    select.replaceChildren(...options([["", "any"], ...cell.labels.map((label) => [label, label || "(empty)"])]));
    select.parentElement.hidden = !cell.labels.length;
  }
}

// The address may name a view or one example: #cell0000/id.
async function follow(event) {
  const isNamed = viewAt(location.hash) !== null;
  const view = viewAt(history.state?.view ?? location.hash) ?? (event && !location.hash ? defaultView(cells[0]) : null);
  if (!view || !(await enter(view))) return false;
  state.address = addressOf(state.view, state.cell);
  if (isNamed) {
    const row = rows.querySelector(".linked");
    (row ?? ledger).scrollIntoView({ block: row ? "center" : "start" });
    if (event) rows.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
  }
  return true;
}

async function choose(change, isNew = true) {
  const next = { ...viewOfForm(), page: "", ...change };
  if (await enter(next)) record(isNew);
}

function step(from, by) {
  const at = state.examples.findIndex((example) => example.id === from.dataset.id) + by;
  const example = state.examples[at];
  if (!example) return;
  state.view.at = example.id;
  if (Math.floor(at / PAGE) === state.page) mark(example.id);
  else show();
  record(false);
  const row = rows.querySelector(".linked");
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function linkTo(anchor) {
  state.view.at = anchor.closest(".example").dataset.id;
  mark(state.view.at);
  history.replaceState({ view: addressOf(state.view, state.cell) }, "", anchor.getAttribute("href")); // the address of the example alone, the filters stay
  state.address = history.state.view;
}

// The target of a link is unfolded and brought into sight, a row in the middle of the window.
function arrive() {
  const target = document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
  target.scrollIntoView({ block: target.tagName === "TR" || target.tagName === "LI" ? "center" : "start" });
}

// A link to where the address leads already makes no hashchange.
function arriveAgain({ target }) {
  if (target.closest("a")?.getAttribute("href") === location.hash) arrive();
}

// The navigation marks the section that is read: the last that has reached the upper part of the window, at the end of the page the one that was asked for, else the last.
const links = [...document.querySelectorAll("nav a")];

function markSection() {
  const tops = links.map((link) => document.querySelector(link.hash).getBoundingClientRect().top);
  const isEnd = window.scrollY > 0 && window.scrollY + window.innerHeight >= document.documentElement.scrollHeight - 2;
  const asked = links.findIndex((link, i) => link.hash === location.hash && tops[i] < window.innerHeight);
  const reached = isEnd && asked >= 0 && tops[asked] >= 0 ? asked : tops.findLastIndex((top) => top < (isEnd ? window.innerHeight : window.innerHeight / 4));
  const current = links[Math.max(0, reached)];
  if (current.ariaCurrent === "location") return;
  for (const link of links) link.ariaCurrent = link === current ? "location" : null;
  const nav = current.parentElement;
  nav.scrollLeft = current.offsetLeft - nav.offsetLeft - 16; // on a phone it is one line
}

function followScroll() {
  let isWaiting = false;
  const update = () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; markSection(); });
  };
  for (const event of ["scroll", "resize", "hashchange"]) window.addEventListener(event, update, { passive: true });
  markSection();
}

// Paper has the verdict with its caveats, the figures and the tables; folds for the screen stay as the reader left them.
function unfoldForPrint() {
  const closed = [...document.querySelectorAll("details.fold:not(.screen, [open])")];
  for (const fold of closed) fold.open = true;
  window.addEventListener("afterprint", () => { for (const fold of closed) fold.open = false; }, { once: true });
}

// A box is a stop of the Tab key where it scrolls, and only there.
function markScrolling() {
  for (const box of document.querySelectorAll(".scroll")) {
    if (box.scrollWidth > box.clientWidth || !box.clientWidth) { box.tabIndex = 0; box.setAttribute("role", "region"); }
    else { box.removeAttribute("tabindex"); box.setAttribute("role", "group"); }
  }
}

function download(kind, type, content) {
  const name = fileName(state.cell, kind);
  save(name, type, content);
  announce(`Downloaded ${count(state.examples.length)} examples as ${name}.`);
}

// For screen readers: what changes without a change of the line that counts the examples.
const announce = (text) => { document.getElementById("announced").textContent = text; };
const CHANGES = {
  order: () => `Sorted by ${controls.order.selectedOptions[0].textContent}.`,
  from: () => `Compared with ${controls.from.selectedOptions[0].textContent}.`,
  arm: () => `Arms shown: ${checked("arm").join(", ") || "none"}.`,
  against: () => "Highlights changed.",
};

function listen() {
  let waiting = 0;
  const typed = (ms) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { choose({}, !state.typing); state.typing = true; }, ms);
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); typed(0); });
  controls.query.addEventListener("input", () => typed(150));
  controls.query.addEventListener("blur", () => { state.typing = false; });
  controls.query.addEventListener("keydown", (event) => {
    // some browsers clear a search by themselves, Firefox does not
    if (event.key !== "Escape" || !controls.query.value) return;
    event.preventDefault();
    controls.query.value = "";
    typed(0);
  });
  form.addEventListener("change", ({ target }) => {
    if (target.name === "cell") choose({ ...defaultView(cells.find((cell) => cell.cell === target.value)), q: state.view.q, sort: state.view.sort, diff: state.view.diff });
    else if (target.name !== "query") choose({});
    if (CHANGES[target.name]) announce(CHANGES[target.name]());
  });
  controls.clear.addEventListener("click", () => { choose({ ...defaultView(state.cell), sort: state.view.sort, diff: state.view.diff, arms: state.view.arms }); controls.query.focus(); });
  rows.addEventListener("click", (event) => {
    const anchor = event.target.closest(".example header a");
    if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    linkTo(anchor);
  });
  rows.addEventListener("keydown", (event) => {
    const by = STEPS[event.key.toLowerCase()], from = event.target.closest(".example");
    if (!by || !from || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    step(from, by);
  });
  for (const button of ledger.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => {
      state.view.page = String(state.page + Number(button.dataset.step) + 1);
      state.view.at = "";
      show();
      record(true);
      rows.querySelector("[tabindex='0']")?.focus({ preventScroll: true }); // the button may be off now, and the examples are new
      ledger.querySelector(".pager").scrollIntoView({ block: "start" });
    });
  }
  ledger.querySelector("[data-save=csv]").addEventListener("click", () => download("csv", "text/csv", csv(state.cell, state.examples)));
  ledger.querySelector("[data-save=json]").addEventListener("click", () => download("json", "application/json", json(state.cell, state.examples, state.address)));
  window.addEventListener("hashchange", follow);
}

async function start() {
  window.addEventListener("beforeprint", unfoldForPrint);
  window.addEventListener("hashchange", arrive);
  document.addEventListener("click", arriveAgain);
  window.addEventListener("resize", markScrolling);
  document.addEventListener("toggle", markScrolling, true);
  markScrolling();
  arrive();
  followScroll();
  const fixed = document.getElementById("static");
  if (fixed) fixed.hidden = true; // the list has all examples
  if (!cells.length) { document.documentElement.dataset.ready = "yes"; return; }
  ledger.hidden = false;
  form.querySelector(".further").open = !matchMedia("(max-width: 44rem)").matches;
  controls.cell.append(...options(cells.map((cell) => [cell.cell, cell.label])));
  controls.flag.append(...options(FLAGS));
  controls.order.append(...options(ORDERS));
  fill(".against", pills("against", "radio", AGAINST));
  listen();
  if (!(await follow())) {
    await enter(defaultView(cells[0]));
    arrive(); // the list is longer now than the place that was kept for it
  }
  state.address = addressOf(state.view, state.cell);
  document.documentElement.dataset.ready = "yes"; // for tests: the list can be used
}

start().catch((error) => {
  ledger.hidden = false;
  form.hidden = true;
  rows.textContent = `This browser could not unpack the examples (${error.message}); they are in examples.jsonl in the compare folders.`;
  throw error;
});
