// What the list shows: the filters, the order and the place in it, and the address that says so.
const VIEW = "#examples?";
const KEYS = ["from", "group", "flag", "by", "target", "answer", "sort", "diff", "q", "page", "at"]; // of an address, besides cell and arms
// An extra filter for graded scores, not a group: an example can be both gained and low.
const LOW = { value: "low", label: "both low", title: "Neither the arm compared with nor the fine-tuned model (mean over seeds) reaches a score of 0.5" };
const HALF = 0.5;

const some = (flag) => (arms) => arms.some((arm) => arm.flags.includes(flag));
const FLAGS = [
  ["", "any", () => true],
  ...Object.entries(FLAG_WORDS).map(([flag, label]) => [flag, label, some(flag)]),
  ["differ", "arms differ in score", (arms) => arms.some((arm) => arm.score !== arms[0].score)],
  ["seeds", "seeds differ in score", (arms) => { const t = arms.filter((arm) => arm.name === "tuned"); return t.some((arm) => arm.score !== t[0].score); }],
];
const byId = (a, b) => a.place - b.place;
const ORDERS = [
  ["", "what got worse first", (a, b) => a.gain - b.gain || a.mean - b.mean || byId(a, b)],
  ["gain", "what got better first", (a, b) => b.gain - a.gain || b.mean - a.mean || byId(a, b)],
  ["data", "test set order", byId],
];
const AGAINST = [["", "the target"], ["base", "the base"], ["none", "nothing"]];

// What examples are judged against: the best baseline, as the verdict is, or the base; the base first where the baseline is one answer to everything.
function rivals(cell) {
  const arms = cell.arms.filter((arm) => arm.name === "base" || arm.name === cell.baseline).map((arm) => [arm.name, arm.label]);
  return cell.baseline === "constant" ? arms : arms.reverse();
}

const defaultView = (cell) => ({ cell: cell.cell, arms: cell.shown, ...Object.fromEntries(KEYS.map((key) => [key, ""])) });
const sameArms = (one, other) => one.length === other.length && one.every((name) => other.includes(name));
const isFiltered = (view) => ["group", "flag", "by", "target", "answer", "q"].some((key) => view[key]);

// The address of one example among all of its comparison, or of a view with what differs from the default.
function addressOf(view, cell) {
  const filled = KEYS.filter((key) => view[key] && !(key === "page" && (view.at || view.page === "1")));
  const hasArms = !sameArms(view.arms, cell.shown);
  if (filled.join() === "at" && !hasArms) return `#${view.cell}/${encodeURIComponent(view.at.toWellFormed?.() ?? view.at)}`;
  const query = new URLSearchParams([["cell", view.cell], ...filled.map((key) => [key, view[key]])]);
  if (hasArms) for (const name of view.arms.length ? view.arms : [""]) query.append("arm", name);
  return VIEW + query;
}

// The view of an address; null where it is none of ours.
function viewAt(address) {
  const match = /^#(cell\d+)\/(.+)$/.exec(address);
  const query = new URLSearchParams(address.startsWith(VIEW) ? address.slice(VIEW.length) : "");
  const cell = cells.find((one) => one.cell === (match ? match[1] : query.get("cell")));
  if (!cell) return null;
  const view = defaultView(cell);
  if (match) {
    try { view.at = decodeURIComponent(match[2]); } catch { return null; }
    return view;
  }
  for (const key of KEYS) view[key] = query.get(key) ?? "";
  if (query.has("arm")) view.arms = query.getAll("arm").filter((name) => cell.arms.some((arm) => arm.name === name));
  return view;
}

function searched(example) {
  if (!example.searchable) example.searchable = [example.id, searchedPrompt(example.prompt), example.target, ...example.accepted, ...example.arms.map((arm) => arm.text)].join("\n").toLowerCase();
  return example.searchable;
}

// Whether an example is in the group of a pill.
const inGroup = (value) => (example) => {
  if (value === LOW.value) return Math.max(example.rival.score, example.mean) < HALF;
  return value === "" || example.kind === Number(value);
};

// The examples that fit all filters but the group, in the order of the view.
function fitting(cell, view) {
  const flag = FLAGS.find(([key]) => key === view.flag)[2], query = view.q.trim().toLowerCase();
  const fits = (example) => {
    const arms = view.by ? example.arms.filter((arm) => arm.name === view.by) : example.arms;
    return (!view.target || example.target === view.target) && (!view.answer || arms.some((arm) => arm.answer === view.answer))
      && flag(arms) && (!query || searched(example).includes(query));
  };
  return cell.examples.filter(fits).sort(ORDERS.find(([key]) => key === view.sort)[2]);
}

// Whether an arm is shown: one that a filter asks for is, even where it was put away.
const isShown = (view) => (arm) => view.arms.includes(arm.name) || arm.name === view.by || (!view.by && view.flag && arm.flags.includes(view.flag));
