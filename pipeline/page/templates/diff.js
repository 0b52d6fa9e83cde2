// Word-level differences: the longest common subsequence of words, as edits that turn one text into the other.
const WORDS_AT_MOST = 400;
const SHARED_AT_LEAST = 0.2;

const wordsOf = (text) => text.match(/\s+|[^\s]+/g) || [];

// [[kind, text], ...] with kind "same", "added" (in `text` only) or "gone" (in `other` only); null where it would say nothing.
function differences(other, text) {
  const before = wordsOf(other.trim()), after = wordsOf(text.trim());
  if (!before.length || !after.length || before.length > WORDS_AT_MOST || after.length > WORDS_AT_MOST) return null;
  let start = 0, end = 0;
  const shortest = Math.min(before.length, after.length);
  while (start < shortest && before[start] === after[start]) start++;
  while (end < shortest - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const middle = edits(before.slice(start, before.length - end), after.slice(start, after.length - end));
  const all = [...after.slice(0, start).map((w) => ["same", w]), ...middle, ...after.slice(after.length - end).map((w) => ["same", w])];
  const solid = all.filter(([kind, word]) => kind === "same" && word.trim()).length;
  const most = Math.max(...[before, after].map((list) => list.filter((word) => word.trim()).length));
  if (solid < SHARED_AT_LEAST * most) return [["added", text.trim()]]; // two texts with little in common: no puzzle of single words
  return joined(all);
}

function edits(before, after) {
  const rows = before.length + 1, columns = after.length + 1;
  const longest = new Uint16Array(rows * columns);
  for (let i = rows - 2; i >= 0; i--) {
    for (let j = columns - 2; j >= 0; j--) {
      longest[i * columns + j] = before[i] === after[j]
        ? longest[(i + 1) * columns + j + 1] + 1
        : Math.max(longest[(i + 1) * columns + j], longest[i * columns + j + 1]);
    }
  }
  const out = [];
  let i = 0, j = 0;
  while (i < before.length || j < after.length) {
    if (i < before.length && j < after.length && before[i] === after[j]) { out.push(["same", after[j]]); i++; j++; }
    else if (j === after.length || (i < before.length && longest[(i + 1) * columns + j] >= longest[i * columns + j + 1])) out.push(["gone", before[i++]]);
    else out.push(["added", after[j++]]);
  }
  return out;
}

function joined(list) {
  const out = [];
  for (const [kind, word] of list) {
    if (out.length && out[out.length - 1][0] === kind) out[out.length - 1][1] += word;
    else out.push([kind, word]);
  }
  return out;
}

// The differences as nodes; what is only in the other text is struck out.
function compared(list, query) {
  const tags = { added: "ins", gone: "del" };
  return list.map(([kind, text]) => (kind === "same" ? marked(text, query) : element(tags[kind], null, marked(text, query))));
}
