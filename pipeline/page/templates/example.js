// One example: its prompt, its target and the answer of every arm, side by side.
const LONG = 1500;
// Characters: what is longer than `most` shows its beginning and its end; the question of a prompt often stands there.
const IN_PROMPT = { most: 500, first: 220, last: 220 }, IN_LEAD = { most: 240, first: 160, last: 0 };
const FLAG_WORDS = { unparsed: "unparsable", truncated: "truncated", endless: "repetition loop", empty: "empty", refused: "refused", hallucinated: "hallucinated" };

// Args: view: {cell, query, against, isShown, at}; place: {number, of} in the list.
function exampleElement(example, view, place) {
  const { cell, query } = view;
  const look = Math.abs(example.gain) <= TIE ? "same" : example.gain > 0 ? "up" : "down";
  const boxes = (isOf) => grouped(example.arms.filter((arm) => isOf(arm.name) && view.isShown(arm))).map((group) => answerBox(group, example, view));
  const target = element("section", { class: "side" }, element("h4", null, "Target"),
    example.turn ? turnBody(example.turn, query) : example.target ? text(example.target, query) : element("p", { class: "text none" }, "(empty)"));
  if (example.accepted.length) target.append(element("p", { class: "read" }, "also right: ", marked(example.accepted.map((other) => other || "(empty)").join("; "), query)));
  const link = element("a", { href: `#${cell.cell}/${encodeURIComponent(wellFormed(example.id))}`, title: "Link to this example" }, example.id);
  const heading = element("h3", { id: `example-${place.number}` }, link);
  const others = boxes((name) => name !== "base" && name !== "tuned");
  // base and fine-tuned have columns of their own, whichever are shown
  const columns = [[target], boxes((name) => name === "base"), boxes((name) => name === "tuned")].map((column) => element("div", null, ...column));
  const row = element("article", { class: "example", tabindex: "-1", "aria-labelledby": heading.id, "aria-posinset": place.number, "aria-setsize": place.of },
    element("header", null, heading, element("span", { class: look }, cell.classes[example.kind]),
      element("span", { class: "gain" }, `${cell.metric} ${figure(example.rival.score)} → ${figure(example.mean)}`)),
    promptBox(example.prompt, query), element("div", { class: "sides" }, ...columns, ...others));
  row.dataset.id = example.id;
  return row;
}

const wellFormed = (id) => id.toWellFormed?.() ?? id;

function promptBox(prompt, query) {
  const turns = Array.isArray(prompt) ? conversationBox(prompt, query) : shortened(prompt, query, IN_PROMPT);
  return element("section", { class: "prompt" }, element("h4", null, "Prompt"), turns);
}

const paragraph = (...content) => element("p", { class: "text" }, ...content);
const finds = (whole, query) => query !== "" && whole.toLowerCase().includes(query.toLowerCase());

// A text, of a long one its beginning and its end, unless the search finds something in it.
function shortened(whole, query, { most, first, last }, box = paragraph) {
  if (whole.length <= most || finds(whole, query)) return box(marked(whole, query));
  if (!last) return unfolding(whole, query, [`${beginning(whole, first)}…`], box);
  const gap = element("span", { class: "gap" }, ` [${count(whole.length - first - last)} characters] `);
  return unfolding(whole, query, [beginning(whole, first), gap, ending(whole, last)], box);
}

// Never half of a character.
const isLow = (character) => character >= "\udc00" && character <= "\udfff";
const beginning = (whole, length) => whole.slice(0, isLow(whole[length] ?? "") ? length - 1 : length);
const ending = (whole, length) => whole.slice(isLow(whole[whole.length - length] ?? "") ? -length + 1 : -length);

// Training seeds that wrote the same text share one box; other arms have one each.
function grouped(arms) {
  const groups = new Map();
  for (const arm of arms) {
    const key = JSON.stringify([arm.name, arm.text, arm.answer, arm.score]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(arm);
  }
  return [...groups.values()];
}

function title(group, seeds) {
  const { label, seed } = group[0];
  if (seed === null || seeds === 1) return label;
  return group.length === seeds ? `${label}, all seeds` : `${label}, seed ${group.map((arm) => arm.seed).join(", ")}`;
}

function answerBox(group, example, view) {
  const arm = group[0];
  const flags = arm.flags.map((flag) => element("span", { class: "flag" }, FLAG_WORDS[flag]));
  const right = view.cell.zero_one ? (arm.score ? "right" : "wrong") : `score ${figure(arm.score)}`;
  const tone = view.cell.zero_one ? (arm.score ? "up" : "down") : "";
  const other = view.against === "" ? example.target : view.against === "base" && arm.name !== "base" ? example.base.text : null;
  const box = element("section", { class: "side" },
    element("h4", null, title(group, view.cell.seeds), element("span", { class: tone }, right), ...flags),
    arm.text.trim() ? text(arm.text, view.query, changes(other, arm.text)) : element("p", { class: "text none" }, "(empty)"));
  if (arm.answer !== null && arm.answer !== arm.text.trim()) box.append(element("p", { class: "read" }, "parsed as: ", marked(example.turn ? jsonOf(arm.answer, view.query) : arm.answer, view.query)));
  return box;
}

// What to mark in a text; nothing where all of it differs.
function changes(other, own) {
  if (other === null || other.trim() === own.trim()) return null;
  const list = differences(other, own);
  return list && list.some(([kind]) => kind === "same") ? list : null;
}

function text(whole, query, changed) {
  if (changed) return paragraph(...compared(changed, query));
  if (whole.length <= LONG) return paragraph(marked(whole, query));
  return unfolding(whole, query, [marked(`${beginning(whole, LONG)}…`, query)]);
}

// A part of a text, and a button for the rest.
function unfolding(whole, query, part, box = paragraph) {
  const body = box(...part);
  const more = element("button", { type: "button", class: "more" }, `Show all ${count(whole.length)} characters`);
  more.addEventListener("click", () => {
    const all = box(marked(whole, query));
    body.replaceWith(all);
    more.remove();
    focusOn(all);
  });
  return element("div", null, body, more);
}

// The focus of a button that goes away moves to what it showed.
function focusOn(node) {
  node.tabIndex = -1;
  node.focus({ preventScroll: true });
}
