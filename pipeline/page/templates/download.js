// The chosen examples as a file, made here of the records in the page.
const NUMBER = /^-?\d+(\.\d+)?$/;
const FORMULA = /^\s*[=+\-@\uff0b\uff0d\uff1d\uff20]|^[\t\r\n]/; // what a spreadsheet could take for a formula
const BOM = "\ufeff"; // without it some spreadsheets read another encoding

function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const plain = FORMULA.test(value) && !NUMBER.test(value) ? `'${value}` : value;
  return `"${plain.replaceAll('"', '""')}"`;
}

const armKey = (arm) => (arm.seed === null ? arm.name : `${arm.name}_seed${arm.seed}`);

function csv(cell, examples) {
  const columns = cell.arms.flatMap((arm) => ["text", "parsed", "score", "flags"].map((column) => `${armKey(arm)}_${column}`));
  const head = ["task", "id", "compared_with", "change", "gain", "metric", "prompt", "target", "also_right", ...columns];
  const rows = examples.map((example) => [
    cell.label, example.id, example.rival.name, cell.classes[example.kind], example.gain, cell.metric, promptText(example.prompt), example.target, example.accepted.join("; "),
    ...example.arms.flatMap((arm) => [arm.text, arm.answer, arm.score, arm.flags.join("; ")]),
  ]);
  return BOM + [head, ...rows].map((row) => `${row.map(csvCell).join(",")}\r\n`).join("");
}

function json(cell, examples, address) {
  const rows = examples.map((example) => ({
    id: example.id, compared_with: example.rival.name, change: cell.classes[example.kind], gain: example.gain, prompt: example.prompt, target: example.target, also_right: example.accepted,
    arms: example.arms.map(({ name, label, seed, text, answer, score, scores, flags, stopped, tokens }) =>
      ({ arm: name, label, seed, text, parsed: answer, score, scores, flags, stopped, tokens })),
  }));
  return `${JSON.stringify({ report: document.title, task: cell.label, metric: cell.metric, address, examples: rows }, null, 1)}\n`;
}

function save(name, type, content) {
  const link = element("a", { href: URL.createObjectURL(new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

const fileName = (cell, kind) => `${cell.label.replace(/[^\p{L}\p{N}_.-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "") || "examples"}-examples.${kind}`;
