// One example: its prompt, its target and the answer of every arm, side by side.
const LONG = 1500;
const FLAG_WORDS = { unparsed: "unparsable", truncated: "truncated", endless: "repetition loop", empty: "empty", refused: "refused", hallucinated: "hallucinated" };

function exampleElement(example, view) {
  const { cell, query } = view;
  const look = Math.abs(example.gain) <= TIE ? "same" : example.gain > 0 ? "up" : "down";
  const prompt = element("details", { class: "prompt" }, element("summary", null, marked(firstLine(example.prompt), query)));
  prompt.addEventListener("toggle", () => prompt.append(text(example.prompt, query)), { once: true });
  const boxes = grouped(example.arms.filter((arm) => view.arms.has(arm.name))).map((group) => answerBox(group, example, view));
  const target = element("section", { class: "side" }, element("h4", null, "Target"),
    example.target ? text(example.target, query) : element("p", { class: "text none" }, "(empty)"));
  if (example.accepted.length) target.append(element("p", { class: "read" }, "also right: ", marked(example.accepted.map((other) => other || "(empty)").join("; "), query)));
  const link = element("a", { href: `#${cell.cell}/${encodeURIComponent(example.id)}`, title: "Link to this example" }, example.id);
  const row = element("article", { class: "example", "data-id": example.id },
    element("header", null, element("h3", null, link), element("span", { class: look }, cell.classes[example.kind]),
      element("span", { class: "gain" }, `${cell.metric} ${figure(example.base.score)} → ${figure(example.mean)}`)),
    prompt, element("div", { class: "sides" }, target, ...boxes));
  if (view.linked === example.id) {
    row.classList.add("linked");
    prompt.open = true;
  }
  return row;
}

function firstLine(prompt) {
  const flat = prompt.slice(0, 400).replace(/\s+/g, " ").trim();
  return `Prompt: ${flat.length > 160 ? `${flat.slice(0, 160)}…` : flat}`;
}

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
  const tone = view.cell.zero_one && arm.score ? "up" : "";
  const other = view.against === "target" ? example.target : view.against === "base" && arm.name !== "base" ? example.base.text : null;
  const changed = other === null || other.trim() === arm.text.trim() ? null : differences(other, arm.text);
  const box = element("section", { class: "side" },
    element("h4", null, title(group, view.cell.seeds), element("span", { class: tone }, right), ...flags),
    arm.text.trim() ? text(arm.text, view.query, changed) : element("p", { class: "text none" }, "(empty)"));
  if (arm.answer !== null && arm.answer !== arm.text.trim()) box.append(element("p", { class: "read" }, "parsed as: ", marked(arm.answer, view.query)));
  return box;
}

function text(whole, query, changed) {
  if (changed) return element("p", { class: "text" }, ...compared(changed, query));
  const cut = whole.length > LONG;
  const body = element("p", { class: "text" }, marked(cut ? `${whole.slice(0, LONG)}…` : whole, query));
  if (!cut) return body;
  const more = element("button", { type: "button", class: "more" }, `Show all ${count(whole.length)} characters`);
  more.addEventListener("click", () => { body.replaceChildren(marked(whole, query)); more.remove(); });
  return element("div", null, body, more);
}
